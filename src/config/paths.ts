/** Makes the paths in the file absolute. */
import { createHash } from 'node:crypto';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';

/**
 * Makes a path absolute, without a trailing slash. Relative paths start at `folder`, the file's. `~` and `~/…` mean
 * `home`; the original took `~` for a name, and made a folder of it.
 */
export function resolvePath(written: string, folder: string, home: string | undefined): string {
  if (home !== undefined && (written === '~' || written.startsWith('~/'))) return resolve(home, written.slice(2));
  return resolve(folder, written);
}

/** True if `inner` is `outer` or lies below it, by name; both absolute. */
export function isWithin(inner: string, outer: string): boolean {
  const way = relative(outer, inner);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

/**
 * The default folder of a store's state, beside the index: one per store, so that configurations may share a `db`. Its
 * name comes from the configured `db`, so that it stays the same when the index moves to `<db>.level`.
 */
export function defaultStatePath(db: string, storePath: string): string {
  const hash = createHash('sha256').update(storePath).digest('hex').slice(0, 8);
  const name = Buffer.from(basename(storePath)).subarray(0, 100).toString('utf8').replaceAll('\uFFFD', '');
  return join(`${db}.state`, `${name}-${hash}`);
}
