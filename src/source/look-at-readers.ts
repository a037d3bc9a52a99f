/**
 * Looks at who may read a source: at its own mode, and at the modes of all folders above it.
 *
 * The folders are those of the real path. Of an open file the kernel tells it (`/proc/self/fd`), so that a symlink, or a
 * folder that has moved since, leads nobody astray. A folder's mode is believed for a second. Files in folders of our own
 * state (the pool) may be read as their own mode says: those folders are closed to others whatever the files are.
 */
import { readlinkSync, type Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { OwnMounts } from './own-mounts.ts';
import { bothOf, passersOfFolder, type Readers, readersOfFile } from './readers.ts';

/** Milliseconds for which the mode of a folder is believed. */
const FRESH_MS = 1000;
/** Folders remembered at most. All are forgotten when it is full. */
const LIMIT = 10_000;
const SLASH = 0x2f;

interface Folder {
  readonly at: number;
  readonly passers: Promise<Readers>;
}

export class ReadersLook {
  readonly #ownMounts: OwnMounts;
  readonly #ownFolders: readonly Buffer[];
  /** By path, each byte a character. */
  readonly #folders = new Map<string, Folder>();

  /** `ownFolders`: absolute paths of the folders of our own state. */
  constructor(ownMounts: OwnMounts, ownFolders: readonly string[]) {
    this.#ownMounts = ownMounts;
    this.#ownFolders = ownFolders.map((folder) => Buffer.from(folder));
  }

  /** Tells who may read the open file `fd`, which was opened as `path`. Does not wait for the file's disk. */
  async atOpen(fd: number, stats: Stats, path: Buffer): Promise<Readers> {
    const own = readersOfFile(stats);
    if (own === 'nobody' || this.#isOwn(path)) return own;
    try {
      return bothOf(own, await this.#passers(readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' })));
    } catch {
      return 'nobody';
    }
  }

  /** Tells who may read the file at `path`. Undefined if it is not there, or cannot be looked at. */
  async atPath(path: Buffer): Promise<Readers | undefined> {
    try {
      await this.#ownMounts.refresh();
      if (this.#ownMounts.holdsPath(path)) return undefined;
      const own = readersOfFile(await stat(path));
      if (own === 'nobody' || this.#isOwn(path)) return own;
      return bothOf(own, await this.#passers(await realpath(path, { encoding: 'buffer' })));
    } catch {
      return undefined;
    }
  }

  #isOwn(path: Buffer): boolean {
    return this.#ownFolders.some((folder) => isAtOrBelow(path, folder));
  }

  /** Who may go through all folders above a real path. */
  async #passers(path: Buffer): Promise<Readers> {
    // The kernel writes `(unreachable)` before the path of a file that lies outside of our root.
    if (path[0] !== SLASH) return 'nobody';
    const text = path.toString('latin1');
    const looks: Promise<Readers>[] = [];
    for (let end = text.lastIndexOf('/'); end > 0; end = text.lastIndexOf('/', end - 1)) {
      looks.push(this.#folder(text.slice(0, end)));
    }
    looks.push(this.#folder('/'));
    return (await Promise.all(looks)).reduce(bothOf);
  }

  #folder(path: string): Promise<Readers> {
    const now = performance.now();
    const known = this.#folders.get(path);
    if (known !== undefined && now - known.at < FRESH_MS) return known.passers;
    if (this.#folders.size >= LIMIT) this.#folders.clear();
    const passers = stat(Buffer.from(path, 'latin1')).then(passersOfFolder);
    this.#folders.set(path, { at: now, passers });
    // A failure is not believed for a second. Whoever waits for it gets it.
    passers.catch(() => this.#folders.delete(path));
    return passers;
  }
}
