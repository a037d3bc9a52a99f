/**
 * The queue of cases: sources whose condition has to be settled, and when each is looked at next.
 *
 * Its content is the conditions in the store, so it survives a restart: what is only here (pauses, whether somebody was seen
 * to delete a file) is a matter of seconds. A case is *held* while a healer has it. A reader who waits makes it *urgent*: then
 * it is handed out to the healer of urgent cases as well, whoever else has it, and the first outcome counts.
 */

import { longerPause, type Pauses } from '../../longer-pause.ts';
import type { Condition } from '../../source/condition.ts';

/** The parts of the store that this needs. */
export interface QueuedSources {
  readonly conditions: () => Iterable<[number, Condition]>;
  readonly condition: (id: number) => Condition | undefined;
}

/** In milliseconds. */
export interface QueueTimes {
  /** Before the first look at a case that was left by an earlier server, or that no reader waits for. */
  readonly start: number;
  /** Before a case that could not be settled is looked at again. */
  readonly again: Pauses;
}

const TIMES: QueueTimes = { start: 3000, again: [2000, 10 * 60_000] };

export interface QueueOptions {
  readonly sources: QueuedSources;
  /** The disk of a source; undefined if it is not known. */
  readonly diskOf: (id: number) => string | undefined;
  /** Tells if something else has used a disk lately: one that sleeps is left alone. Default: always. */
  readonly usedLately?: (disk: string) => boolean;
  /** Tells if it may have changed what an index says that a case awaits. Default: always. */
  readonly isIndexReady?: (id: number) => boolean;
  /** Called with the source of each case that is noted. */
  readonly onNoted?: (id: number) => void;
  /** Called when a case is due and a healer should run. */
  readonly onDue: () => void;
  readonly times?: QueueTimes;
}

/** `urgent`: settles the cases for which readers wait, and no others. */
export type Holder = 'healer' | 'urgent';
const BITS: Readonly<Record<Holder, number>> = { healer: 1, urgent: 2 };

interface Waiting {
  /** When the case began, in milliseconds since 1970. */
  readonly sinceMs: number;
  /** `performance.now()`. */
  notBefore: number;
  pause: number;
  /** A reader waits. */
  urgent: boolean;
  /** A command waits. */
  asked: boolean;
  /** A person waits, also over pauses, until it is known what becomes of it. */
  person: boolean;
  /** `BITS` of the healers that have it. */
  held: number;
  seenDeleted: boolean;
  givenUp: boolean;
  /** It was noted again while it was held. */
  again: boolean;
  /** It is known for what the source waits: nothing more will be found soon. */
  answered: boolean;
  /** Why nothing more is found before the index is renewed: a predicate. */
  awaits: string | undefined;
}

/** Why a case is not settled yet. */
export interface Postponement {
  /** It is known for what the source waits. */
  readonly answered?: boolean;
  /** Nothing more is found before the index is renewed, in `ms`. */
  readonly awaits?: { readonly why: string; readonly ms: number };
  /** Milliseconds after which it can be judged: it is looked at again by then. */
  readonly due?: number | undefined;
}

/** A case that was handed out. */
export interface Taken {
  readonly id: number;
  readonly condition: Condition;
  readonly urgent: boolean;
  readonly seenDeleted: boolean;
  readonly givenUp: boolean;
}

export class CaseQueue {
  readonly #options: QueueOptions;
  readonly #times: QueueTimes;
  readonly #cases = new Map<number, Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #closed = false;
  #settled = 0;
  /** Called once when something changes: a case became due, or was settled. */
  #listeners = new Set<() => void>();

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
  }

  /** Takes up the cases that an earlier server left. */
  load(): void {
    for (const [id, { state, sinceMs }] of this.#options.sources.conditions()) {
      if (state === 'healing' || state === 'waiting') this.#add(id, this.#times.start, sinceMs);
    }
    this.#soon(performance.now() + this.#times.start);
  }

  /** Counts the cases that may be settled soon, and those that were settled since the start. */
  counts(): { readonly open: number; readonly urgent: number; readonly settled: number; readonly oldestMs?: number } {
    let [open, urgent, oldestMs] = [0, 0, Number.POSITIVE_INFINITY];
    for (const one of this.#cases.values()) {
      if (one.answered) continue;
      open++;
      if (one.urgent) urgent++;
      oldestMs = Math.min(oldestMs, one.sinceMs);
    }
    return { open, urgent, settled: this.#settled, ...(open === 0 ? {} : { oldestMs }) };
  }

  get size(): number {
    return this.#cases.size;
  }

  /** Notes that a source is not as recorded. `seenDeleted`: somebody was seen to delete it. */
  note(id: number, { seenDeleted = false }: { readonly seenDeleted?: boolean } = {}): void {
    const one = this.#add(id, 0);
    one.seenDeleted ||= seenDeleted;
    [one.pause, one.awaits] = [0, undefined];
    this.#options.onNoted?.(id);
    this.#soon(0);
  }

  /** Notes a case that a reader waits for. */
  urgent(id: number): void {
    const one = this.#add(id, 0);
    [one.urgent, one.pause, one.answered, one.awaits] = [true, 0, false, undefined];
    this.#soon(0);
  }

  /** Tells if a person waits for a case. */
  isAsked(id: number): boolean {
    return this.#cases.get(id)?.person === true;
  }

  /** Tells if the user gave a source up. */
  isGivenUp(id: number): boolean {
    return this.#cases.get(id)?.givenUp === true;
  }

  /** Tells why nothing more is found of a source before the index is renewed: a predicate. Undefined if that is not so. */
  awaits(id: number): string | undefined {
    return this.#cases.get(id)?.awaits;
  }

  /** The index was renewed, or is not: looks again at what awaits it. */
  indexRenewed(): void {
    for (const one of this.#cases.values()) {
      if (one.awaits !== undefined) [one.notBefore, one.pause, one.awaits] = [0, 0, undefined];
    }
    this.#soon(0);
  }

  /** Notes a case that a command waits for. */
  ask(id: number): void {
    const one = this.#add(id, 0);
    Object.assign(one, ASKED);
    this.#soon(0);
  }

  /** Makes all cases due, and those of sources that are lost. */
  retry(): void {
    for (const [id, { state }] of this.#options.sources.conditions()) if (state !== 'doubted') this.#add(id, 0);
    for (const one of this.#cases.values()) [one.notBefore, one.pause, one.awaits] = [0, 0, undefined];
    this.#soon(0);
  }

  /** Looks again at all that wait for a disk: mounts have changed. */
  lookAgain(): void {
    for (const [id, one] of this.#cases) {
      if (this.#options.sources.condition(id)?.state !== 'waiting') continue;
      [one.notBefore, one.pause] = [0, 0];
      if (one.held !== 0) one.again = true;
    }
    this.#soon(0);
  }

  /** Notes that the user gave a source up: it does not wait for its disk. */
  giveUp(id: number): void {
    const one = this.#add(id, 0);
    Object.assign(one, { givenUp: true, ...ASKED });
    this.#soon(0);
  }

  /** Forgets a case: its source is trusted, lost, or gone. */
  settled(id: number): void {
    const one = this.#cases.get(id);
    if (one === undefined) return;
    this.#settled++;
    if (one.again) {
      Object.assign(one, { ...NOBODYS, notBefore: 0 });
      this.#soon(0);
    } else this.#cases.delete(id);
    this.#changed();
  }

  /** Tries a case again later; each time the pause is longer. */
  postpone(id: number, { answered = false, awaits, due = Number.POSITIVE_INFINITY }: Postponement = {}): void {
    // What was found of it may have been settled before the rest.
    const one = this.#cases.get(id) ?? this.#add(id, 0);
    one.pause = one.again ? 0 : (awaits?.ms ?? longerPause(one.pause, this.#times.again));
    one.answered = (answered || awaits !== undefined) && !one.again;
    one.awaits = one.again ? undefined : awaits?.why;
    one.person &&= !one.answered;
    Object.assign(one, { ...NOBODYS, notBefore: performance.now() + Math.min(due, one.pause) });
    this.#changed();
    this.#soon(one.notBefore);
  }

  /** Hands a case out again at once: more is known of it than whoever has it was told. */
  again(id: number): void {
    const one = this.#add(id, 0);
    Object.assign(one, { ...NOBODYS, urgent: one.urgent, asked: one.asked, pause: 0, notBefore: 0, awaits: undefined });
    this.#changed();
    this.#soon(0);
  }

  /** Hands out due cases, those for which somebody waits first. */
  take(most: number, by: Holder = 'healer'): Taken[] {
    const now = performance.now();
    const urgent: number[] = [];
    const asked: number[] = [];
    const others: number[] = [];
    for (const [id, one] of this.#cases) {
      const isMeant = by === 'urgent' ? isPressing(one, now) : this.#isDue(id, one, now);
      if (!isMeant) continue;
      (one.urgent ? urgent : one.asked ? asked : others).push(id);
      if (urgent.length >= most) break;
    }
    const taken: Taken[] = [];
    for (const id of [...urgent, ...asked, ...others].slice(0, most)) {
      const one = this.#cases.get(id);
      const condition = this.#options.sources.condition(id);
      if (one === undefined) continue;
      if (condition === undefined) {
        this.#cases.delete(id);
        continue;
      }
      one.held |= BITS[by];
      one.again = false;
      taken.push({
        id,
        condition,
        urgent: one.urgent,
        seenDeleted: one.seenDeleted,
        givenUp: one.givenUp,
      });
    }
    if (taken.length === 0) this.#arm();
    return taken;
  }

  /** A healer has ended: what it alone had is due again, after a pause. */
  released(by: Holder = 'healer'): void {
    for (const [id, one] of this.#cases) {
      if ((one.held & BITS[by]) === 0) continue;
      one.held &= ~BITS[by];
      if (one.held === 0) this.postpone(id);
    }
  }

  /** Tells if a healer has a case: another one may have settled it before. */
  isHeld(id: number, by: Holder): boolean {
    return ((this.#cases.get(id)?.held ?? 0) & BITS[by]) !== 0;
  }

  /**
   * Lists those of `ids` that are due or held, or that were postponed for less than `patience` milliseconds without an answer.
   */
  open(ids: readonly number[], patience: number): number[] {
    const soon = performance.now() + patience;
    return ids.filter((id) => {
      const one = this.#cases.get(id);
      return one !== undefined && !one.answered && (one.held !== 0 || one.notBefore < soon);
    });
  }

  get hasDue(): boolean {
    const now = performance.now();
    for (const [id, one] of this.#cases) if (this.#isDue(id, one, now)) return true;
    return false;
  }

  /** True if a case is due for which no reader waits. */
  get hasOthers(): boolean {
    const now = performance.now();
    for (const [id, one] of this.#cases) if (!one.urgent && this.#isDue(id, one, now)) return true;
    return false;
  }

  /** True if a reader waits for a case that the healer of urgent ones does not have. */
  get hasUrgent(): boolean {
    const now = performance.now();
    for (const one of this.#cases.values()) if (isPressing(one, now)) return true;
    return false;
  }

  /** Resolves when a case may be due or was settled, or after `ms`. */
  async changed(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      this.#listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#changed();
  }

  #add(id: number, delay: number, sinceMs = Date.now()): Waiting {
    const notBefore = performance.now() + delay;
    const known = this.#cases.get(id);
    if (known !== undefined) {
      known.notBefore = Math.min(known.notBefore, notBefore);
      if (known.held !== 0) known.again = true;
      return known;
    }
    const flags = { seenDeleted: false, givenUp: false, answered: false, awaits: undefined, person: false };
    const one = { sinceMs, notBefore, pause: 0, ...NOBODYS, ...flags };
    this.#cases.set(id, one);
    return one;
  }

  #isDue(id: number, one: Waiting, now: number): boolean {
    if (one.held !== 0 || one.notBefore > now) return false;
    if (one.urgent || one.asked || one.pause === 0) return true;
    if (one.awaits !== undefined) return this.#options.isIndexReady?.(id) !== false;
    // It was looked at before, and nobody waits: a disk that sleeps is not woken for it.
    const { usedLately, diskOf } = this.#options;
    const disk = usedLately === undefined ? undefined : diskOf(id);
    return disk === undefined || usedLately?.(disk) !== false;
  }

  #changed(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  /** Sets the one timer to a case that comes before the others. */
  #soon(at: number): void {
    if (this.#closed || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, Math.min(at - performance.now(), 2 ** 30)));
    this.#timer.unref();
  }

  /** Sets the timer anew: nothing is due now. */
  #arm(): void {
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const { held, notBefore, awaits } of this.#cases.values()) {
      // What was due before and is not now waits for a disk that sleeps.
      const asleep = awaits === undefined ? ASLEEP_MS : NOT_READ_MS;
      if (held === 0) next = Math.min(next, notBefore <= now ? now + asleep : notBefore);
    }
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (next !== Number.POSITIVE_INFINITY) this.#soon(next);
  }

  #fire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#closed) return;
    if (!this.hasDue && !this.hasUrgent) {
      this.#arm();
      return;
    }
    this.#changed();
    this.#options.onDue();
  }
}

/** What a case becomes when a person begins to wait for it. */
const ASKED = { asked: true, person: true, pause: 0, answered: false, awaits: undefined } as const;

/** What a case is that no healer has, and nobody waits for. */
const NOBODYS = { urgent: false, asked: false, held: 0, again: false } as const;

/** Also one that another healer has: it may be busy with others. */
function isPressing({ urgent, held, notBefore }: Waiting, now: number): boolean {
  return urgent && (held & BITS.urgent) === 0 && (held !== 0 || notBefore <= now);
}

/** Milliseconds after which it is asked again if a sleeping disk is used. */
const ASLEEP_MS = 30_000;
/** The same for one that is to be read for the index: what was done to it a moment ago reaches it some seconds later. */
const NOT_READ_MS = 5000;
