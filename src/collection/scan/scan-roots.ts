/** Finds the roots of the index, and the paths below them that a rebuild reads. All paths are byte strings. */
import { statSync } from 'node:fs';
import type { IndexRoot } from '../level/index-database.ts';
import type { AwayFolder } from './away-disks.ts';
import { isInside, realPath } from './mounts.ts';

export interface ScanRoot extends IndexRoot {
  /** The paths at or below the root that are read; the rest is taken from the index. Undefined: all of it is read. */
  readonly targets: readonly string[] | undefined;
  /** The folders at or below the root that are read for a file in them: without their subfolders. */
  readonly alone: readonly string[];
}

export interface RootRequest {
  readonly disks: readonly string[];
  readonly paths: readonly string[] | undefined;
  /** The index's own, when only paths are read. */
  readonly old: readonly IndexRoot[];
  readonly avoid: readonly string[];
  /** Folders that are away: they and what is below them is taken from the index, whatever is asked for. */
  readonly away: readonly Pick<AwayFolder, 'path'>[];
  readonly skip: (reason: string, path: string) => void;
}

/** Makes roots that never lie in one another: a folder inside another root is read there, once. */
export function scanRoots(request: RootRequest): ScanRoot[] {
  const isAway = (path: string): boolean => request.away.some((folder) => isInside(path, folder.path));
  const disks: IndexRoot[] = request.disks.flatMap((written) => {
    const path = asWritten(written);
    const kept = request.old.find((root) => root.path === path && isAway(path));
    if (kept !== undefined) return { ...kept, disk: true };
    return existing([path], request, 'disk is missing').map(({ real }) => ({ path, real, disk: true }));
  });
  if (request.paths === undefined) {
    return outermost(disks, request.skip).map(({ path, real, disk }) => ({
      path,
      real,
      disk,
      targets: isAway(path) ? [] : undefined,
      alone: [],
    }));
  }
  const targets: string[] = [];
  const alone = new Set<string>();
  const roots: IndexRoot[] = [...request.old];
  for (const path of resolved(request.paths, request)) {
    const within = [...roots, ...disks].find((root) => isInside(path.real, root.real));
    const known = within !== undefined && roots.includes(within);
    const there = whatIsAt(path.real);
    if (within === undefined && there === 'a file') {
      request.skip('a file on no disk: rebuild its folder', path.path);
      continue;
    }
    // A path that is gone is still read if the index has it: that takes it out.
    if (!known && there === 'nothing') {
      request.skip('path is missing', path.path);
      continue;
    }
    if (there === 'a file') alone.add(folderOf(path.real));
    else targets.push(path.real);
    if (!known) roots.push(within ?? { ...path, disk: false });
  }
  const kept = outermost(roots, () => {});
  // An old root that a new one swallows is read again there.
  for (const root of roots) if (!kept.includes(root)) targets.push(root.real);
  const isRead = (folder: string): boolean => targets.some((target) => isInside(folder, target));
  return kept.map(({ path, real, disk }) => {
    const below = (folders: readonly string[]): string[] =>
      folders
        .filter((folder) => isInside(folder, real))
        .map((folder) => rebase(folder, real, path))
        .filter((folder) => !isAway(folder));
    const whole = targets.filter(
      (target, i, all) => !all.some((other, j) => isInside(target, other) && (other !== target || j < i)),
    );
    const foldersOfFiles = below([...alone].filter((folder) => !isRead(folder)));
    return { path, real, disk, targets: [...below(whole), ...foldersOfFiles], alone: foldersOfFiles };
  });
}

const folderOf = (file: string): string => file.slice(0, file.lastIndexOf('/')) || '/';

/** Moves `path` from `from` to `to`: its name below the other folder. */
export function rebase(path: string, from: string, to: string): string {
  const below = path.slice(from === '/' ? 1 : from.length + 1);
  if (below === '') return to;
  return to === '/' ? `/${below}` : `${to}/${below}`;
}

interface Resolved {
  readonly path: string;
  readonly real: string;
}

const asWritten = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, '') || '/' : path);

function resolved(paths: readonly string[], { avoid, skip }: RootRequest): Resolved[] {
  return paths.flatMap((written) => {
    const path = asWritten(written);
    const found = realPath(path, avoid);
    if (found !== undefined && 'real' in found) return [{ path, real: found.real }];
    skip(found === undefined ? 'of autotorrent itself' : `not indexed: it ${found.says}`, path);
    return [];
  });
}

function existing(paths: readonly string[], request: RootRequest, reason: string): Resolved[] {
  return resolved(paths, request).filter(({ path, real }) => {
    const there = whatIsAt(real);
    if (there !== 'a folder') request.skip(there === 'a file' ? 'not a folder' : reason, path);
    return there === 'a folder';
  });
}

function outermost(roots: readonly IndexRoot[], skip: (reason: string, path: string) => void): IndexRoot[] {
  return roots.filter((root, i) => {
    const inner = roots.some((other, j) => isInside(root.real, other.real) && (other.real !== root.real || j < i));
    if (inner) skip('inside another disk', root.path);
    return !inner;
  });
}

/** `a file` is whatever is no folder, or may not be seen by this user. */
function whatIsAt(path: string): 'nothing' | 'a folder' | 'a file' {
  try {
    const stats = statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false });
    if (stats === undefined) return 'nothing';
    return stats.isDirectory() ? 'a folder' : 'a file';
  } catch {
    return 'a file';
  }
}
