/** Tells by the times of the file system when the bytes of a source had left their place. */
import { lstatSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { folderOf } from '../source/paths.ts';
import type { SourceAccess } from '../source/source-access.ts';

/** Milliseconds that a clock of the kernel, by which files are stamped, may be behind. */
const TICK_MS = 100;

/**
 * Gives a time, in milliseconds since 1970, at which the file that was at a path had gone or changed: it did so then or earlier.
 * What stands there now has that ctime at most, and a folder changes when a name leaves it. Infinity where ctimes are not
 * this machine's.
 */
export function leftAt(path: Buffer, { fileSystems }: Pick<SourceAccess, 'fileSystems'>): number {
  for (let at = path; ; at = folderOf(at)) {
    try {
      const { dev, ctimeMs } = lstatSync(at);
      const { local, trueCtime } = fileSystems.kindOfSync(at, dev);
      return local && trueCtime ? ctimeMs + TICK_MS : Number.POSITIVE_INFINITY;
    } catch (error) {
      // It is gone, too: what is above it changed at the same time or later.
      const isGone = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
      if (!isGone || at.length === 1) return Number.POSITIVE_INFINITY;
    }
  }
}
