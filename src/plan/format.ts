/**
 * An encoded plan, as a command sends it to the server:
 *
 *     'ATPLAN' version name info-hashes metainfo header source* file*
 *
 * Integers are LEB128, texts UTF-8 with their length before them, a file's time a double, a source's seconds and nanoseconds. Derived values are not written: an
 * extent's offset is the end of the one before it. The metainfo comes first, since it bounds the rest (`bounds.ts`).
 */
import type { FileStatus, Plan } from './plan.ts';

export const MAGIC = Buffer.from('ATPLAN');
export const VERSION = 5;
export const VERIFY = ['none', 'probe', 'full'] as const;
export const STATUS: readonly FileStatus[] = ['mapped', 'resized', 'partial', 'missing', 'pad'];
export const ALIGNED = 1;
/** Flags of a source: what follows them. */
export const HAS_CTIME = 1;
export const HAS_HANDLE = 2;
export const HAS_FOLDER = 4;
export const HAS_DISK = 8;
export const EXECUTABLE = 1;
export const SYMLINK = 2;
/** Added to `source` before it is written, so that `ZEROS` and `GAP` are not negative. */
export const SOURCE_SHIFT = 2;

/** A plan without its lists. */
export interface PlanHeader extends Omit<Plan, 'sources' | 'files'> {
  readonly sourceCount: number;
  readonly fileCount: number;
}
