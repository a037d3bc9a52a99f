/** What threads are told of files that are written while they read. A block is filled with one number of 32 bits. */
import type { SharedTable } from '../../../src/vfs/lending/table.ts';

export const BLOCK = 4096;
/** Changes of a block that are remembered: all. */
export const OPERATIONS = 8192;
/** Instead of a number: a truncate has cut the block off. */
export const CUT = -1;

export interface Model {
  readonly inodes: readonly number[];
  /** Of each inode. */
  readonly blocks: number;
  readonly table: SharedTable;
  /** For each block of all inodes what it has after each change. */
  readonly history: Int32Array<SharedArrayBuffer>;
  /** For each block the last change that was begun, and the last one that was acknowledged. */
  readonly begun: Int32Array<SharedArrayBuffer>;
  readonly ended: Int32Array<SharedArrayBuffer>;
  /** Not 0: end. Then the reads that were not lent, and those of each reader that were. */
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly reader: number;
}
