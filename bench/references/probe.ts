/** The reference of `suites/matching.ts`, a worker thread: reads each range and hashes it, with no more than Node has. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

export interface ProbeRange {
  readonly path: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

const BUFFER_BYTES = 256 * 1024;

const ranges: readonly ProbeRange[] = workerData;
const buffer = Buffer.alloc(BUFFER_BYTES);
parentPort?.once('message', () => {
  const began = performance.timeOrigin + performance.now();
  for (const { path, offset, length } of ranges) {
    const hash = createHash('sha1');
    const fd = openSync(Buffer.from(path), 'r');
    for (let at = offset; at < offset + length; ) {
      const n = readSync(fd, buffer, 0, Math.min(BUFFER_BYTES, offset + length - at), at);
      if (n === 0) throw new Error(`${Buffer.from(path).toString()} is shorter than it was`);
      hash.update(buffer.subarray(0, n));
      at += n;
    }
    closeSync(fd);
    hash.digest();
  }
  const ended = performance.timeOrigin + performance.now();
  parentPort?.postMessage({ began, ended });
});
parentPort?.postMessage('ready');
