/** Keeps files: chooses the thread, keeps to the limits, and knows what is kept. `kept-files.ts` has the interface. */
import { randomBytes } from 'node:crypto';
import { Batches } from '../batches.ts';
import { messageOf } from '../errors.ts';
import { FOUND_FOLDER, OWN_FOLDER } from '../source/own-folder.ts';
import { rebased } from '../source/paths.ts';
import { RELEASED } from '../source/released-folders.ts';
import { within } from '../within.ts';
import type { KeepThread } from './keep-thread.ts';
import { KeepThreads } from './keep-threads.ts';
import type { Keeping, KeptFiles, KeptFilesOptions, KeptRange, KeptUsage, NotKept, ToKeep } from './kept-files.ts';
import type { KeepAnswer, KeepRequest, KeepRules, KeptAt } from './messages.ts';
import { keptName } from './places.ts';
import { Usage } from './usage.ts';

/** Milliseconds after which a disk that does not answer is cleaned without anybody who waits. */
const SLOW_MS = 30_000;
/** Files that a thread is asked to keep at once. */
const AT_ONCE = 64;
const NO_ROOM = 'cannot be kept: no more than rescue_total is kept on a disk';
const FOLDER = /^[0-9a-f]{16}$/;

/** Opens what keeps files. Nothing is touched before it is asked for something. */
export function openKeptFiles(options: KeptFilesOptions): KeptFiles {
  return new Keeper(options);
}

class Keeper implements KeptFiles {
  readonly #options: KeptFilesOptions;
  readonly #usage = new Usage();
  readonly #threads: KeepThreads;
  readonly #lots = new Map<number, Batches<ToKeep, Keeping>>();
  /** The folders of files that were kept, or begun, since the start. */
  readonly #fresh = new Set<string>();
  /** What was said: by disk and reason. */
  readonly #pooled = new Set<string>();

  constructor(options: KeptFilesOptions) {
    this.#options = options;
    this.#threads = new KeepThreads(options.fileSystems);
  }

  async keep(one: ToKeep): Promise<Keeping> {
    const { released } = this.#options;
    try {
      return await released.during(one.path, async () => {
        if (released.holds(one.path)) return notKept('error', RELEASED.says);
        return await this.#lotsOf(one.identity.dev).add(one);
      });
    } catch (error) {
      return notKept('error', `cannot be kept: ${messageOf(error)}`);
    }
  }

  /** Those of one disk: a lot begins when the last is accounted for, so that the limits hold for all of them. */
  #lotsOf(dev: number): Batches<ToKeep, Keeping> {
    const known = this.#lots.get(dev);
    if (known !== undefined) return known;
    const lots = new Batches<ToKeep, Keeping>(AT_ONCE, (lot) => this.#keepLot(this.#threads.keeping(dev), lot));
    this.#lots.set(dev, lots);
    return lots;
  }

  #keepLot(thread: KeepThread, lot: readonly ToKeep[]): readonly Promise<Keeping>[] {
    // One object for all: the thread counts in it.
    const rules = this.#rules();
    const asked = lot.map((one) => this.#requestOf(one));
    const answers = asked.map(async (request) => await this.#threads.ask(thread, { ...request, rules: await rules }));
    // Those for which there is no room wait for the others, and are tried again in turn.
    let turn: Promise<unknown> = Promise.allSettled(answers);
    const full = new Map<string, number>();
    return lot.map(async (one, i) => {
      const [request, first] = [asked[i]!, await answers[i]!];
      this.#listed(first);
      if (first.kind !== 'over') return this.#became(one, request, first);
      const again = turn.then(async () => {
        const answer = await this.#withRoom(thread, request, first, full);
        return this.#became(one, request, answer);
      });
      turn = again.catch(() => {});
      return await again;
    });
  }

  /** Asks again as long as there is room, or it can be made. `full`: by place, the least for which there was none. */
  async #withRoom(
    thread: KeepThread,
    request: Omit<KeepRequest, 'rules'>,
    first: KeepAnswer,
    full: Map<string, number>,
  ): Promise<KeepAnswer> {
    let answer = first;
    while (answer.kind === 'over') {
      const { place, bytes } = answer;
      if (bytes >= (full.get(place) ?? Number.POSITIVE_INFINITY)) return answer;
      const lacking = this.#usage.bytesIn(place) + bytes - this.#options.total;
      if (lacking > 0 && !(await this.#madeRoom(place, lacking))) {
        full.set(place, bytes);
        return answer;
      }
      answer = await this.#threads.ask(thread, { ...request, rules: await this.#rules() });
      this.#listed(answer);
    }
    return answer;
  }

  #requestOf({ path, ...one }: ToKeep): Omit<KeepRequest, 'rules'> {
    const folder = randomBytes(8).toString('hex');
    this.#fresh.add(folder);
    return { kind: 'keep', ...one, folder, path: path.toString('latin1') };
  }

  async #rules(): Promise<KeepRules> {
    const { folders, pool, state, limit, total, released } = this.#options;
    return {
      folders: (await folders()).map((disk) => disk.toString('latin1')),
      pool: Buffer.from(pool).toString('latin1'),
      released: released.folders.map((path) => path.toString('latin1')),
      state,
      limit,
      total,
      kept: this.#usage.bytes,
    };
  }

  #listed({ listed }: KeepAnswer): void {
    if (listed !== undefined) this.#usage.listed(listed);
  }

  #became(one: ToKeep, { folder }: Omit<KeepRequest, 'rules'>, answer: KeepAnswer): Keeping {
    if (answer.kind === 'kept') return this.#noted(answer, one);
    this.#fresh.delete(folder);
    return answer.kind === 'over' ? notKept('rescue_total', NO_ROOM) : notKept(answer.why, answer.says);
  }

  #noted(answer: Extract<KeepAnswer, { kind: 'kept' }>, { path, identity: { dev } }: ToKeep): Keeping {
    const { at, identity, shared, missing, pooled, original, unwritten } = answer;
    this.#usage.note(at);
    const why = `${dev} ${pooled}`;
    if (pooled !== undefined && !this.#pooled.has(why)) {
      this.#pooled.add(why);
      const where = `what would be lost is kept in ${this.#options.pool}, and not on the disk of ${path.toString()}`;
      this.#options.logger.info(`${where}: ${pooled}`);
    }
    return {
      kind: 'kept',
      path: this.#pathOf(at),
      identity,
      shared,
      missing,
      bytes: at.bytes,
      ...(original && { original, unwritten: unwritten === true }),
    };
  }

  /** Deletes files that no extent names until there is room in a place, if that is enough. */
  async #madeRoom(place: string, bytes: number): Promise<boolean> {
    const { expendable, letGo } = this.#options;
    const here = expendable().flatMap((path) => {
      const at = this.#at(path);
      return at?.place === place ? [{ path, bytes: this.#usage.bytesOf(at) }] : [];
    });
    if (here.reduce((sum, file) => sum + file.bytes, 0) < bytes) return false;
    let freed = 0;
    for (const file of here) {
      if (freed >= bytes) break;
      if (!(await letGo(file.path))) continue;
      await this.drop(file.path);
      freed += file.bytes;
    }
    return freed >= bytes;
  }

  async sync(path: Buffer): Promise<void> {
    await this.#onKept(
      path,
      async (thread, at) => await this.#threads.ask(thread, { kind: 'sync', at, state: this.#state }),
    );
  }

  async trim(path: Buffer, ranges: readonly KeptRange[]): Promise<void> {
    await this.#onKept(path, async (thread, at) => {
      this.#usage.note({
        ...at,
        bytes: await this.#threads.ask(thread, { kind: 'trim', at, state: this.#state, ranges }),
      });
    });
  }

  async drop(path: Buffer): Promise<void> {
    await this.#onKept(path, async (thread, at) => {
      await this.#threads.ask(thread, { kind: 'drop', at, state: this.#state });
      this.#usage.dropped(at);
      this.#fresh.delete(at.folder);
    });
  }

  async missing(paths: readonly Buffer[]): Promise<readonly Buffer[]> {
    const places = new Map<string, KeptAt[]>();
    for (const path of paths) {
      const at = this.#at(path);
      if (at !== undefined) places.set(at.place, [...(places.get(at.place) ?? []), at]);
    }
    const found = [...places].map(async ([place, files]) => {
      const asking = this.#missingIn(place, files).catch((error: unknown) => {
        this.#options.logger.debug(`what is kept on ${place} cannot be looked at: ${messageOf(error)}`);
      });
      return (await within(SLOW_MS, asking)) ?? [];
    });
    const missing = (await Promise.all(found)).flat();
    for (const at of missing) this.#usage.dropped(at);
    return missing.map((at) => this.#pathOf(at));
  }

  async #missingIn(place: string, files: readonly KeptAt[]): Promise<readonly KeptAt[]> {
    let missing: readonly KeptAt[] = [];
    await this.#onPlace(Buffer.from(place, 'latin1'), async () => {
      const thread = await this.#threads.for(place);
      missing = await this.#threads.ask(thread, { kind: 'missing', place, state: this.#state, files });
    });
    return missing;
  }

  /** @throws Error for a file that was not kept for this state, or lies on a disk that was released */
  async #onKept(path: Buffer, work: (thread: KeepThread, at: KeptAt) => Promise<unknown>): Promise<void> {
    const { released } = this.#options;
    const at = this.#at(path);
    if (at === undefined) throw new Error(`${path.toString()} is no kept file`);
    await released.during(path, async () => {
      if (released.holds(path)) throw new Error(`${path.toString()} ${RELEASED.says}`);
      await work(await this.#threads.for(at.place), at);
    });
  }

  isKept(path: Buffer): boolean {
    return this.#at(path) !== undefined;
  }

  async clean(named: readonly Buffer[]): Promise<void> {
    const { folders, pool } = this.#options;
    // Not by its path: the disk may be mounted elsewhere by now, or have several names.
    const known = new Set(named.flatMap((path) => this.#at(path)?.folder ?? []));
    const done = new Set<string>();
    const cleaned = [Buffer.from(pool), ...(await folders())].map(async (folder) => {
      await this.#cleanBelow(folder, known, done).catch((error: unknown) => {
        if (this.#threads.closed) return;
        this.#options.logger.warn(`what is kept on ${folder.toString()} was not looked at: ${messageOf(error)}`);
      });
    });
    await within(SLOW_MS, Promise.all(cleaned));
  }

  /** Cleans a folder that holds sources, and the mounts below it. `done`: places that somebody cleans already. */
  async #cleanBelow(named: Buffer, known: ReadonlySet<string>, done: Set<string>): Promise<void> {
    const { released, fileSystems } = this.#options;
    const clean = async (place: string): Promise<void> => {
      if (done.has(place)) return;
      done.add(place);
      await this.#onPlace(Buffer.from(place, 'latin1'), async () => await this.#cleanPlace(place, known));
    };
    if (released.holds(named)) return;
    const name = named.toString('latin1');
    const cleaning = clean(name);
    const real = await this.#threads.realOf(name);
    const mounts = real === undefined ? [] : await fileSystems.mountsBelow(real);
    const below = mounts.map((mount) => rebased(mount, real ?? mount, named).toString('latin1'));
    await Promise.all([cleaning, ...below.map(clean)]);
  }

  async #cleanPlace(place: string, known: ReadonlySet<string>): Promise<void> {
    const thread = await this.#threads.for(place);
    const request = { kind: 'clean', place, state: this.#state } as const;
    const { files, moved } = await this.#threads.ask(thread, request);
    if (moved > 0) {
      const found = `${Buffer.from(place, 'latin1').toString()}/${OWN_FOLDER}/${FOUND_FOLDER}`;
      const what = `${moved} file(s) that were kept for a lost state are in ${found}`;
      this.#options.logger.info(`${what}: autotorrent rebuild reads them`);
    }
    if (!this.#usage.knows(place)) this.#usage.listed({ place, files });
    const unnamed = files.filter((at) => !this.#fresh.has(at.folder) && !known.has(at.folder));
    for (const at of unnamed) await this.drop(this.#pathOf(at));
    // Where nothing is left, the folder goes as well.
    if (unnamed.length > 0 && unnamed.length === files.length) await this.#threads.ask(thread, request);
  }

  /** Does work on a place, unless its disk was released. */
  async #onPlace(folder: Buffer, work: () => Promise<void>): Promise<void> {
    const { released } = this.#options;
    await released.during(folder, async () => {
      if (!released.holds(folder)) await work();
    });
  }

  usage(): readonly KeptUsage[] {
    return this.#usage.all();
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }

  get #state(): KeptFilesOptions['state'] {
    return this.#options.state;
  }

  #pathOf({ place, folder, name }: KeptAt): Buffer {
    return Buffer.from(`${place === '/' ? '' : place}${this.#inPlace}${folder}/${name}`, 'latin1');
  }

  /** Where a kept file of this state lies; undefined for any other path. */
  #at(path: Buffer): KeptAt | undefined {
    const text = path.toString('latin1');
    const start = text.lastIndexOf(this.#inPlace);
    if (start < 0) return undefined;
    const [folder = '', name, more] = text.slice(start + this.#inPlace.length).split('/');
    if (!FOLDER.test(folder) || name === undefined || name === '' || more !== undefined) return undefined;
    return { place: start === 0 ? '/' : text.slice(0, start), folder, name };
  }

  get #inPlace(): string {
    return `/${OWN_FOLDER}/${keptName(this.#options.state)}/`;
  }
}

function notKept(why: NotKept, says: string): Keeping {
  return { kind: 'not kept', why, says };
}
