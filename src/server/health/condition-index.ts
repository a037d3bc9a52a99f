/**
 * The conditions of sources, by entry and in all, so that health costs no look at every condition.
 *
 * Built once from the store, and then kept by its notices: a change of one source looks up the entries that use it. It is
 * some moments behind where very many sources change at once.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Condition, ConditionState } from '../../source/condition.ts';
import type { Store } from '../../store/store.ts';

/** Sources in one state; those that wait, for one disk. */
export interface StateCount {
  readonly state: ConditionState;
  /** The disk that is waited for, as a person knows it; empty for other states. */
  readonly disk: string;
  readonly sources: number;
}

interface Known {
  /** The number of its kind (state and disk). */
  readonly kind: number;
  /** Ids of the entries that use it. */
  readonly users: readonly number[];
}

/** More sources than this are looked up by one walk over all uses. */
const MANY = 2000;
/** Sources that are looked up at once. */
const AT_ONCE = 64;

export class ConditionIndex {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #nameOfDisk: (path: Buffer) => string;
  readonly #kinds: { readonly state: ConditionState; readonly disk: string }[] = [];
  readonly #kindOf = new Map<string, number>();
  readonly #known = new Map<number, Known>();
  /** Sources by kind, in all and of each entry that has any. */
  readonly #totals = new Map<number, number>();
  readonly #entries = new Map<number, Map<number, number>>();
  readonly #pending = new Set<number>();
  readonly #unwatch: () => void;
  #working: Promise<void> | undefined;
  #version = 0;
  #closed = false;

  /** `nameOfDisk` names the disk of a path as the user does. */
  constructor(store: Store, nameOfDisk: (path: Buffer) => string, logger: Logger) {
    this.#store = store;
    this.#nameOfDisk = nameOfDisk;
    this.#logger = logger;
    this.#unwatch = store.watch({
      conditionChanged: (id) => this.#note([id]),
      // Who uses it may have changed as well.
      sourcesChanged: (ids) => this.#note(ids.filter((id) => this.#known.has(id) || this.#isConditioned(id))),
    });
    const all: number[] = [];
    for (const [id] of store.living.conditions()) all.push(id);
    this.#note(all);
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
  }

  /** Rises with each change. */
  get version(): number {
    return this.#version;
  }

  /** True while every source is trusted. */
  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  /** Counts the sources of an entry (by its id) that are not trusted. */
  of(entry: number): StateCount[] {
    return this.#counted(this.#entries.get(entry));
  }

  /** Counts all sources that are not trusted. */
  totals(): StateCount[] {
    return this.#counted(this.#totals);
  }

  /** Looks again at sources that an entry, which was just made, uses. */
  entryMade(sources: Iterable<number>): void {
    this.#note([...sources].filter((id) => this.#isConditioned(id)));
  }

  /** Resolves when every change so far is counted. Never rejects. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #isConditioned(id: number): boolean {
    return this.#store.living.condition(id) !== undefined;
  }

  #counted(counts: ReadonlyMap<number, number> | undefined): StateCount[] {
    return [...(counts ?? [])].map(([kind, sources]) => ({ ...this.#kinds[kind]!, sources }));
  }

  #note(ids: readonly number[]): void {
    for (const id of ids) this.#pending.add(id);
    if (this.#pending.size === 0 || this.#closed) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    // Changes come in bursts, and the notice must cost its caller nothing.
    await new Promise(setImmediate);
    while (this.#pending.size > 0 && !this.#closed) {
      try {
        await (this.#pending.size > MANY ? this.#lookAtAll() : this.#lookAtSome());
      } catch (error) {
        this.#logger.error(`the health of some entries is not known: ${messageOf(error)}`);
      }
    }
  }

  async #lookAtSome(): Promise<void> {
    const some: number[] = [];
    for (const id of this.#pending) {
      some.push(id);
      this.#pending.delete(id);
      if (some.length === AT_ONCE) break;
    }
    const users = await this.#store.living.usersOfAll(some.filter((id) => this.#isConditioned(id)));
    for (const id of some) this.#take(id, users.get(id) ?? []);
  }

  /** Looks at the uses of all sources in turn: faster than to look up many. */
  async #lookAtAll(): Promise<void> {
    const pending = new Set(this.#pending);
    this.#pending.clear();
    let source = -1;
    let users: number[] = [];
    const next = (): void => {
      if (pending.delete(source)) this.#take(source, users);
    };
    for await (const page of this.#store.living.uses()) {
      if (this.#closed) return;
      for (const [id, entry] of page) {
        if (id !== source) {
          next();
          [source, users] = [id, []];
        }
        users.push(entry);
      }
    }
    next();
    for (const id of pending) this.#take(id, []);
  }

  #take(id: number, users: readonly number[]): void {
    // As it is now, not as it was before the look-up.
    const condition = this.#store.living.condition(id);
    const before = this.#known.get(id);
    if (before !== undefined) this.#count(before, -1);
    this.#version++;
    if (condition === undefined || users.length === 0) {
      this.#known.delete(id);
      return;
    }
    const now: Known = { kind: this.#kind(id, condition), users };
    this.#known.set(id, now);
    this.#count(now, 1);
  }

  #kind(id: number, { state, disk: awaited }: Condition): number {
    const path = state === 'waiting' ? this.#store.source(id)?.path : undefined;
    // It may wait for another disk than its own: a folder of the configuration.
    const other = awaited?.startsWith('/') === true ? awaited : undefined;
    const disk = path === undefined ? '' : (other ?? this.#nameOfDisk(path));
    const key = `${state} ${disk}`;
    const known = this.#kindOf.get(key);
    if (known !== undefined) return known;
    const kind = this.#kinds.push({ state, disk }) - 1;
    this.#kindOf.set(key, kind);
    return kind;
  }

  #count({ kind, users }: Known, by: 1 | -1): void {
    add(this.#totals, kind, by);
    for (const entry of users) {
      const counts = this.#entries.get(entry) ?? new Map<number, number>();
      add(counts, kind, by);
      if (counts.size === 0) this.#entries.delete(entry);
      else this.#entries.set(entry, counts);
    }
  }
}

function add(counts: Map<number, number>, kind: number, by: number): void {
  const count = (counts.get(kind) ?? 0) + by;
  if (count === 0) counts.delete(kind);
  else counts.set(kind, count);
}
