/**
 * Cases of sources, for the control socket: hands them out, and takes what the healer has decided (`outcomes.ts`).
 *
 * Nothing here looks at a file: the healer does, in a process of its own.
 */
import type { CaseTicket, SuspectSource } from '../../control/cases-served.ts';
import { messageOf } from '../../errors.ts';
import type { HealRecord, Outcome } from '../../heal/case.ts';
import type { Logger } from '../../logger.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { Store } from '../../store/store.ts';
import type { Rescue } from '../rescue/rescue.ts';
import type { Returns } from '../returns.ts';
import { type Away, AwayDisks, awayOn } from './away-disk.ts';
import type { DiskNow, IndexAnswer, IndexQuestion, IndexRenewal } from './index-renewal.ts';
import { KnownSources, recordOf } from './known-sources.ts';
import { Outcomes, type OutcomesParts } from './outcomes.ts';
import type { CaseQueue, Holder } from './queue.ts';

/** Cases that the healer gets at once. */
const BATCH = 500;
/** Milliseconds for which a command waits at once for cases to be settled, and for those that were postponed. */
const WAIT_MS = 30_000;
const PATIENCE_MS = 15_000;

export interface SettlingParts extends Omit<OutcomesParts, 'renewal' | 'rescue'> {
  readonly renewal: IndexRenewal;
  /** Bytes of gaps that may be there again. */
  readonly returns: Pick<Returns, 'placesOf' | 'indexRenewed'>;
  /** Keeps what would be lost. Absent: nothing is kept. */
  readonly rescue?: (NonNullable<OutcomesParts['rescue']> & Pick<Rescue, 'offered'>) | undefined;
}

/** An answer to the healer. */
export type IndexState = IndexAnswer | Away;

export class Settling {
  readonly #store: Store;
  readonly #access: SourceAccess;
  readonly #awayDisks: AwayDisks;
  readonly #queue: CaseQueue;
  readonly #renewal: IndexRenewal;
  readonly #returns: SettlingParts['returns'];
  readonly #rescue: SettlingParts['rescue'];
  readonly #logger: Logger;
  readonly #outcomes: Outcomes;
  /** What is known of sources, for who settles their cases. */
  readonly known: KnownSources;

  constructor(parts: SettlingParts) {
    const { store, access, queue, renewal, returns, rescue, logger } = parts;
    this.#store = store;
    this.#access = access;
    this.#awayDisks = new AwayDisks(store);
    this.#queue = queue;
    this.#renewal = renewal;
    this.#returns = returns;
    this.#rescue = rescue;
    this.#logger = logger;
    this.#outcomes = new Outcomes(parts);
    this.known = new KnownSources({ store, queue, returns });
  }

  /** Waits until cases are due for a healer, and takes them. Gives none if there is none in time. */
  async cases(by: Holder, waitMs: number, signal: AbortSignal): Promise<CaseTicket[]> {
    const until = performance.now() + Math.min(waitMs, WAIT_MS);
    for (;;) {
      const tickets: CaseTicket[] = [];
      for (const { id, condition, urgent, seenDeleted, givenUp } of this.#queue.take(BATCH, by)) {
        const record = this.#store.source(id);
        if (record === undefined) {
          this.#queue.settled(id);
          continue;
        }
        // Nothing is found before its disk is back.
        if (this.#access.released.holds(record.path)) {
          this.#queue.postpone(id, { answered: true });
          continue;
        }
        const { state, reason, sinceMs, observed, failed } = condition;
        const kept = this.#store.living.keptOf(id);
        const others = record.spares.filter((spare) => !kept.includes(spare));
        this.#rescue?.offered(id, kept, by);
        tickets.push({
          one: {
            id,
            record: recordOf(record),
            spares: others.flatMap((spare) => this.#spare(spare) ?? []),
            kept: kept.flatMap((spare) => this.#spare(spare) ?? []),
            state,
            reason,
            sinceMs,
            ...(observed === undefined ? {} : { observed }),
            ...(failed === undefined ? {} : { failed }),
            seenDeleted,
            givenUp,
          },
          urgent,
          infoHashes: await this.known.entriesOf(id),
        });
      }
      const left = until - performance.now();
      if (tickets.length > 0 || left <= 0 || signal.aborted) return tickets;
      await this.#queue.changed(left, signal);
    }
  }

  /** A spare's record. Of one that is not trusted, the ctime is left out: its bytes must be asked. */
  #spare(id: number): HealRecord | undefined {
    const record = this.#store.source(id);
    if (record === undefined) return undefined;
    const isTrusted = this.#store.living.condition(id) === undefined;
    return isTrusted ? recordOf(record) : { ...recordOf(record), ctimeNs: undefined };
  }

  /**
   * Applies outcomes; those that hold no longer are left out. `by`: the healer that reports them. A case that it does not have any
   * more was settled by the other one.
   */
  async apply(outcomes: readonly Outcome[], by?: Holder): ReturnType<Outcomes['apply']> {
    return await this.#outcomes.apply(outcomes, by);
  }

  /** Tells the healer if the index may be asked what became of a source, or has to be renewed before. */
  async index(question: IndexQuestion & { readonly missing: readonly string[] }): Promise<IndexState> {
    const { id, disks, missing } = question;
    const [released] = this.#access.released.folders;
    // The index is not renewed without that disk, which a rebuild would keep busy.
    if (released !== undefined && !this.#queue.isGivenUp(id)) return awayOn(released.toString(), 'was released');
    const answer = await this.#renewal.ask(question, this.#queue.isAsked(id));
    if (answer.state !== 'fresh' || this.#queue.isGivenUp(id)) return answer;
    const folders = disks.map(({ path }) => path);
    const mounted = await this.#access.fileSystems.disksMounted();
    const disk = missing[0] ?? (await this.#awayDisks.first(folders, mounted));
    if (disk === undefined) return answer;
    return { ...awayOn(disk, 'is not there'), begun: answer.begun };
  }

  /** Lists the folders on disks that were released and are mounted still. */
  get released(): readonly Buffer[] {
    return this.#access.released.folders;
  }

  /** Takes the report of a rebuild: the healer's, or one that a person has made. */
  indexed(disks: readonly DiskNow[], begunMs: number): void {
    const isOwn = this.#renewal.renewed(disks, begunMs);
    this.#queue.indexRenewed();
    // `rebuild` looks for what was missing itself.
    if (!isOwn) return;
    this.#returns.indexRenewed().catch((error: unknown) => {
      this.#logger.error(`what came back cannot be looked for: ${messageOf(error)}`);
    });
  }

  /** The healer's rebuild has failed. */
  indexFailed(reason: string): void {
    this.#renewal.failed(reason);
  }

  /** Tells why nothing more is found of a source before the index is renewed: a predicate. Undefined if that is not so. */
  awaits(id: number): string | undefined {
    return this.#queue.awaits(id);
  }

  /** Notes sources that a command found not to be as recorded: they are settled at once. */
  suspects(suspects: readonly SuspectSource[]): void {
    const { living } = this.#store;
    for (const { id, reason, found } of suspects) {
      if (this.#store.source(id) === undefined) continue;
      const before = living.condition(id);
      if (before === undefined) {
        living.setCondition(id, {
          state: found === undefined ? 'healing' : 'doubted',
          reason,
          ...(found === undefined ? {} : { observed: found }),
        });
      }
      this.#queue.ask(id);
    }
  }

  retry(): void {
    this.#queue.retry();
  }

  /** Gives up sources that wait for a disk, or lie below a folder. Returns their ids. */
  giveUp(disk: string | Buffer): number[] {
    const given: number[] = [];
    for (const [id, condition] of this.#store.living.conditions()) {
      if (condition.state !== 'waiting') continue;
      const record = this.#store.source(id);
      if (record === undefined) continue;
      // A source may wait for a disk of the configuration, to which it may have been moved.
      const places = [record.path, ...(condition.disk?.startsWith('/') === true ? [Buffer.from(condition.disk)] : [])];
      const isMeant =
        typeof disk === 'string'
          ? (condition.disk ?? record.disk) === disk
          : places.some((place) => isAtOrBelow(place, disk));
      if (!isMeant) continue;
      given.push(id);
    }
    for (const id of given) this.#queue.giveUp(id);
    return given;
  }

  /** Waits until none of these cases is open, but not longer than half a minute. Returns those that still are. */
  async settled(ids: readonly number[], signal: AbortSignal): Promise<number[]> {
    const until = performance.now() + WAIT_MS;
    for (;;) {
      const open = this.#queue.open(ids, PATIENCE_MS);
      const left = until - performance.now();
      if (open.length === 0 || left <= 0 || signal.aborted) return open;
      await this.#queue.changed(Math.min(left, 1000), signal);
    }
  }
}
