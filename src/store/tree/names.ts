/** Checks and makes names in the mount: the entries' own, and those that clients ask for. */
import { isNameText } from '../../bytes/name-text.ts';
import { AutotorrentError, PosixError } from '../../errors.ts';
import { cutToBytes, DISK_NAME_BYTES, isLonger, SHOWN_NAME_BYTES } from '../../name-limits.ts';

/**
 * Lists the names that an entry may have, best first: the wanted name, the same with the first 8 digits of the info
 * hash, and the info hash, which no other torrent has.
 */
export function entryNames(wanted: string, infoHash: string): string[] {
  const safe = Buffer.from(wanted).toString().replaceAll(/[/\0]/g, '_');
  const base = safe === '' || safe === '.' || safe === '..' ? infoHash : safe;
  const suffix = ` [${infoHash.slice(0, 8)}]`;
  return [cutToBytes(base, DISK_NAME_BYTES), `${cutToBytes(base, DISK_NAME_BYTES - suffix.length)}${suffix}`, infoHash];
}

/** Explains why `component` cannot be a name in a folder; undefined if it can. */
export function faultOfComponent(component: string): string | undefined {
  if (component === '') return 'a name is empty';
  if (component === '.' || component === '..') return `a name is ${component}`;
  if (component.includes('/') || component.includes('\0')) return 'a name holds / or NUL';
  if (/\p{Surrogate}/u.test(component)) return 'a name is no Unicode text';
  if (isLonger(component, SHOWN_NAME_BYTES)) return `a name is longer than ${SHOWN_NAME_BYTES} bytes`;
  return undefined;
}

/** Checks a path. @throws AutotorrentError(`code`) if it could leave its folder or no file system takes it */
export function checkPath(path: readonly string[], code: 'CLIENT' | 'TORRENT'): void {
  const fault = path.length === 0 ? 'a path is empty' : path.map(faultOfComponent).find((f) => f !== undefined);
  if (fault !== undefined)
    throw new AutotorrentError(code, `${JSON.stringify(path.join('/'))} cannot be shown: ${fault}`);
}

/** Explains whether a path has a name that no disk takes. */
export function hasLongName(path: readonly string[]): boolean {
  return path.some((name) => isLonger(name, DISK_NAME_BYTES));
}

/**
 * Checks a name that a program asks the mount for. `takesLong`: whether its entry shows names that no disk takes; a client
 * may then make such names, too. @throws EINVAL, ENAMETOOLONG
 */
export function checkName(name: string, takesLong: () => boolean): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || !isNameText(name)) {
    throw new PosixError('EINVAL');
  }
  if (isTooLong(name, takesLong)) throw new PosixError('ENAMETOOLONG');
}

/** The error for a missing name: ENAMETOOLONG if it could never exist, else ENOENT. */
export function notThere(name: string, takesLong: () => boolean): PosixError {
  return new PosixError(isTooLong(name, takesLong) ? 'ENAMETOOLONG' : 'ENOENT');
}

function isTooLong(name: string, takesLong: () => boolean): boolean {
  return isLonger(name, DISK_NAME_BYTES) && (isLonger(name, SHOWN_NAME_BYTES) || !takesLong());
}
