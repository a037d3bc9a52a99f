/**
 * Keeps the conditions of sources as their readers find them (`docs/sources.md`), and hands the cases to those who settle
 * them.
 */
import type { Logger } from '../logger.ts';
import type { Condition } from '../source/condition.ts';
import type { SeenSource, SourceDoubts } from '../source/doubts.ts';
import { type Difference, type FileIdentity, identityIn, type RecordedSource } from '../source/identity.ts';
import type { LeasedDoubts } from '../source/leased-sources.ts';
import type { Store } from '../store/store.ts';
import { FewLines } from './few-lines.ts';

/** Those who settle the cases of sources. */
export interface SettlingQueue {
  /** Notes a case. */
  readonly note: (id: number) => void;
  /** Notes a case for which a reader waits. */
  readonly urgent: (id: number) => void;
  /** Tells why nothing is found of a source soon; undefined if it may be. */
  readonly awaits?: (id: number) => string | undefined;
}

export interface SourceConditionsOptions {
  readonly store: Pick<Store, 'source'> & {
    readonly living: Pick<Store['living'], 'condition' | 'setCondition' | 'trust' | 'newEpoch' | 'conditions'>;
  };
  /** `first`: every piece is hashed at its first read; `off`: what is not as recorded is not served. */
  readonly verifyReads: 'suspect' | 'first' | 'off';
  /** Absent: nobody settles cases. */
  readonly queue?: SettlingQueue | undefined;
  readonly logger: Logger;
  /** Called with each source that was found as recorded. */
  readonly onAsRecorded?: (id: number, record: RecordedSource, seen: SeenSource) => void;
}

export class SourceConditions implements SourceDoubts, LeasedDoubts {
  readonly #options: SourceConditionsOptions;
  readonly #lines: FewLines;
  /** Pieces that were proven before this epoch are hashed again. */
  readonly #first: number;

  constructor(options: SourceConditionsOptions) {
    this.#options = options;
    this.#lines = new FewLines(options.logger);
    this.#first = options.verifyReads === 'first' ? options.store.living.newEpoch() : 0;
  }

  of(id: number): number {
    return this.#doubtOf(this.#options.store.living.condition(id));
  }

  #doubtOf(condition: Condition | undefined): number {
    return Math.max(this.#first, condition?.epoch ?? 0);
  }

  differs(id: number, why: Difference, seen: Omit<SeenSource, 'fd'> | undefined): number | undefined {
    const { store, verifyReads } = this.#options;
    const before = store.living.condition(id);
    const isOff = verifyReads === 'off';
    // A rename or a chmod changes the ctime, too; with `off`, that was never a difference.
    if (isOff && why.code === 'ctime') return 0;
    // The healer has decided about what lies there: to doubt it again would only have it decide the same.
    if (before !== undefined && seen !== undefined && isDecided(before) && isObserved(before, seen.identity)) {
      return isOff ? undefined : this.#doubtOf(before);
    }
    // That pieces of this very file failed says more.
    const isKnown = before?.state === 'healing' && seen !== undefined && isObserved(before, seen.identity);
    const condition = store.living.setCondition(id, {
      // What has no name any more is read on, but is not what will be found.
      state: stateOf(before, seen?.unlinked === false && !isOff),
      reason: isKnown ? before.reason : why.says,
      ...(before?.disk === undefined ? {} : { disk: before.disk }),
      ...(seen === undefined ? {} : { observed: seen.identity }),
    });
    if (condition !== before) this.#changed(id, before, condition);
    return seen === undefined || isOff ? undefined : this.#doubtOf(condition);
  }

  asRecorded(id: number, seen: SeenSource): number {
    const { store, onAsRecorded } = this.#options;
    const record = store.source(id);
    const condition = store.living.condition(id);
    if (record === undefined) return this.#doubtOf(condition);
    // The file that is doubted is the one that is recorded: it was mapped again, and has yet to be proven.
    if (condition !== undefined && isObserved(condition, record)) return this.#doubtOf(condition);
    // Its record may have been made anew of a file that nobody has proven.
    if (condition !== undefined && (condition.state === 'doubted' || condition.observed !== undefined)) {
      const { reason } = condition;
      return this.#doubtOf(store.living.setCondition(id, { state: 'doubted', reason, observed: seen.identity }));
    }
    if (condition !== undefined) store.living.trust(id, 'is as it was recorded again');
    onAsRecorded?.(id, record, seen);
    return this.#first;
  }

  wrong(ids: readonly number[], piece: number): void {
    const { store } = this.#options;
    for (const id of ids) {
      const before = store.living.condition(id);
      const reason = `does not have the bytes of piece ${piece}`;
      if (before?.state === 'healing' || (before !== undefined && isDecided(before))) continue;
      const found = before?.observed ?? store.source(id);
      const observed = found === undefined ? {} : { observed: identityIn(found) };
      this.#changed(id, before, store.living.setCondition(id, { state: 'healing', reason, failed: true, ...observed }));
    }
  }

  mayBeLeased(id: number): boolean {
    return this.#options.store.living.condition(id) === undefined || this.wasOpened(id);
  }

  wasOpened(id: number): boolean {
    const condition = this.#options.store.living.condition(id);
    return condition?.state === 'doubted' && condition.opened === true;
  }

  opened(id: number, { identity }: Parameters<LeasedDoubts['opened']>[1]): void {
    const { store, logger } = this.#options;
    // A doubt of another kind goes on.
    if (store.living.condition(id) !== undefined) return;
    store.living.setCondition(id, {
      state: 'doubted',
      reason: 'was opened for writing',
      observed: identityIn(identity),
      opened: true,
    });
    logger.debug(`${store.source(id)?.path.toString()} is opened for writing: what is read of it is hashed first`);
  }

  /** There are no leases, with which doubts of the last server would end. */
  noLeases(): void {
    for (const [id, { opened }] of this.#options.store.living.conditions()) if (opened === true) this.unleasable(id);
  }

  unleasable(id: number): void {
    const { store } = this.#options;
    const condition = store.living.condition(id);
    if (condition === undefined || !this.wasOpened(id)) return;
    const { reason, observed, disk } = condition;
    store.living.setCondition(id, { state: 'doubted', reason, ...(observed && { observed }), ...(disk && { disk }) });
  }

  unwritten(id: number): number {
    if (this.wasOpened(id)) this.#options.store.living.trust(id);
    return this.of(id);
  }

  #changed(id: number, before: Condition | undefined, { state, reason, epoch }: Condition): void {
    const { store, queue } = this.#options;
    queue?.note(id);
    if (before?.state === state && before.epoch === epoch) return;
    const path = store.source(id)?.path.toString() ?? `source ${id}`;
    const then = state === 'doubted' ? 'what is read of it is hashed first' : 'its case is open';
    this.#lines.say(`${path} ${reason}: ${then}`);
  }

  urgent(ids: readonly number[]): boolean {
    const { store, queue } = this.#options;
    if (queue === undefined) return false;
    const open = ids.filter((id) => {
      const state = store.living.condition(id)?.state;
      return (state === 'healing' || state === 'doubted') && queue.awaits?.(id) === undefined;
    });
    for (const id of open) queue.urgent(id);
    return open.length > 0;
  }
}

function isDecided({ state }: Condition): boolean {
  return state === 'lost' || state === 'waiting';
}

/** Tells if a file is the one that was observed when the condition was found. */
function isObserved({ observed }: Condition, { size, mtimeNs, ctimeNs }: FileIdentity): boolean {
  return observed?.size === size && observed.mtimeNs === mtimeNs && observed.ctimeNs === ctimeNs;
}

/** The state of a source that was found to differ. One whose case is being settled stays so. */
function stateOf(before: Condition | undefined, isReadable: boolean): Condition['state'] {
  if (before?.state === 'healing') return 'healing';
  if (isReadable) return 'doubted';
  return before?.state === 'waiting' || before?.state === 'lost' ? before.state : 'healing';
}
