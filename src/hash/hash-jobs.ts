/**
 * Hashes, in the thread that calls it: what a worker does with a task.
 *
 * Invariants: those of `segment-reader.ts`, and memory does not grow with what is hashed.
 */
import crypto from 'node:crypto';
import { BLOCK_BYTES, MerkleTree, sha256 } from '../metainfo/merkle.ts';
import { type HashTask, type HashTaskResult, SHA256_BYTES } from './hash-task.ts';
import { ReadFailure, SegmentReader } from './segment-reader.ts';

/** Node 20.12 on: half the cost of an object for a small piece. */
const oneShot = (crypto as Partial<Pick<typeof crypto, 'hash'>>).hash;

/** Stops early, with the results so far, when `control` says so. */
export function hashJobs(task: HashTask): HashTaskResult {
  const reader = new SegmentReader(task);
  const digests = Buffer.from(new ArrayBuffer(task.counts.length * SHA256_BYTES));
  const failures: HashTaskResult['failures'][number][] = [];
  try {
    let first = 0;
    for (const [job, count] of task.counts.entries()) {
      if (reader.cancelled()) break;
      const leaves = task.leaves[job] ?? 0;
      try {
        const digest = leaves === 0 ? sha1(reader, first, count) : merkleRoot(reader, first, count, leaves);
        digests.write(digest, job * SHA256_BYTES, 'latin1');
      } catch (error) {
        if (!(error instanceof ReadFailure)) throw error;
        failures.push({ job, failed: error.failed, message: error.message });
      }
      first += count;
    }
  } finally {
    reader.close();
  }
  return { digests, failures };
}

function sha1(reader: SegmentReader, first: number, count: number): string {
  const whole = count === 1 && oneShot !== undefined ? reader.whole(first) : undefined;
  if (whole !== undefined && oneShot !== undefined) return oneShot('sha1', whole, 'binary');
  const hash = crypto.createHash('sha1');
  for (let i = first; i < first + count; i++) reader.read(i, (chunk) => hash.update(chunk));
  return hash.digest('binary');
}

function merkleRoot(reader: SegmentReader, first: number, count: number, leaves: number): string {
  const tree = new MerkleTree(leaves);
  // Segments and chunks end anywhere: a block in parts is hashed in parts.
  let block: crypto.Hash | undefined;
  let hashed = 0;
  const take = (chunk: Buffer): void => {
    let at = 0;
    while (at < chunk.length) {
      const part = chunk.subarray(at, at + BLOCK_BYTES - hashed);
      at += part.length;
      if (part.length === BLOCK_BYTES) {
        tree.push(sha256(part));
        continue;
      }
      block ??= crypto.createHash('sha256');
      block.update(part);
      hashed += part.length;
      if (hashed < BLOCK_BYTES) continue;
      tree.push(block.digest('binary'));
      block = undefined;
      hashed = 0;
    }
  };
  for (let i = first; i < first + count; i++) reader.read(i, take);
  if (block !== undefined) tree.push(block.digest('binary'));
  return tree.root().toString('latin1');
}
