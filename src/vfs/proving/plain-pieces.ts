/**
 * Proves pieces that lie whole in one source, some at a time: their threads get one message, and their source is looked up
 * once. Most pieces of large files do. Whatever does not simply agree goes the long way (`piece-proof.ts`).
 */
import type { MappedContent } from '../../store/overlay/content.ts';
import type { StepAnswer } from './messages.ts';
import { MOST_IN_WORK } from './piece-buffers.ts';
import { type Proof, type ProofTools, proofOf, servedForProof } from './proof.ts';
import { spansOf } from './spans.ts';
import type { HashSession } from './threads.ts';
import type { KnownTorrent } from './torrents.ts';

/** Pieces that a thread gets at a time. Whoever waits for another piece of a slow disk waits for all of them. */
const TOGETHER = 4;

export interface WantedPieces {
  readonly content: MappedContent;
  readonly torrent: KnownTorrent;
  /** The offset of the file in the torrent. */
  readonly start: number;
  readonly pieces: readonly number[];
  /** A reader waits for them. */
  readonly awaited: boolean;
}

/** A piece that one source has, and that was not written over. */
interface PlainPiece {
  readonly piece: number;
  /** In the source. */
  readonly offset: number;
  readonly length: number;
}

interface Group {
  readonly source: number;
  readonly pieces: PlainPiece[];
}

export class PlainPieces {
  readonly #tools: ProofTools;

  constructor(tools: ProofTools) {
    this.#tools = tools;
  }

  /** Gives a proof for each piece that is plain. Undefined: it is to go the long way, as do the others. */
  prove(wanted: WantedPieces): Map<number, Promise<Proof | undefined>> {
    const groups: Group[] = [];
    for (const piece of wanted.pieces) {
      const plain = plainPiece(wanted, piece);
      if (plain === undefined) continue;
      const last = groups.at(-1);
      if (last?.source === plain.source && last.pieces.length < TOGETHER) last.pieces.push(plain);
      else groups.push({ source: plain.source, pieces: [plain] });
    }
    const proofs = new Map<number, Promise<Proof | undefined>>();
    for (const group of groups) {
      const { pieces } = group;
      const proving = this.#proveOf(group, wanted).catch(() => undefined);
      for (const [i, { piece }] of pieces.entries()) {
        proofs.set(
          piece,
          proving.then(async (begun) => await begun?.[i]),
        );
      }
    }
    return proofs;
  }

  async #proveOf(
    { source, pieces }: Group,
    { content: { entry }, torrent, awaited }: WantedPieces,
  ): Promise<Promise<Proof | undefined>[]> {
    const { store, sources, threads, buffers, onHashed } = this.#tools;
    const file = await servedForProof(async () => await sources.serve(source));
    file.begin();
    const { fd, standing, doubt } = file;
    const files = new Map([[source, file]]);
    const memories = pieces.map(({ length }) => buffers.take(length));
    const hashings = pieces.map(({ piece, length }, i) => ({
      torrent: torrent.infoHash,
      metainfo: () => store.metainfo(torrent.infoHash),
      piece,
      length,
      buffer: memories[i],
    }));
    let sessions: readonly HashSession[];
    try {
      sessions = await threads.begin(hashings, { device: file.identity.dev, awaited });
    } catch (error) {
      for (const memory of memories) if (memory !== undefined) buffers.giveBack(memory);
      file.done();
      throw error;
    }
    const proofs = pieces.map(async ({ piece, offset, length }, i): Promise<Proof | undefined> => {
      const memory = memories[i]!;
      const answer = await hashed(sessions[i]!, { fd, offset, length, standing });
      if (answer?.agrees !== true) {
        buffers.giveBack(memory);
        return undefined;
      }
      onHashed();
      const bytes = buffers.keep(entry, piece, memory, length);
      const changed = new Set(answer.changed.length > 0 ? [source] : []);
      return proofOf(this.#tools, { entry, piece }, { bytes, changed, files, doubt });
    });
    void Promise.allSettled(proofs).then(() => file.done());
    return proofs;
  }
}

/** Finds where a piece lies. Undefined if it is not plain. */
function plainPiece(
  { content, torrent: { layout }, start }: WantedPieces,
  piece: number,
): (PlainPiece & { readonly source: number }) | undefined {
  const [span, next] = spansOf(layout, piece);
  if (span === undefined || next !== undefined || layout.offsets[span.file] !== start) return undefined;
  if (span.length > MOST_IN_WORK) return undefined;
  const [extent] = content.slice(span.offset, span.length);
  if (extent === undefined || extent.source < 0 || extent.length !== span.length) return undefined;
  return { piece, source: extent.source, offset: extent.sourceOffset, length: span.length };
}

async function hashed(
  session: HashSession,
  segment: Parameters<HashSession['step']>[0][number],
): Promise<StepAnswer | undefined> {
  try {
    return await session.step([segment], true);
  } catch {
    return undefined;
  } finally {
    await session.end();
  }
}
