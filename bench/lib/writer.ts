/**
 * A worker thread that writes a file as `access.ts` asks, and reports when it began and ended: open, writes and close.
 * The fsync comes afterwards, so that nothing of it falls into the next measurement.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { dataOf } from '../data/known-bytes.ts';
import { warmMemory } from './warm-memory.ts';

export interface WriteJob {
  readonly path: string;
  readonly positions: readonly number[];
  readonly length: number;
  /** The data to write: see `data/known-bytes.ts`. */
  readonly seed: number;
  /** True: the file is created and must not exist; false: it must exist. */
  readonly create: boolean;
  /** A folder on the same disk, for a file that warms the memory. */
  readonly scratch: string;
  /** True: the file is fsynced at the end. Default: true. */
  readonly sync?: boolean;
}

const { path, positions, length, seed, create, scratch, sync = true }: WriteJob = workerData;
const data = dataOf(seed);
const flags = constants.O_RDWR | (create ? constants.O_CREAT | constants.O_EXCL : 0);
parentPort?.once('message', () => {
  const began = performance.timeOrigin + performance.now();
  const fd = openSync(path, flags, 0o644);
  for (const position of positions) {
    const written = writeSync(fd, data(position, length), 0, length, position);
    if (written !== length) throw new Error(`${written} of ${length} bytes were written at ${position}`);
  }
  closeSync(fd);
  const ended = performance.timeOrigin + performance.now();
  if (sync) {
    const again = openSync(path, constants.O_RDWR);
    fsyncSync(again);
    closeSync(again);
  }
  parentPort?.postMessage({ began, ended });
});
// The kernel keeps the written bytes twice: for the mount and for the file under it.
warmMemory(scratch, 2 * positions.length * length);
parentPort?.postMessage('ready');
