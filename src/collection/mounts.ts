/**
 * Mounts that a scan must not even look at: an lstat of a FUSE mount whose server is dead or busy may hang for ever.
 * All paths here are byte strings (see `names.ts`).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { AutotorrentError, errnoOf } from '../errors.ts';

/** The mount points of these file system types, from the text of `/proc/<pid>/mountinfo` (proc(5)). */
export function mountPointsOfType(mountinfo: string, types: ReadonlySet<string>): string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ', 2);
    const type = after?.split(' ', 1)[0];
    const point = before?.split(' ')[4];
    if (type === undefined || point === undefined || !types.has(type)) return [];
    return [point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

/** Empty where there is no /proc (not Linux). */
export function currentMountPoints(types: readonly string[]): string[] {
  try {
    return mountPointsOfType(readFileSync('/proc/self/mountinfo', 'latin1'), new Set(types));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/**
 * The real path of `path`, as realpath(3), without touching any of `avoid`; undefined where it leads into one of them.
 * What does not exist is kept as it is written.
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

/** Undefined for what is no link, or cannot be read. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(Buffer.from(path, 'latin1'), { encoding: 'latin1' });
  } catch {
    return undefined;
  }
}
