/** Reads each range and hashes it, with Node's own means. Also runs as a worker thread. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { readMemory } from '../../src/native/read-memory.ts';
import type { ReferenceKind } from '../lib/row.ts';

export const READ_AND_HASH: ReferenceKind = {
  name: 'one piece of each candidate',
  stands_for: 'Threads that read and hash one piece of every candidate: no mode that hashes can try them with less.',
};

export interface HashRange {
  readonly path: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

const BUFFER_BYTES = 256 * 1024;

function hashAll(ranges: readonly HashRange[]): void {
  const buffer = readMemory(BUFFER_BYTES);
  for (const { path, offset, length } of ranges) {
    const hash = createHash('sha1');
    const file = openSync(Buffer.from(path), 'r');
    for (let at = offset; at < offset + length; ) {
      const n = readSync(file, buffer, 0, Math.min(BUFFER_BYTES, offset + length - at), at);
      if (n === 0) throw new Error(`${Buffer.from(path).toString()} is shorter than it was`);
      hash.update(buffer.subarray(0, n));
      at += n;
    }
    closeSync(file);
    hash.digest();
  }
}

if (parentPort !== null) {
  const port = parentPort;
  port.once('message', () => {
    const began = performance.timeOrigin + performance.now();
    hashAll(workerData as readonly HashRange[]);
    const ended = performance.timeOrigin + performance.now();
    port.postMessage({ began, ended });
  });
  port.postMessage('ready');
}
