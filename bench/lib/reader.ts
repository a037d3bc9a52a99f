/** A worker thread that reads a file as `access.ts` asks, and reports when it began and ended. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { readMemory } from '../../src/native/read-memory.ts';
import { warmMemory } from './warm-memory.ts';

export interface ReadJob {
  readonly path: string;
  readonly positions: readonly number[];
  readonly length: number;
  /** A folder on the same disk, for a file that warms the memory. */
  readonly scratch: string;
}

const { path, positions, length, scratch }: ReadJob = workerData;
const buffer = readMemory(length);
parentPort?.once('message', () => {
  const fd = openSync(path, 'r');
  const began = performance.timeOrigin + performance.now();
  for (const position of positions) readSync(fd, buffer, 0, length, position);
  const ended = performance.timeOrigin + performance.now();
  closeSync(fd);
  parentPort?.postMessage({ began, ended });
});
warmMemory(scratch, positions.length * length);
parentPort?.postMessage('ready');
