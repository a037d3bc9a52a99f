/**
 * Finds the mounts that a scan must not touch: lstat of a FUSE mount whose server is dead or busy may hang for ever.
 * All paths here are byte strings (see `names.ts`).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { AutotorrentError, errnoOf } from '../../errors.ts';
import { parseMounts } from '../../native/mountinfo.ts';

/** The mount points of these file system types, from the text of `/proc/self/mountinfo`. */
export function mountPointsOfType(mountinfo: Buffer, types: ReadonlySet<string>): string[] {
  return parseMounts(mountinfo).flatMap(({ path, type }) => (types.has(type) ? [path.toString('latin1')] : []));
}

/** The current mount points of these types; empty without /proc (not Linux). */
export function currentMountPoints(types: readonly string[]): string[] {
  try {
    return mountPointsOfType(readFileSync('/proc/self/mountinfo'), new Set(types));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/**
 * Resolves `path` as realpath(3) does, without touching any of `avoid`. Undefined if it leads into one of them.
 * Components that do not exist stay as they are written.
 */
export function realPath(path: string, avoid: readonly string[]): string | undefined {
  const rest = path.split('/');
  let real = '';
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift();
    if (name === undefined || name === '' || name === '.') continue;
    if (name === '..') {
      real = real.slice(0, Math.max(0, real.lastIndexOf('/')));
      continue;
    }
    const next = `${real}/${name}`;
    if (avoid.includes(next)) return undefined;
    const target = linkTarget(next);
    if (target === undefined) {
      real = next;
      continue;
    }
    if (++links > 40) throw new AutotorrentError('INDEX', `${path}: too many levels of symbolic links`);
    if (target.startsWith('/')) real = '';
    rest.unshift(...target.split('/'));
  }
  return real === '' ? '/' : real;
}

/** Reads a link; undefined if it is none, or cannot be read. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(Buffer.from(path, 'latin1'), { encoding: 'latin1' });
  } catch {
    return undefined;
  }
}
