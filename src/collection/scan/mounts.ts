/**
 * Finds the mounts that a scan must not touch: lstat of a FUSE mount whose server is dead or busy may hang for ever.
 * All paths here are byte strings (see `names.ts`).
 */
import { readFileSync } from 'node:fs';
import { errnoOf } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { parseMounts } from '../../native/mountinfo.ts';
import { loadStrictCalls, type StrictCalls } from '../../native/strict-paths.ts';
import { type NotFollowed, realFolder } from '../../source/real-folder.ts';
import { runNow } from '../../source/steps.ts';

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
 * Resolves `path` as `realFolder` does, without touching any of `avoid`. Undefined if it leads into one of them.
 * `followAll`: the folder is autotorrent's own.
 */
export function realPath(
  path: string,
  avoid: readonly string[],
  { followAll = false } = {},
): { readonly real: string } | NotFollowed | undefined {
  calls ??= loadStrictCalls(openCLibrary(silentLogger));
  const found = runNow(realFolder(Buffer.from(path, 'latin1'), { avoid, followAll, calls }));
  return found === undefined || 'says' in found ? found : { real: found.real.toString('latin1') };
}

/** Loaded with the first use. */
let calls: StrictCalls | undefined;
