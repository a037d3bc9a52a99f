/**
 * Files that are still being written, such as one that is being copied: their size says nothing yet. They are in the index as
 * *growing*, which makes them no candidates, and the next rebuild looks at them again.
 */
import type { FolderEntry } from '../../native/strict-paths.ts';
import type { FolderRecord } from './folder-record.ts';

export interface GrowthRules {
  /** `settle`, in milliseconds: a file of which mtime or ctime is younger is growing. 0: none is for that. */
  readonly settleMs: number;
  /** A file written to less than these milliseconds ago is growing if its size is another than at an earlier look. */
  readonly youngMs: number;
  /** The rebuild before ended less than `youngMs` ago, so that its sizes are an earlier look. */
  readonly soonAfter: boolean;
  /** Milliseconds between the two looks that one rebuild takes at a file that was written to just now. */
  readonly againMs: number;
}

/** Milliseconds. What copies and downloads is seldom idle for so long; `settle` is for what is. */
export const YOUNG_MS = 10_000;
export const AGAIN_MS = 250;
/** The most milliseconds that a thread waits for second looks. */
export const MOST_WAITED_MS = 2000;

/** What is said of a file that is no candidate for that. */
export const STILL_GROWING = 'growing: the next rebuild looks at it again';

type Times = Pick<FolderEntry, 'mtimeMs' | 'ctimeMs'>;

/** Times far in the future are those of a wrong clock: they do not make a file young for years. */
const isWithin = (timeMs: number, nowMs: number, ms: number): boolean => Math.abs(nowMs - timeMs) < ms;

export function isUnsettled({ mtimeMs, ctimeMs }: Times, nowMs: number, { settleMs }: GrowthRules): boolean {
  return settleMs > 0 && (isWithin(mtimeMs, nowMs, settleMs) || isWithin(ctimeMs, nowMs, settleMs));
}

export function isYoung({ mtimeMs }: Times, nowMs: number, { youngMs }: GrowthRules): boolean {
  return isWithin(mtimeMs, nowMs, youngMs);
}

/** The sizes of a folder's files at the rebuild before, by name, if that was a moment ago. */
export function sizesBefore(
  known: FolderRecord | undefined,
  { soonAfter }: GrowthRules,
): ReadonlyMap<string, number> | undefined {
  if (known === undefined || !soonAfter) return undefined;
  return new Map(Array.from(known.sizes, (size, i) => [known.fileName(i).toString('latin1'), size]));
}
