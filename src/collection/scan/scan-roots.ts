/** Finds the roots of the index, and the paths below them that a rebuild reads. All paths are byte strings. */
import { statSync } from 'node:fs';
import type { IndexRoot } from '../level/index-database.ts';
import { isInside, realPath } from './mounts.ts';

export interface ScanRoot extends IndexRoot {
  /** The paths at or below the root that are read; the rest is taken from the index. Undefined: all of it is read. */
  readonly targets: readonly string[] | undefined;
}

export interface RootRequest {
  readonly disks: readonly string[];
  readonly paths: readonly string[] | undefined;
  /** The index's own, when only paths are read. */
  readonly old: readonly IndexRoot[];
  readonly avoid: readonly string[];
  readonly skip: (reason: string, path: string) => void;
}

/** Makes roots that never lie in one another: a folder inside another root is read there, once. */
export function scanRoots(request: RootRequest): ScanRoot[] {
  const disks = existing(request.disks, request, 'disk is missing').map(({ path, real }) => ({
    path,
    real,
    disk: true,
  }));
  if (request.paths === undefined) {
    return outermost(disks, request.skip).map(({ path, real, disk }) => ({ path, real, disk, targets: undefined }));
  }
  const targets: string[] = [];
  const roots: IndexRoot[] = [...request.old];
  for (const path of resolved(request.paths, request)) {
    const within = [...roots, ...disks].find((root) => isInside(path.real, root.real));
    const known = within !== undefined && roots.includes(within);
    // A path that is gone is still read if the index has it: that takes it out.
    if (!known && !isFolder(path.real)) {
      request.skip(exists(path.real) ? 'not a folder' : 'path is missing', path.path);
      continue;
    }
    if (known && exists(path.real) && !isFolder(path.real)) {
      request.skip('not a folder', path.path);
      continue;
    }
    targets.push(path.real);
    if (!known) roots.push(within ?? { ...path, disk: false });
  }
  const kept = outermost(roots, () => {});
  // An old root that a new one swallows is read again there.
  for (const root of roots) if (!kept.includes(root)) targets.push(root.real);
  return kept.map(({ path, real, disk }) => ({
    path,
    real,
    disk,
    targets: targets
      .filter((target) => isInside(target, real))
      .filter((target, i, all) => !all.some((other, j) => isInside(target, other) && (other !== target || j < i)))
      .map((target) => rebase(target, real, path)),
  }));
}

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

function resolved(paths: readonly string[], { avoid, skip }: RootRequest): Resolved[] {
  return paths.flatMap((written) => {
    const path = written.length > 1 ? written.replace(/\/+$/, '') || '/' : written;
    const found = realPath(path, avoid);
    if (found !== undefined && 'real' in found) return [{ path, real: found.real }];
    skip(found === undefined ? 'of autotorrent itself' : `not indexed: it ${found.says}`, path);
    return [];
  });
}

function existing(paths: readonly string[], request: RootRequest, reason: string): Resolved[] {
  return resolved(paths, request).filter(({ path, real }) => {
    const there = isFolder(real);
    if (!there) request.skip(exists(real) ? 'not a folder' : reason, path);
    return there;
  });
}

function outermost(roots: readonly IndexRoot[], skip: (reason: string, path: string) => void): IndexRoot[] {
  return roots.filter((root, i) => {
    const inner = roots.some((other, j) => isInside(root.real, other.real) && (other.real !== root.real || j < i));
    if (inner) skip('inside another disk', root.path);
    return !inner;
  });
}

function exists(path: string): boolean {
  try {
    return statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true; // it is there, but this user may not see it
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
}
