/** Finds and opens the folders in which files are kept, in a thread that waits for its calls. */
import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { StatxCalls } from '../native/statx.ts';
import { O_PATH, type StrictCalls } from '../native/strict-paths.ts';
import { OWN_FOLDER } from '../source/own-folder.ts';
import type { OwnMounts } from '../source/own-mounts.ts';
import { rebased } from '../source/paths.ts';
import { realFolder } from '../source/real-folder.ts';
import { openFolderSlowly } from '../source/slow-opening.ts';
import { runNow } from '../source/steps.ts';
import { at, NotOurs, openOurs, using } from './held.ts';
import type { StateNamed } from './messages.ts';

/** Passed through only: folders above our own need not be readable. */
const FOLDER = O_PATH | constants.O_DIRECTORY;
const [KEPT, PINS] = ['kept-', 'pins-'];
/** The file that names the state of a folder of kept files. */
export const MARKER = 'state';
const FIRST_LINE = 'autotorrent kept 1';

export interface PlaceTools {
  readonly ownMounts: OwnMounts;
  readonly strict: StrictCalls;
  readonly statx: StatxCalls | undefined;
}

/** An open folder of a disk. */
export interface OpenPlace {
  /** Its path below the name of the disk: a byte string. */
  readonly place: string;
  readonly fd: number;
}

export class Places {
  readonly #tools: PlaceTools;

  constructor(tools: PlaceTools) {
    this.#tools = tools;
  }

  /**
   * Opens the topmost folder on the file system of an open file, on the way from one of `folders` to its path. The caller
   * closes it. @throws NotOurs if there is none; errors of the disk
   */
  openTopmost(file: number, path: string, folders: readonly string[]): OpenPlace {
    for (const { folder, real } of this.#holding(Buffer.from(path, 'latin1'), folders)) {
      const found = this.#downTo(file, folder, real, path);
      if (found !== undefined) return found;
    }
    throw new NotOurs('no folder of its disk is on its file system');
  }

  /** Opens a place by its path. Links are followed as in the name of a disk. @throws NotOurs; errors of the disk */
  open(place: string): number {
    const real = this.realOf(place);
    if (real === undefined) throw new NotOurs(`${shown(place)} is reached through a link that is not followed`);
    return this.#openReal(real);
  }

  /** Resolves the name of a disk. Undefined: it leads through somebody else's link, or into a mount of ours. */
  realOf(place: string): Buffer | undefined {
    const { ownMounts, strict } = this.#tools;
    ownMounts.refreshSync();
    const found = runNow(realFolder(Buffer.from(place, 'latin1'), { avoid: ownMounts.paths, calls: strict }));
    return found === undefined || 'says' in found ? undefined : found.real;
  }

  /** The folders that hold a path, by their names or their real paths: the outermost first. */
  #holding(path: Buffer, folders: readonly string[]): { folder: string; real: Buffer }[] {
    const named = folders.filter((folder) => isAtOrBelow(path, Buffer.from(folder, 'latin1')));
    const resolved = (named.length > 0 ? named : folders).flatMap((folder) => {
      const real = this.realOf(folder);
      if (real === undefined) return [];
      return named.length > 0 ? [{ folder, real }] : [{ folder: real.toString('latin1'), real }];
    });
    return resolved
      .filter(({ folder }) => isAtOrBelow(path, Buffer.from(folder, 'latin1')))
      .toSorted((a, b) => a.folder.length - b.folder.length);
  }

  #openReal(real: Buffer): number {
    const fd = runNow(openFolderSlowly(real, FOLDER));
    if (typeof fd !== 'number') throw new NotOurs(`${real.toString()} ${fd.says}`);
    return fd;
  }

  /** Goes down from a disk towards a path until a folder is on the file system of the file. */
  #downTo(file: number, folder: string, real: Buffer, path: string): OpenPlace | undefined {
    const below = rebased(Buffer.from(path, 'latin1'), Buffer.from(folder, 'latin1'), Buffer.from('/')).toString(
      'latin1',
    );
    const names = below.split('/').slice(1, -1);
    let [fd, place] = [this.#openReal(real), folder];
    try {
      for (;;) {
        if (this.#isOnSame(fd, file)) {
          const found = { place, fd };
          fd = -1;
          return found;
        }
        const name = names.shift();
        if (name === undefined) return undefined;
        const next = openSync(at(fd, name), FOLDER | constants.O_NOFOLLOW);
        closeSync(fd);
        fd = next;
        place = place === '/' ? `/${name}` : `${place}/${name}`;
      }
    } catch (error) {
      // The folders of a file that is gone may be gone as well.
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ELOOP') return undefined;
      throw error;
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  }

  /** By the mount: subvolumes of btrfs, and the files of an overlay, have device numbers of their own. */
  #isOnSame(folder: number, file: number): boolean {
    const mount = this.#tools.statx?.mountOfOpen(folder);
    if (mount !== undefined && mount === this.#tools.statx?.mountOfOpen(file)) return true;
    return fstatSync(folder).dev === fstatSync(file).dev;
  }
}

/** Opens the folder of a state's kept files in a place, and makes it. @throws NotOurs; errors of the disk */
export function openKept(place: number, state: StateNamed, make: boolean): number {
  return using(openOurs(place, OWN_FOLDER, make), (own) => {
    const kept = openOurs(own, keptName(state), make);
    try {
      if (make && markerIn(kept) !== state.path) mark(kept, state);
      return kept;
    } catch (error) {
      closeSync(kept);
      throw error;
    }
  });
}

/** The folder of a state's kept files, or of its pins, in ours. */
export const keptName = ({ id, pins }: Pick<StateNamed, 'id' | 'pins'>): string => `${pins ? PINS : KEPT}${id}`;
/** Tells if a folder has the like of another state. */
export const isLikeKept = (name: string, { pins }: Pick<StateNamed, 'pins'>): boolean =>
  name.startsWith(pins ? PINS : KEPT);

/** The path of the state for which the files in a folder were kept. Undefined: it does not say. */
export function markerIn(kept: number): string | undefined {
  try {
    const fd = openSync(at(kept, MARKER), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const [first, path, end] = using(fd, (marker) => readFileSync(marker, 'latin1')).split('\n');
    return first === FIRST_LINE && end === '' && path !== undefined ? decodeURIComponent(path) : undefined;
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof URIError)) throw error;
    return undefined;
  }
}

function mark(kept: number, { path }: StateNamed): void {
  unmark(kept);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  using(openSync(at(kept, MARKER), flags, 0o600), (fd) => {
    writeSync(fd, `${FIRST_LINE}\n${encodeURIComponent(path)}\n`);
  });
}

export function unmark(kept: number): void {
  rmSync(at(kept, MARKER), { force: true });
}

export const shown = (path: string): string => Buffer.from(path, 'latin1').toString();
