/** A worker thread that reads a file as `access.ts` asks, and reports when it began and ended. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { loadKoffi } from '../../src/native/c-library.ts';
import { readMemory } from '../../src/native/read-memory.ts';
import { warmMemory } from './warm-memory.ts';

export interface ReadJob {
  readonly path: string;
  readonly positions: readonly number[];
  readonly length: number;
  /** A folder on the same disk, for a file that warms the memory. */
  readonly scratch: string;
  /** Read by a map of the whole file. Default: by calls. */
  readonly mapped?: boolean;
}

const { path, positions, length, scratch, mapped = false }: ReadJob = workerData;
const buffer = readMemory(length);
const mapWhole = mapped ? loadMap() : undefined;
parentPort?.once('message', () => {
  const fd = openSync(path, 'r');
  const began = performance.timeOrigin + performance.now();
  const bytes = mapWhole?.(fd, fstatSync(fd).size);
  for (const position of positions) {
    if (bytes === undefined) readSync(fd, buffer, 0, length, position);
    else buffer.set(bytes.subarray(position, position + length));
  }
  const ended = performance.timeOrigin + performance.now();
  closeSync(fd);
  parentPort?.postMessage({ began, ended });
});
warmMemory(scratch, positions.length * length);
parentPort?.postMessage('ready');

/** mmap(2) of a whole file, shared and for reading. The map lasts as long as the process. */
function loadMap(): (fd: number, bytes: number) => Uint8Array {
  const [PROT_READ, MAP_SHARED] = [1, 1];
  const koffi = loadKoffi();
  const mmap = koffi
    .load(null)
    .func('void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)');
  return (fd, bytes) => new Uint8Array(koffi.view(mmap(null, bytes, PROT_READ, MAP_SHARED, fd, 0), bytes));
}
