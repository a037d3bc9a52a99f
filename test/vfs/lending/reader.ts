/** A thread that reads lent blocks, and checks that each has what it had at some moment of the read. */
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../../../src/logger.ts';
import { loadBorrowedReads } from '../../../src/native/borrowed-reads.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { LentReads, MOVED_BYTES } from '../../../src/vfs/lending/lent-reads.ts';
import { BLOCK, CUT, type Model, OPERATIONS } from './model.ts';

const model: Model = workerData;
const { inodes, blocks, table, history, begun, ended, control, reader } = model;
const buffer = Buffer.allocUnsafeSlow(BLOCK + MOVED_BYTES);
const [words, moved] = [0, MOVED_BYTES].map(
  (at) => new Int32Array(buffer.buffer, buffer.byteOffset + at, BLOCK / 4),
) as [Int32Array, Int32Array];
const calls = loadBorrowedReads(openCLibrary(silentLogger), buffer);
if (calls === undefined) throw new Error('this machine has no borrowed reads');
const reads = new LentReads(table, calls, buffer, reader);

function check(at: number, first: number, last: number, got: number): void {
  const allowed = new Set(history.subarray(at * OPERATIONS + first, at * OPERATIONS + last + 1));
  if (got < BLOCK) {
    if (!allowed.has(CUT)) throw new Error(`block ${at}: ${got} bytes, where it had all of them`);
    return;
  }
  for (const word of reads.isMoved ? moved : words) {
    if (!allowed.has(word)) throw new Error(`block ${at}: ${word}, where it had ${[...allowed].join(', ')}`);
  }
}

for (let i = reader; Atomics.load(control, 0) === 0; i = (i * 7 + 3) % (inodes.length * blocks)) {
  const ino = inodes[Math.floor(i / blocks)] ?? 0;
  const first = Atomics.load(ended, i);
  const got = reads.read(ino, (i % blocks) * BLOCK, BLOCK, 0);
  if (got < 0) {
    Atomics.add(control, 1, 1);
    continue;
  }
  check(i, first, Atomics.load(begun, i), got);
  Atomics.add(control, 2 + reader, 1);
}
parentPort?.postMessage('done');
