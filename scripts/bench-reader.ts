/** One reader of `bench-mount.ts`, a worker thread: reads as it is told and says when it began and ended. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

export interface ReadJob {
  readonly path: string;
  readonly positions: readonly number[];
  readonly length: number;
}

const { path, positions, length }: ReadJob = workerData;
const buffer = Buffer.alloc(length);
parentPort?.once('message', () => {
  const fd = openSync(path, 'r');
  const began = performance.timeOrigin + performance.now();
  for (const position of positions) readSync(fd, buffer, 0, length, position);
  const ended = performance.timeOrigin + performance.now();
  closeSync(fd);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window
  parentPort?.postMessage({ began, ended });
});
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, no window
parentPort?.postMessage('ready');
