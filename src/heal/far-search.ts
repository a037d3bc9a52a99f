/**
 * Looks for a file in all folders of the disks, the nearest to its old place first, until a number of folders was read: it
 * finds a folder that was moved where neither the watch nor the index has seen it yet.
 */
import { folderOf } from '../source/paths.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { Folders, type Found, joined } from './folders.ts';

/** Folders that are read from one place on. */
const MOST_FOLDERS = 4096;
/** Milliseconds for which what was found counts. */
const FRESH_MS = 30_000;
/** Folders between two turns of the event loop. */
const TURN = 64;

export class FarSearch {
  readonly #folders: Folders;
  readonly #disks: readonly Buffer[];
  #bySize = new Map<number, Found[]>();
  #visited = new Set<string>();
  #isComplete = false;
  #since = Number.NEGATIVE_INFINITY;

  constructor(access: SourceAccess) {
    this.#folders = new Folders(access);
    this.#disks = access.rules.disks.map((disk) => Buffer.from(disk as string));
  }

  /** Lists files with this size and this mtime: a move keeps both. */
  async filesLike(path: Buffer, size: number, mtimeNs: bigint): Promise<Buffer[]> {
    const now = performance.now();
    if (now - this.#since > FRESH_MS) {
      this.#folders.begin();
      this.#bySize = new Map();
      this.#visited = new Set();
      [this.#isComplete, this.#since] = [false, now];
    }
    let there = folderOf(path);
    while (there.length > 1 && this.#folders.read(there) === undefined) there = folderOf(there);
    if (!this.#isComplete && !this.#visited.has(there.toString('latin1'))) await this.#walk(there);
    const found = this.#bySize.get(size) ?? [];
    return found.filter((file) => file.mtimeNs === mtimeNs).map((file) => file.path);
  }

  /** Reads what lies in `there`, then in the folders above it, then on the other disks. */
  async #walk(there: Buffer): Promise<void> {
    let read = 0;
    for (const start of [...upwards(there), ...this.#disks]) {
      const queue = [start];
      for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
        const key = folder.toString('latin1');
        if (this.#visited.has(key)) continue;
        if (read++ >= MOST_FOLDERS) return;
        if (read % TURN === 0) await new Promise(setImmediate);
        this.#visited.add(key);
        const listing = this.#folders.read(folder);
        if (listing === undefined) continue;
        for (const [size, files] of listing.bySize) {
          const like = this.#bySize.get(size);
          if (like === undefined) this.#bySize.set(size, [...files]);
          else like.push(...files);
        }
        for (const name of listing.folders) queue.push(joined(folder, name));
      }
    }
    this.#isComplete = true;
  }
}

function* upwards(folder: Buffer): Generator<Buffer, void, undefined> {
  for (let at = folder; at.length > 1; at = folderOf(at)) yield at;
}
