/** Keeps files: chooses the thread, keeps to the limits, and knows what is kept. `kept-files.ts` has the interface. */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../errors.ts';
import { FOUND_FOLDER, OWN_FOLDER } from '../source/own-folder.ts';
import { OwnMounts } from '../source/own-mounts.ts';
import { rebased } from '../source/paths.ts';
import { realFolder } from '../source/real-folder.ts';
import { RELEASED } from '../source/released-folders.ts';
import { runLater } from '../source/steps.ts';
import { within } from '../within.ts';
import { KeepThread } from './keep-thread.ts';
import type { Keeping, KeptFiles, KeptFilesOptions, KeptRange, KeptUsage, NotKept, ToKeep } from './kept-files.ts';
import type { Answers, KeepAnswer, KeptAt, Request } from './messages.ts';
import { keptName } from './places.ts';
import { Usage } from './usage.ts';

const CLOSING_MS = 5000;
const FOLDER = /^[0-9a-f]{16}$/;

/** Opens what keeps files. Nothing is touched before it is asked for something. */
export function openKeptFiles(options: KeptFilesOptions): KeptFiles {
  return new Keeper(options);
}

class Keeper implements KeptFiles {
  readonly #options: KeptFilesOptions;
  readonly #usage = new Usage();
  /** By disk: one that does not answer holds up nothing of the others. Whoever waits for `keep` waits for nothing else. */
  readonly #threads = new Map<string, KeepThread>();
  /** By disk: the last file that is being kept. */
  readonly #turns = new Map<number, Promise<unknown>>();
  /** The folders of files that were kept, or begun, since the start. */
  readonly #fresh = new Set<string>();
  readonly #asked = new Set<Promise<unknown>>();
  readonly #pooled = new Set<string>();

  constructor(options: KeptFilesOptions) {
    this.#options = options;
  }

  async keep(one: ToKeep): Promise<Keeping> {
    const { released, fileSystems } = this.#options;
    try {
      return await released.during(one.path, async () => {
        if (released.holds(one.path)) return notKept('error', RELEASED.says);
        const { dev } = await fileSystems.diskHolding(one.path);
        return await this.#inTurn(dev, async () => await this.#keep(this.#thread(`keep ${dev}`), one));
      });
    } catch (error) {
      return notKept('error', `cannot be kept: ${messageOf(error)}`);
    }
  }

  /** Those of one disk in turn, so that the limits hold for all of them. */
  async #inTurn<T>(dev: number, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(dev) ?? Promise.resolve();
    const turn = before.then(work);
    const settled = turn.catch(() => {});
    this.#turns.set(dev, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(dev) === settled) this.#turns.delete(dev);
    }
  }

  async #keep(thread: KeepThread, one: ToKeep): Promise<Keeping> {
    const { folders, pool, state, limit, total, released } = this.#options;
    const { fd, identity, ranges, readers } = one;
    const folder = randomBytes(8).toString('hex');
    const request = {
      ...({ kind: 'keep', fd, folder, path: one.path.toString('latin1'), identity, ranges, readers } as const),
      folders: (await folders()).map((disk) => disk.toString('latin1')),
      pool: Buffer.from(pool).toString('latin1'),
      released: released.folders.map((path) => path.toString('latin1')),
      state,
      limit,
      total,
    };
    this.#fresh.add(folder);
    for (;;) {
      const answer = await this.#ask(thread, { ...request, kept: this.#usage.bytes });
      if (answer.listed !== undefined) this.#usage.listed(answer.listed);
      if (answer.kind === 'over') {
        if (await this.#madeRoom(answer.place, answer.bytes)) continue;
        return this.#without(folder, 'rescue_total', 'cannot be kept: no more than rescue_total is kept on a disk');
      }
      return answer.kind === 'kept' ? this.#noted(answer, one) : this.#without(folder, answer.why, answer.says);
    }
  }

  #without(folder: string, why: NotKept, says: string): Keeping {
    this.#fresh.delete(folder);
    return notKept(why, says);
  }

  #noted(answer: Extract<KeepAnswer, { kind: 'kept' }>, { path }: ToKeep): Keeping {
    const { at, identity, shared, pooled } = answer;
    this.#usage.note(at);
    if (pooled !== undefined && !this.#pooled.has(pooled)) {
      this.#pooled.add(pooled);
      const where = `what would be lost is kept in ${this.#options.pool}, and not on the disk of ${path.toString()}`;
      this.#options.logger.info(`${where}: ${pooled}`);
    }
    return { kind: 'kept', path: this.#pathOf(at), identity, shared, bytes: at.bytes };
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
    await this.#onKept(path, async (thread, at) => await this.#ask(thread, { kind: 'sync', at, state: this.#state }));
  }

  async trim(path: Buffer, ranges: readonly KeptRange[]): Promise<void> {
    await this.#onKept(path, async (thread, at) => {
      this.#usage.note({ ...at, bytes: await this.#ask(thread, { kind: 'trim', at, state: this.#state, ranges }) });
    });
  }

  async drop(path: Buffer): Promise<void> {
    await this.#onKept(path, async (thread, at) => {
      await this.#ask(thread, { kind: 'drop', at, state: this.#state });
      this.#usage.dropped(at);
      this.#fresh.delete(at.folder);
    });
  }

  /** @throws Error for a file that was not kept for this state, or lies on a disk that was released */
  async #onKept(path: Buffer, work: (thread: KeepThread, at: KeptAt) => Promise<unknown>): Promise<void> {
    const { released } = this.#options;
    const at = this.#at(path);
    if (at === undefined) throw new Error(`${path.toString()} is no kept file`);
    await released.during(path, async () => {
      if (released.holds(path)) throw new Error(`${path.toString()} ${RELEASED.says}`);
      await work(await this.#threadFor(path), at);
    });
  }

  isKept(path: Buffer): boolean {
    return this.#at(path) !== undefined;
  }

  async clean(named: readonly Buffer[]): Promise<void> {
    const places = await this.#places();
    // Not by its path: the disk may be mounted elsewhere by now, or have several names.
    const folders = new Set(named.flatMap((path) => this.#at(path)?.folder ?? []));
    // The local ones share a thread, which takes one after the other.
    await Promise.all([...places].map(async (place) => await this.#cleanPlace(place, folders)));
  }

  async #cleanPlace(place: string, named: ReadonlySet<string>): Promise<void> {
    const { released, logger } = this.#options;
    const folder = Buffer.from(place, 'latin1');
    await released.during(folder, async () => {
      if (released.holds(folder)) return;
      const thread = await this.#threadFor(folder);
      const { files, moved } = await this.#ask(thread, { kind: 'clean', place, state: this.#state });
      if (moved > 0) {
        const found = `${folder.toString()}/${OWN_FOLDER}/${FOUND_FOLDER}`;
        logger.info(`${moved} file(s) that were kept for a lost state are in ${found}: autotorrent rebuild reads them`);
      }
      if (!this.#usage.knows(place)) this.#usage.listed({ place, files });
      const unnamed = files.filter((at) => !this.#fresh.has(at.folder) && !named.has(at.folder));
      for (const at of unnamed) await this.drop(this.#pathOf(at));
      // Where nothing is left, the folder goes as well.
      if (unnamed.length > 0 && unnamed.length === files.length) {
        await this.#ask(thread, { kind: 'clean', place, state: this.#state });
      }
    });
  }

  /** The folders in which `.autotorrent` may lie: those that hold sources, the mounts below them, and the pool. */
  async #places(): Promise<Set<string>> {
    const { folders, fileSystems, pool } = this.#options;
    const places = new Set([Buffer.from(pool).toString('latin1')]);
    const ownMounts = new OwnMounts();
    await ownMounts.refresh();
    const avoid = ownMounts.paths;
    for (const named of await folders()) {
      places.add(named.toString('latin1'));
      const found = await runLater(realFolder(named, { avoid }));
      if (found === undefined || 'says' in found) continue;
      for (const mount of await fileSystems.mountsBelow(found.real)) {
        places.add(rebased(mount, found.real, named).toString('latin1'));
      }
    }
    return places;
  }

  usage(): readonly KeptUsage[] {
    return this.#usage.all();
  }

  async close(): Promise<void> {
    await within(CLOSING_MS, Promise.allSettled(this.#asked));
    await Promise.all([...this.#threads.values()].map(async (thread) => await thread.close()));
  }

  get #state(): KeptFilesOptions['state'] {
    return this.#options.state;
  }

  async #threadFor(path: Buffer): Promise<KeepThread> {
    const { dev, local } = await this.#options.fileSystems.diskHolding(path);
    return this.#thread(local ? 'local' : `${dev}`);
  }

  #thread(name: string): KeepThread {
    const known = this.#threads.get(name);
    if (known !== undefined) return known;
    const thread = new KeepThread(() => {
      if (this.#threads.get(name) === thread) this.#threads.delete(name);
    });
    this.#threads.set(name, thread);
    return thread;
  }

  async #ask<Kind extends Request['kind']>(
    thread: KeepThread,
    request: Extract<Request, { kind: Kind }>,
  ): Promise<Answers[Kind]> {
    const asked = thread.ask(request);
    this.#asked.add(asked);
    try {
      return await asked;
    } finally {
      this.#asked.delete(asked);
    }
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
    return `/${OWN_FOLDER}/${keptName(this.#options.state.id)}/`;
  }
}

function notKept(why: NotKept, says: string): Keeping {
  return { kind: 'not kept', why, says };
}
