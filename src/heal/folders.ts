/**
 * Reads folders in which a source may be found that the index does not know yet: where it was, what lies beside and above
 * that, and where its siblings were found. Bounded: a folder is read once in a while, and only so many files are looked at.
 */
import { lstatSync, opendirSync } from 'node:fs';
import { isHiddenForOpen } from '../source/hidden-files.ts';
import { isLeftOut, OWN_FOLDER } from '../source/own-folder.ts';
import { folderOf } from '../source/paths.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { runNow } from '../source/steps.ts';

const OWN = Buffer.from(OWN_FOLDER);
/** Names that are read of one folder, and files that are looked at in all. */
const MOST_NAMES = 50_000;
const MOST_LOOKS = 200_000;
/** Folders that are remembered. */
const MOST_FOLDERS = 512;
/** Milliseconds for which a listing counts: files may move meanwhile. */
const FRESH_MS = 2000;
/** Folders beside the one that is gone, or below another. */
const MOST_BESIDE = 256;
/** Levels below a folder: `Season 2/extras` may be new, and is watched by nobody yet. */
const DEPTH = 3;

export interface Found {
  readonly path: Buffer;
  readonly mtimeNs: bigint;
}

export interface Listing {
  readonly bySize: ReadonlyMap<number, readonly Found[]>;
  /** Names of the folders in it. */
  readonly folders: readonly Buffer[];
}

export class Folders {
  readonly #access: SourceAccess;
  readonly #listings = new Map<string, Listing | undefined>();
  #readAt = new Map<string, number>();
  #looks = MOST_LOOKS;

  constructor(access: SourceAccess) {
    this.#access = access;
  }

  /** Begins a new run: what was read before does not count. */
  begin(): void {
    this.#listings.clear();
    this.#readAt.clear();
    this.#looks = MOST_LOOKS;
  }

  /** Lists the files in a folder that have this size, those with this mtime first. */
  filesLike(folder: Buffer, size: number, mtimeNs: bigint): Buffer[] {
    const found = this.#list(folder)?.bySize.get(size) ?? [];
    const same = found.filter((file) => file.mtimeNs === mtimeNs);
    return [...same, ...found.filter((file) => file.mtimeNs !== mtimeNs)].map(({ path }) => path);
  }

  /** Proposes paths for a file that is gone: below folders beside those that are gone with it. */
  *beside(path: Buffer): Generator<Buffer, void, undefined> {
    let there = folderOf(path);
    // The innermost folder on the way that is still there.
    while (this.#list(there) === undefined) {
      if (there.length === 1) return;
      there = folderOf(there);
    }
    const rest = path.subarray(there.length === 1 ? 1 : there.length + 1);
    const inner = rest.subarray(rest.indexOf(0x2f) + 1);
    for (const name of (this.#list(there)?.folders ?? []).slice(0, MOST_BESIDE)) {
      const folder = joined(there, name);
      // The folder was renamed, or moved into one beside it.
      yield Buffer.concat([folder, Buffer.from('/'), inner]);
      if (inner.length !== rest.length) yield Buffer.concat([folder, Buffer.from('/'), rest]);
    }
  }

  /**
   * Lists the folders to look into for a file: its own or the innermost that is left, those below it, the one above, and those
   * below that. The nearest come first.
   */
  *around(path: Buffer): Generator<Buffer, void, undefined> {
    let there = folderOf(path);
    while (this.#list(there) === undefined) {
      if (there.length === 1) return;
      there = folderOf(there);
    }
    yield* this.#downFrom(there);
    if (there.length === 1) return;
    const above = folderOf(there);
    if (this.#list(above) !== undefined) yield* this.#downFrom(above, there);
  }

  /** Lists a folder and those below it, level by level, so many in all; `except` and what lies below that are left out. */
  *#downFrom(top: Buffer, except?: Buffer): Generator<Buffer, void, undefined> {
    yield top;
    let left = MOST_BESIDE;
    let level = [top];
    for (let depth = 0; depth < DEPTH && level.length > 0; depth++) {
      const next: Buffer[] = [];
      for (const folder of level) {
        for (const name of this.#list(folder)?.folders ?? []) {
          if (left-- <= 0) return;
          const below = joined(folder, name);
          if (except?.equals(below) === true) continue;
          yield below;
          next.push(below);
        }
      }
      level = next;
    }
  }

  /** As `read`; what was read a moment ago counts. */
  #list(folder: Buffer): Listing | undefined {
    const key = folder.toString('latin1');
    const readAt = this.#readAt.get(key);
    if (readAt !== undefined && performance.now() - readAt < FRESH_MS) return this.#listings.get(key);
    if (this.#listings.size >= MOST_FOLDERS) {
      this.#listings.clear();
      this.#readAt.clear();
    }
    const listing = this.read(folder);
    this.#listings.set(key, listing);
    this.#readAt.set(key, performance.now());
    return listing;
  }

  /** Reads a folder now. Undefined if it is not there, may not be read, leads outside the disks, or has what we keep. */
  read(folder: Buffer): Listing | undefined {
    if (isLeftOut(folder)) return undefined;
    const { ownMounts, folders: disks } = this.#access;
    const bySize = new Map<number, Found[]>();
    const folders: Buffer[] = [];
    try {
      ownMounts.refreshSync();
      const place = runNow(disks.placeOf(folder));
      // An advice: whatever is found is opened as every source is.
      if ('says' in place || ownMounts.holdsPath(place.real) || !this.#access.isRealFolder(place.real))
        return undefined;
      // Node reads names as bytes, which its types do not know.
      const reading = opendirSync(place.real, { encoding: 'buffer' as BufferEncoding });
      try {
        for (let names = 0; names < MOST_NAMES; names++) {
          const entry = reading.readSync();
          if (entry === null) break;
          const name = entry.name as unknown as Buffer;
          if (entry.isDirectory()) {
            if (!name.equals(OWN)) folders.push(name);
          } else if (entry.isFile() && !isHiddenForOpen(name) && this.#looks-- > 0) {
            const stats = lstatSync(joined(place.real, name), { bigint: true, throwIfNoEntry: false });
            if (stats?.isFile() !== true) continue;
            const size = Number(stats.size);
            const found = { path: joined(folder, name), mtimeNs: stats.mtimeNs };
            const like = bySize.get(size);
            if (like === undefined) bySize.set(size, [found]);
            else like.push(found);
          }
        }
      } finally {
        reading.closeSync();
      }
    } catch {
      return undefined;
    }
    return { bySize, folders };
  }
}

export function joined(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat(folder.length === 1 ? [folder, name] : [folder, Buffer.from('/'), name]);
}
