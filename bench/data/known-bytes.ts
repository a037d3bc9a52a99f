/**
 * Bytes that do not compress and that anyone can compute: the bytes of a file with `seed` at a position. Files of two seeds
 * differ in every block.
 */
import { createCipheriv } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

const MIB = 2 ** 20;
/** The bytes repeat after this many. */
const PERIOD = 8 * MIB;
const LONGEST = MIB;

/** Gives `length` bytes (at most a mebibyte) from `position` on. Nobody may change them: all callers share the memory. */
export type Data = (position: number, length: number) => Buffer;

export function dataOf(seed: number): Data {
  const once = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(PERIOD));
  const pool = Buffer.concat([once, once.subarray(0, LONGEST)]);
  return (position, length) => pool.subarray(position % PERIOD, (position % PERIOD) + length);
}

export function writeDataFile(path: string, bytes: number, seed: number): void {
  const data = dataOf(seed);
  const fd = openSync(path, 'w');
  for (let at = 0; at < bytes; at += MIB) writeSync(fd, data(at, Math.min(MIB, bytes - at)), 0, undefined, at);
  closeSync(fd);
}
