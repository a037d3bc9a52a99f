/**
 * The end of each batch of reports: looks at the sources that were concerned, and changes records and conditions.
 *
 * The rule for a new ctime is in `followed.ts`. A source that is not trusted keeps its doubt wherever it moves.
 */
import type { Condition } from '../../source/condition.ts';
import { type FileIdentity, isSameIdentity, type RecordedSource } from '../../source/identity.ts';
import { type FollowedSources, isAsRecorded } from './followed.ts';
import { handleKeyOf } from './handle-key.ts';
import type { Moves } from './moves.ts';
import type { Cases, LookAt, NewsStore, RecordChange, Sight } from './parts.ts';

/** Changes of records in a batch. */
const BATCH = 500;
/** Looks at once. */
const LOOKS = 8;
/** Milliseconds between looks at a file that is being written to. */
const PAUSE_MS = 500;
/** Milliseconds: a file of which nothing has changed for so long was not written to just now. */
const SETTLED_MS = 2000;
/** Milliseconds before a report within which its cause may have made the source a case. */
const SAME_CAUSE_MS = 3000;

export interface ReckoningParts {
  readonly store: NewsStore;
  readonly followed: FollowedSources;
  readonly look: LookAt;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly moves: Moves;
}

type Change = 'written' | 'closed' | 'attributes';

/** A source whose record may change: it was found, and seems to be the same file. */
interface Same {
  readonly id: number;
  readonly record: RecordedSource;
  readonly path: Buffer;
  readonly sight: Sight;
  readonly how: string;
}

export class Reckoning {
  readonly #parts: ReckoningParts;
  #changed = new Map<number, Change>();
  #gone = new Map<number, boolean>();
  #back = new Set<number>();
  /** Sources that were doubted just now: one that is being written to is looked at now and then. */
  readonly #doubtedAt = new Map<number, number>();

  constructor(parts: ReckoningParts) {
    this.#parts = parts;
  }

  /** True: something has to be looked at again soon. */
  get waiting(): boolean {
    return this.#changed.size > 0;
  }

  changed(id: number, what: Change): void {
    const before = this.#changed.get(id);
    if (before === 'written' || (before === 'closed' && what === 'attributes')) return;
    this.#changed.set(id, what);
  }

  /** A source has left its place. */
  gone(id: number, seenDeleted: boolean): void {
    this.#gone.set(id, seenDeleted || this.#gone.get(id) === true);
  }

  /** A file has come to the place of a source. */
  back(id: number): void {
    this.#back.add(id);
  }

  async reckon(): Promise<void> {
    const [changed, gone, back] = [this.#changed, this.#gone, this.#back];
    [this.#changed, this.#gone, this.#back] = [new Map(), new Map(), new Set()];
    for (const id of this.#parts.moves.takeDisplaced()) gone.set(id, gone.get(id) ?? false);
    await this.#reckonMoves();
    for (const [id, seenDeleted] of gone) {
      if (this.#parts.moves.isOnItsWay(id)) continue;
      changed.delete(id);
      back.delete(id);
      await this.#lookAgain(id, seenDeleted ? 'was deleted' : 'is not in its place any more', seenDeleted);
    }
    for (const id of back) if (this.#parts.store.living.condition(id) !== undefined) await this.#lookAgain(id);
    await this.#reckonChanges(changed);
  }

  async #reckonMoves(): Promise<void> {
    const underway = [...this.#parts.moves.underway()];
    const found: Same[] = [];
    await inTurns(underway, async ({ id, places }) => {
      const record = this.#parts.store.source(id);
      if (record === undefined) {
        this.#parts.moves.arrived(id);
        return;
      }
      for (const path of places) {
        const sight = await this.#parts.look(path);
        if (sight === undefined || !(isSameFile(record, sight) || isSameHandle(record, sight))) continue;
        found.push({ id, record, path, sight, how: 'was renamed (seen as it happened)' });
        return;
      }
      if (this.#parts.moves.isOnItsWay(id)) return;
      this.#parts.moves.arrived(id);
      this.#case(id, 'is not in its place any more', false);
    });
    await this.#record(found);
  }

  async #reckonChanges(changed: ReadonlyMap<number, Change>): Promise<void> {
    const same: Same[] = [];
    const now = performance.now();
    for (const [id, at] of this.#doubtedAt) if (now - at > PAUSE_MS) this.#doubtedAt.delete(id);
    await inTurns([...changed], async ([id, what]) => {
      const { store, followed, moves } = this.#parts;
      if (this.#doubtedAt.has(id)) {
        this.changed(id, what);
        return;
      }
      const record = store.source(id);
      // One that nobody has looked at is left to the look before its next read.
      if (record === undefined || moves.isOnItsWay(id) || (what === 'attributes' && !followed.isSeen(id))) return;
      const sight = await this.#parts.look(record.path);
      if (sight === undefined) this.#case(id, 'cannot be read any more', false);
      else if (isAsRecorded(record, sight)) this.#unchanged(id, what, sight);
      else if (what === 'attributes' && isSameFile(record, sight)) {
        same.push({ id, record, path: record.path, sight, how: 'had its attributes changed (seen as it happened)' });
      } else this.#doubt(id, what === 'attributes' ? 'was modified' : 'was written to', sight.identity);
    });
    await this.#record(same);
  }

  /** Something was reported of a file that is as recorded. */
  #unchanged(id: number, what: Change, { identity }: Sight): void {
    const { followed, store } = this.#parts;
    // A write within the tick of the clock in which the file was recorded leaves the ctime as it is.
    const { ctimeNs = 0n } = identity;
    const recent = Date.now() - Number(ctimeNs / 1_000_000n) < SETTLED_MS;
    if (what === 'written' && recent) this.#doubt(id, 'was written to', identity, true);
    else if (store.living.condition(id) === undefined) followed.note(id);
  }

  /** Records sources that were found: trusted where all is explained, and doubted where not. */
  async #record(found: readonly Same[]): Promise<void> {
    const { store, followed, moves, cases } = this.#parts;
    for (let from = 0; from < found.length; from += BATCH) {
      const slice = found.slice(from, from + BATCH);
      const explained = await followed.explained(slice);
      const changes = slice.map(({ id, record, path, sight, how }): RecordChange => {
        const isExplained = explained.has(id) && isSameFile(record, sight);
        const trusted = (isExplained || isAsRecorded(record, sight)) && this.#mayBeTrusted(id, sight);
        return { id, was: record, now: nowOf(record, path, sight), trusted, how };
      });
      for (const { id, path } of slice) {
        const watch = moves.watchAt(id, path);
        if (watch !== undefined && followed.isSeen(id)) followed.seenAt(id, watch);
        moves.arrived(id);
      }
      const before = new Map(slice.map(({ id }) => [id, store.living.condition(id)]));
      await store.living.changeSources(changes);
      for (const { id, trusted } of changes) {
        if (trusted) continue;
        followed.unsee(id);
        const condition = before.get(id);
        // The case goes on where the file is now.
        if (condition?.state === 'healing') {
          const { state, reason, failed } = condition;
          store.living.setCondition(id, { state, reason, ...(failed === undefined ? {} : { failed }) });
        }
        cases?.note(id);
      }
    }
  }

  /** Tells if a source was trusted, or is not only for what the reports explain: it was on its way, or has a new ctime. */
  #mayBeTrusted(id: number, { identity }: Sight): boolean {
    const condition = this.#parts.store.living.condition(id);
    if (condition === undefined) return true;
    const { state, observed, sinceMs } = condition;
    if (state === 'doubted') return observed !== undefined && isSameIdentity(observed, identity);
    return state === 'healing' && observed === undefined && Date.now() - sinceMs < SAME_CAUSE_MS;
  }

  /** Looks at a source in its place. */
  async #lookAgain(id: number, absent = 'is not there any more', seenDeleted = false): Promise<void> {
    const { store, cases } = this.#parts;
    const record = store.source(id);
    if (record === undefined) return;
    const sight = await this.#parts.look(record.path);
    const condition = store.living.condition(id);
    if (sight === undefined) this.#case(id, absent, seenDeleted);
    else if (!isAsRecorded(record, sight)) {
      const reason = isSameFile(record, sight) ? 'was away for a while' : 'was replaced by another file';
      this.#doubt(id, reason, sight.identity);
    } else if (condition?.observed !== undefined && hasWrongBytes(condition)) cases?.note(id);
    else if (condition !== undefined) store.living.trust(id, 'is as it was recorded again');
  }

  /** `unproven`: the file is as recorded, which says nothing of its bytes. */
  #doubt(id: number, reason: string, observed: FileIdentity, unproven = false): void {
    const { store, followed, cases } = this.#parts;
    followed.unsee(id);
    this.#doubtedAt.set(id, performance.now());
    const before = store.living.condition(id);
    const isKnown = before?.observed !== undefined && isSameIdentity(before.observed, observed);
    // Somebody has searched for its bytes while this very file was there.
    if (before?.state === 'lost' && isKnown) return;
    const isHealing = before?.state === 'healing';
    store.living.setCondition(id, {
      state: isHealing ? 'healing' : 'doubted',
      // That pieces of this very file failed says more.
      reason: isHealing && isKnown ? before.reason : reason,
      observed,
      ...(unproven ? { unproven } : {}),
    });
    cases?.note(id);
  }

  #case(id: number, reason: string, seenDeleted: boolean): void {
    const { store, cases } = this.#parts;
    const before = store.living.condition(id);
    if (before?.state === 'waiting' || before?.state === 'lost') return;
    store.living.setCondition(id, { state: 'healing', reason });
    cases?.note(id, { seenDeleted });
  }
}

/** Bytes of the file that was there did not agree, whatever its record says. */
function hasWrongBytes({ state, failed }: Condition): boolean {
  return state === 'healing' || state === 'lost' || failed === true;
}

/** Tells if what was found is the recorded file, whatever was done to it. */
function isSameHandle(record: RecordedSource, { handle }: Sight): boolean {
  return record.handle !== undefined && handle !== undefined && handleKeyOf(record.handle) === handleKeyOf(handle);
}

/** Tells if what was found can be the recorded file: the same size and mtime, and the same file where that can be known. */
function isSameFile(record: RecordedSource, sight: Sight): boolean {
  const { identity } = sight;
  if (identity.size !== record.size || identity.mtimeNs !== record.mtimeNs) return false;
  if (record.handle !== undefined && sight.handle !== undefined) return isSameHandle(record, sight);
  return identity.ino === record.ino;
}

function nowOf(record: RecordedSource, path: Buffer, { identity, handle, disk }: Sight): RecordChange['now'] {
  return {
    ...identity,
    path,
    ...(handle === undefined ? {} : { handle }),
    ...(disk === undefined ? (record.disk === undefined ? {} : { disk: record.disk }) : { disk }),
  };
}

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(LOOKS, items.length) }, worker));
}
