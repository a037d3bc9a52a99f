/**
 * Applies what the healer has decided: records change, sources are lost or wait. An outcome is applied only if the record is still the
 * one that was judged, and only if the path may be a source's; what would be lost is kept first.
 */
import { AutotorrentError, messageOf } from '../../errors.ts';
import { GAP } from '../../extent/extent.ts';
import type { HealRecord, Outcome, Remap } from '../../heal/case.ts';
import type { Logger } from '../../logger.ts';
import { identityIn, isSameContent } from '../../source/identity.ts';
import { type LookedAtSource, lookedAt } from '../../source/looked-at.ts';
import type { Readers } from '../../source/readers.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { Store } from '../../store/store.ts';
import type { Rescue } from '../rescue/rescue.ts';
import type { IndexRenewal } from './index-renewal.ts';
import { LOST_CTIME_NS, type Loss, lossIn } from './losses-in.ts';
import type { CaseQueue, Holder } from './queue.ts';
import { replaced } from './replaced-extents.ts';

/** Records that change in one batch. */
const BATCH = 500;
/** Milliseconds of doubt that are not worth a line if nothing came of it: a rename is noticed twice. */
const BLINK_MS = 10_000;

type Same = Extract<Outcome, { kind: 'same' }>;

export interface OutcomesParts {
  readonly store: Store;
  readonly access: SourceAccess;
  readonly queue: CaseQueue;
  readonly renewal: Pick<IndexRenewal, 'againMs'>;
  /** Keeps what would be lost. Absent: nothing is kept. */
  readonly rescue?: Pick<Rescue, 'beforeLoss' | 'hold' | 'found' | 'mapped'> | undefined;
  readonly logger: Logger;
  /** Looks at who may read a source. */
  readonly looks: Parameters<typeof lookedAt>[1]['look'];
  /** Looks again at who may read sources. */
  readonly lookAtReaders: () => void;
}

export class Outcomes {
  readonly #store: Store;
  readonly #access: SourceAccess;
  readonly #queue: CaseQueue;
  readonly #renewal: OutcomesParts['renewal'];
  readonly #rescue: OutcomesParts['rescue'];
  readonly #logger: Logger;
  readonly #looks: OutcomesParts['looks'];
  readonly #lookAtReaders: () => void;

  constructor({ store, access, queue, renewal, rescue, logger, looks, lookAtReaders }: OutcomesParts) {
    this.#store = store;
    this.#access = access;
    this.#queue = queue;
    this.#renewal = renewal;
    this.#rescue = rescue;
    this.#logger = logger;
    this.#looks = looks;
    this.#lookAtReaders = lookAtReaders;
  }

  /**
   * Applies outcomes; those that hold no longer are left out. `by`: the healer that reports them. A case that it does not have any
   * more was settled by the other one.
   */
  async apply(
    reported: readonly Outcome[],
    by?: Holder,
  ): Promise<{ readonly applied: number; readonly skipped: number }> {
    let applied = 0;
    const held = by === undefined ? reported : reported.filter(({ id }) => this.#queue.isHeld(id, by));
    const outcomes = await this.#withoutRescued(held, by);
    const same = outcomes.filter((outcome) => outcome.kind === 'same');
    for (let from = 0; from < same.length; from += BATCH) applied += await this.#move(same.slice(from, from + BATCH));
    // Of some sources only a part was found.
    const open = new Set(outcomes.flatMap(({ kind, id }) => (kind === 'later' || kind === 'waiting' ? [id] : [])));
    for (const outcome of outcomes) {
      if (outcome.kind === 'same') continue;
      if (await this.#applyOne(outcome, open.has(outcome.id))) applied++;
    }
    return { applied, skipped: reported.length - applied };
  }

  /** Leaves out the cases of which something is kept first that would be lost, or is served as long as it is open. */
  async #withoutRescued(outcomes: readonly Outcome[], by: Holder | undefined): Promise<readonly Outcome[]> {
    const rescue = this.#rescue;
    if (rescue === undefined) return outcomes;
    const losses = new Map<number, Loss>();
    for (const outcome of outcomes) {
      const loss = outcome.id === GAP ? undefined : lossIn(outcome, await this.#gridOf(outcome));
      if (loss !== undefined && losses.get(outcome.id) !== 'lost') losses.set(outcome.id, loss);
    }
    const left = new Set<number>();
    // All at once: what files need of them is found in one walk.
    const asked = [...losses].map(async ([id, loss]) => {
      // It may have come back meanwhile.
      if (this.#store.living.condition(id) === undefined) return;
      const before = await rescue.beforeLoss(id, by);
      if (before === 'nothing' || (before === 'held' && loss === 'guessed')) return;
      left.add(id);
      if (before === 'kept') this.#queue.again(id);
      else this.#hold(id);
    });
    await Promise.all(asked);
    return outcomes.filter(({ id }) => !left.has(id));
  }

  async #gridOf(outcome: Outcome): Promise<Parameters<typeof lossIn>[1]> {
    if (outcome.kind !== 'remap') return undefined;
    const { infoHash, index } = outcome;
    const pieceLength = this.#store.entry(infoHash)?.pieceLength;
    if (pieceLength === undefined) return undefined;
    const torrentOffset = (await this.#store.file(infoHash, index))?.torrentOffset;
    return torrentOffset === undefined ? undefined : { torrentOffset, pieceLength };
  }

  /** What of a source is nowhere else is read on, as long as its deleted file is open. */
  #hold(id: number): void {
    const { living } = this.#store;
    const before = living.condition(id);
    if (before !== undefined) {
      const reason = 'was deleted or replaced, and is read as long as it is open';
      const { observed, disk } = before;
      living.setCondition(id, { state: 'healing', reason, ...(observed && { observed }), ...(disk && { disk }) });
    }
    this.#queue.postpone(id, { answered: true });
    this.#rescue?.hold(id);
  }

  async #move(outcomes: readonly Same[]): Promise<number> {
    const allowed: Same[] = [];
    const readers = new Map<number, Readers>();
    for (const outcome of outcomes) {
      const [now] = (await this.#lookedAt([outcome.now])) ?? [];
      if (now === undefined) {
        this.#queue.postpone(outcome.id);
        continue;
      }
      allowed.push(outcome);
      if (now.readers !== undefined) readers.set(outcome.id, now.readers);
    }
    // Before the records change: nobody reads what he may not at the new place.
    for (const [id, who] of readers) this.#store.noteReaders(id, who);
    const blinks = new Set(allowed.filter((outcome) => this.#isBlink(outcome)));
    const changes = allowed.map((outcome) => {
      const { how, ...change } = outcome;
      return blinks.has(outcome) ? change : { ...change, how };
    });
    const changed = new Set(await this.#store.living.changeSources(changes));
    for (const outcome of allowed) {
      const { id, now, how, trusted } = outcome;
      this.#queue.settled(id);
      if (!changed.has(id) || blinks.has(outcome)) continue;
      if (!outcome.was.path.equals(now.path)) await this.#rescue?.found(id);
      this.#logger.info(`a source ${how}: ${now.path.toString()}${trusted ? '' : '; it is hashed as it is read'}`);
    }
    return changed.size;
  }

  /** Tells if nothing of a source has changed, and it was in doubt for a moment only, or is on: no line of its story. */
  #isBlink({ id, trusted, was, now }: Same): boolean {
    if (!was.path.equals(now.path) || !isSameContent(was, now)) return false;
    const condition = this.#store.living.condition(id);
    return trusted
      ? condition === undefined || Date.now() - condition.sinceMs < BLINK_MS
      : condition?.state === 'doubted' || condition?.state === 'healing';
  }

  async #applyOne(outcome: Exclude<Outcome, { kind: 'same' }>, isOpen: boolean): Promise<boolean> {
    const { id } = outcome;
    const { living } = this.#store;
    if (outcome.kind === 'remap' && id === GAP) return await this.#remap(outcome, false);
    const record = this.#store.source(id);
    if (record === undefined) {
      this.#queue.settled(id);
      return false;
    }
    if (outcome.kind === 'later') {
      const { reason, awaits, due } = outcome;
      if (awaits === 'index') this.#logger.debug(`${record.path.toString()} ${reason}`);
      this.#queue.postpone(
        id,
        awaits === 'index' ? { awaits: { why: reason, ms: this.#renewal.againMs(id) } } : { due },
      );
      return true;
    }
    if (outcome.kind === 'remap') return await this.#remap(outcome, isOpen);
    // It may have come back meanwhile.
    if (living.condition(id) === undefined) {
      this.#queue.settled(id);
      return false;
    }
    const { reason } = outcome;
    if (outcome.kind === 'waiting') {
      const { disk } = outcome;
      if (living.condition(id)?.state !== 'waiting') this.#logger.warn(`${record.path.toString()} ${reason}`);
      living.setCondition(id, { state: 'waiting', reason, ...(disk === undefined ? {} : { disk }) });
      this.#queue.postpone(id, { answered: true });
    } else {
      if (living.condition(id)?.state !== 'lost') this.#logger.warn(`${record.path.toString()} ${reason}`);
      const observed = living.condition(id)?.observed;
      living.setCondition(id, { state: 'lost', reason, ...(observed === undefined ? {} : { observed }) });
      this.#queue.settled(id);
    }
    return true;
  }

  async #remap(outcome: Remap, isOpen: boolean): Promise<boolean> {
    const { id, infoHash, index, version, since, epoch, ranges, proven, how } = outcome;
    const { living } = this.#store;
    const was = id === GAP ? undefined : this.#store.source(id)?.path.toString();
    const file = await this.#store.file(infoHash, index);
    const sources = file?.version === version ? await this.#recorded(outcome.sources) : undefined;
    if (file === undefined || sources === undefined) {
      this.#queue.postpone(id);
      return false;
    }
    const { extents, kept } = replaced(file.base, id, ranges, sources.length);
    const remap = { was: version, extents, sources: [...sources, ...kept], proven, since, epoch, how };
    const map = async (): Promise<boolean> => await living.remapFile(infoHash, index, remap);
    const named = sources.filter((source) => typeof source === 'number');
    if ((await (named.length === 0 ? map() : this.#rescue?.mapped(named, map))) !== true) {
      this.#queue.postpone(id);
      return false;
    }
    for (const { path, ctimeNs } of outcome.sources) {
      if (ctimeNs !== LOST_CTIME_NS) continue;
      for (const lost of living.sourcesAt(path)) {
        if (this.#store.source(lost)?.ctimeNs !== LOST_CTIME_NS) continue;
        const reason = 'has wrong bytes, and no copy of them was found';
        // What lies there is known: reads of it do not open the case again.
        const here = this.#store.source(id);
        living.setCondition(lost, { state: 'lost', reason, ...(here && { observed: identityIn(here) }) });
      }
    }
    if (!isOpen) this.#queue.settled(id);
    this.#logger.info(`${was ?? outcome.sources.map(({ path }) => path.toString()).join(', ')} ${how}`);
    return true;
  }

  /** What is kept has a record; of others, adds who may read each. Undefined if one may not be a source, or is gone. */
  async #recorded(sources: readonly HealRecord[]): Promise<(LookedAtSource | number)[] | undefined> {
    const { living } = this.#store;
    const found: (LookedAtSource | number)[] = [];
    for (const source of sources) {
      const isKept = living.isKept(source.path);
      const [one] = isKept ? living.sourcesAt(source.path) : ((await this.#lookedAt([source])) ?? []);
      if (one === undefined) return undefined;
      found.push(one);
    }
    return found;
  }

  /** Adds who may read each source. Undefined if one may not be a source. */
  async #lookedAt(sources: readonly HealRecord[]): Promise<LookedAtSource[] | undefined> {
    const found: LookedAtSource[] = [];
    try {
      const refused = this.#access.refuse(sources.map((source) => ({ ...source, spares: [] })));
      for await (const source of lookedAt(refused, { look: this.#looks, onMissed: this.#lookAtReaders })) {
        found.push(source);
      }
      return found;
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      this.#logger.warn(`a source is not recorded anew: ${messageOf(error)}`);
      return undefined;
    }
  }
}
