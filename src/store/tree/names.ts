/** Checks and makes names in the mount: the entries' own, and those that clients ask for. */
import { AutotorrentError, PosixError } from '../../errors.ts';

/** The NAME_MAX of every Linux file system that matters, in bytes of UTF-8. */
const NAME_MAX = 255;

/** Cuts `name` to `limit` bytes of UTF-8, at a character boundary. */
export function cutToBytes(name: string, limit: number): string {
  if (Buffer.byteLength(name) <= limit) return name;
  let bytes = 0;
  let end = 0;
  for (const character of name) {
    bytes += Buffer.byteLength(character);
    if (bytes > limit) break;
    end += character.length;
  }
  return name.slice(0, end);
}

/**
 * Lists the names that an entry may have, best first: the wanted name, the same with the first 8 digits of the info
 * hash, and the info hash, which no other torrent has.
 */
export function entryNames(wanted: string, infoHash: string): string[] {
  const safe = Buffer.from(wanted).toString().replaceAll(/[/\0]/g, '_');
  const base = safe === '' || safe === '.' || safe === '..' ? infoHash : safe;
  const suffix = ` [${infoHash.slice(0, 8)}]`;
  return [cutToBytes(base, NAME_MAX), `${cutToBytes(base, NAME_MAX - suffix.length)}${suffix}`, infoHash];
}

/** Explains why `component` cannot be a name in a folder; undefined if it can. */
export function faultOfComponent(component: string): string | undefined {
  if (component === '') return 'a name is empty';
  if (component === '.' || component === '..') return `a name is ${component}`;
  if (component.includes('/') || component.includes('\0')) return 'a name holds / or NUL';
  if (/\p{Surrogate}/u.test(component)) return 'a name is no Unicode text';
  if (Buffer.byteLength(component) > NAME_MAX) return `a name is longer than ${NAME_MAX} bytes`;
  return undefined;
}

/** Checks a path. @throws AutotorrentError(`code`) if it could leave its folder or no file system takes it */
export function checkPath(path: readonly string[], code: 'CLIENT' | 'TORRENT'): void {
  const fault = path.length === 0 ? 'a path is empty' : path.map(faultOfComponent).find((f) => f !== undefined);
  if (fault !== undefined)
    throw new AutotorrentError(code, `${JSON.stringify(path.join('/'))} cannot be shown: ${fault}`);
}

/** Checks a name that a program asks the mount for. @throws EINVAL, ENAMETOOLONG */
export function checkName(name: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || /\p{Surrogate}/u.test(name)) {
    throw new PosixError('EINVAL');
  }
  if (isTooLong(name)) throw new PosixError('ENAMETOOLONG');
}

/** The error for a missing name: ENAMETOOLONG if it could never exist, else ENOENT. */
export function notThere(name: string): PosixError {
  return new PosixError(isTooLong(name) ? 'ENAMETOOLONG' : 'ENOENT');
}

function isTooLong(name: string): boolean {
  return name.length * 3 > NAME_MAX && Buffer.byteLength(name) > NAME_MAX;
}
