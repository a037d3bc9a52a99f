/**
 * Resolves the path of a folder that is trusted by name: a disk of the configuration, or a folder given to `rebuild`.
 *
 * A symbolic link on the way is followed only if it belongs to root or to this process's user. Anybody who may write to a
 * folder on the way could put a link to `/etc` in its place, and would have made that a disk.
 */
import { constants } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { isTrustedUser } from '../native/accounts.ts';
import { O_PATH, type StrictCalls } from '../native/strict-paths.ts';
import { close, fstat, lstat, open, readlink, type Steps, step } from './steps.ts';

const MOST_LINKS = 40;

export interface RealFolder {
  readonly real: Buffer;
}

/** The path leads through a link that is not followed. */
export interface NotFollowed {
  /** A predicate, after the folder's name. */
  readonly says: string;
}

export interface Resolving {
  /** The folder is autotorrent's own: all links are followed. */
  readonly followAll?: boolean;
  /** Folders that are not touched: byte strings. */
  readonly avoid?: readonly string[];
  readonly calls?: Pick<StrictCalls, 'linkTarget' | 'linkTargetSync'>;
}

/**
 * Resolves as realpath(3) does. Components that do not exist, or cannot be seen, stay as they are written. Undefined if it
 * leads into one of `avoid`.
 */
export function* realFolder(path: Buffer, resolving: Resolving = {}): Steps<RealFolder | NotFollowed | undefined> {
  const { followAll = false, avoid = [], calls = {} } = resolving;
  const rest = path.toString('latin1').split('/');
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
    const link = yield* linkAt(Buffer.from(next, 'latin1'), calls);
    if (link === undefined) {
      real = next;
      continue;
    }
    if (!followAll && !isTrustedUser(link.owner)) {
      const shown = Buffer.from(next, 'latin1').toString();
      return { says: `is reached through ${shown}, a symbolic link of user ${link.owner}` };
    }
    if (++links > MOST_LINKS) return { says: 'is reached through too many levels of symbolic links' };
    if (link.target.startsWith('/')) real = '';
    rest.unshift(...link.target.split('/'));
  }
  return { real: Buffer.from(real === '' ? '/' : real, 'latin1') };
}

interface Link {
  /** A byte string. */
  readonly target: string;
  readonly owner: number;
}

/** Reads a link and its owner; undefined if there is no link, or it cannot be read. */
function* linkAt(path: Buffer, calls: NonNullable<Resolving['calls']>): Steps<Link | undefined> {
  try {
    const target = yield* readlink(path);
    const { linkTarget, linkTargetSync } = calls;
    if (linkTarget === undefined || linkTargetSync === undefined) return yield* unlessExchanged(path);
    // Both must be of one link: another may have taken its name.
    const fd = yield* open(path, O_PATH | constants.O_NOFOLLOW);
    try {
      const { uid } = yield* fstat(fd);
      const found = yield* step(
        () => linkTargetSync(fd),
        async () => await linkTarget(fd),
      );
      return { target: (found ?? target).toString('latin1'), owner: found === undefined ? NOBODY : uid };
    } finally {
      yield* close(fd);
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/** No user's id. */
const NOBODY = 2 ** 32 - 1;

/** Does it by name. Somebody who exchanges two links at the right moments, twice, is not seen. */
function* unlessExchanged(path: Buffer): Steps<Link> {
  const before = yield* lstat(path);
  const target = yield* readlink(path);
  const after = yield* lstat(path);
  const same = before.ino === after.ino && before.dev === after.dev && before.ctimeMs === after.ctimeMs;
  return { target: target.toString('latin1'), owner: same ? after.uid : NOBODY };
}
