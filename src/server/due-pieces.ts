/** Says which pieces `scrub` must hash, and in which order: the doubted first, then the unproven, then the oldest. */
import { DUE_DOUBTED, DUE_OLD, DUE_UNPROVEN, type DueEntry, type DueQuestion, NOT_DUE } from '../control/served.ts';
import { hasBit } from '../extent/bitfield.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Days after which a piece that did not agree is hashed again: somebody may have put the right file there. */
const FAILED_AGAIN = 7;
/** Pieces between two turns of the event loop: a few milliseconds of work. */
const SLICE = 200_000;

/** Returns one byte for each piece: `NOT_DUE`, or why it is due. `doubted`: pieces to prove again. */
export function duePieces(store: Store, entry: Entry, question: DueQuestion, doubted: ReadonlySet<number>): Buffer {
  const due = Buffer.alloc(entry.pieceCount, NOT_DUE);
  const map = store.pieceMap(entry.infoHash) ?? Buffer.alloc(0);
  const today = Math.floor(Date.now() / DAY_MS);
  for (const [piece, day] of store.proofDays(entry.infoHash).entries()) {
    const age = today - day;
    if (doubted.has(piece)) due[piece] = DUE_DOUBTED;
    else if (hasBit(map, piece)) {
      if (question.all || age >= question.days) due[piece] = DUE_OLD;
    } else if (question.all || question.again || day === 0 || age >= Math.min(question.days, FAILED_AGAIN)) {
      due[piece] = DUE_UNPROVEN;
    }
  }
  return due;
}

/** Lists the entries with pieces that are due, in slices. */
export async function* dueEntries(
  store: Store,
  question: DueQuestion,
  doubtedOf: (entry: Entry) => Promise<ReadonlySet<number>>,
): AsyncGenerator<DueEntry> {
  let pieces = 0;
  for await (const entry of store.entries()) {
    if (entry.kind === 'external') continue;
    pieces += entry.pieceCount;
    if (pieces > SLICE) {
      pieces = 0;
      await new Promise(setImmediate);
    }
    const doubted = await doubtedOf(entry);
    // Removed meanwhile.
    if (store.pieceMap(entry.infoHash) === undefined) continue;
    const counts = [0, 0, 0, 0];
    for (const why of duePieces(store, entry, question, doubted)) counts[why]!++;
    const [, again = 0, unproven = 0, old = 0] = counts;
    if (again + unproven + old === 0) continue;
    yield { infoHash: entry.infoHash, pieceLength: entry.pieceLength, doubted: again, unproven, old };
  }
}
