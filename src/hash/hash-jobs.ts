/**
 * Hashes a task in the calling thread, which is a worker's.
 *
 * Invariants: those of `segment-reader.ts`; memory does not grow with the bytes that are hashed.
 */
import crypto from 'node:crypto';
import { silentLogger } from '../logger.ts';
import { BLOCK_BYTES, MerkleTree, sha256 } from '../metainfo/merkle.ts';
import { openCLibrary } from '../native/c-library.ts';
import { type DigestPair, loadDigestPair, BLOCK_BYTES as SHA_BLOCK_BYTES } from '../native/digest-pair.ts';
import { loadFileCalls } from '../native/files.ts';
import { readMemory } from '../native/read-memory.ts';
import { loadStatx } from '../native/statx.ts';
import { loadStrictCalls } from '../native/strict-paths.ts';
import { Looks } from '../source/looks.ts';
import { SourceAccess } from '../source/source-access.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { BlankDigests } from './blank.ts';
import { type HashTask, type HashTaskResult, jobsOf, SHA256_BYTES, type TaskJob } from './hash-task.ts';
import { BUFFER_BYTES, type ReaderTools, ReadFailure, SegmentReader } from './segment-reader.ts';
import { hashInLanes } from './sha1-lanes.ts';

/** Since Node 20.12. It costs half of what a Hash object costs for a small piece. */
const oneShot = (crypto as Partial<Pick<typeof crypto, 'hash'>>).hash;

/** The digest pairs of this thread. Null if there are none. */
let sha1Pair: DigestPair | null | undefined;
let sha256Pair: DigestPair | null | undefined;
let tools: ReaderTools | undefined;
/** The rules that `tools` were made for. */
let toolsFor = '';
const blanks = new BlankDigests(digestOf);
/** The buffers of this thread: new memory for each task would cost as much as hashing a small one. */
let buffers: readonly [Buffer, Buffer] | undefined;

/** Hashes all jobs of a task. Stops early, with the results so far, when `control` says so. */
export function hashJobs(task: HashTask): HashTaskResult {
  buffers ??= [readMemory(BUFFER_BYTES), readMemory(BUFFER_BYTES)];
  const tools = toolsOf(task.sources);
  const readers = [new SegmentReader(task, buffers[0], tools), new SegmentReader(task, buffers[1], tools)] as const;
  const digests = Buffer.from(new ArrayBuffer(task.counts.length * SHA256_BYTES));
  const failures: HashTaskResult['failures'][number][] = [];
  const onDigest = (job: number, digest: string | ReadFailure): void => {
    if (typeof digest === 'string') digests.write(digest, job * SHA256_BYTES, 'latin1');
    else failures.push({ job, failed: digest.failed, message: digest.message });
  };
  try {
    const jobs = jobsOf(task);
    const sha1s = jobs.filter(({ leaves }) => leaves === 0);
    if (sha1s.length > 1) sha1Pair ??= loadDigestPair('sha1') ?? null;
    if (sha1s.length < jobs.length) sha256Pair ??= loadDigestPair('sha256') ?? null;
    const pair = sha1s.length > 1 ? sha1Pair : null;
    if (pair) hashInLanes({ pair, readers, dealt: BUFFER_BYTES, blanks, onDigest }, sha1s);
    for (const job of jobs) {
      if (job.leaves === 0 && pair) continue;
      if (readers[0].cancelled()) break;
      try {
        onDigest(job.job, blanks.of(readers[0], job) ?? digestOf(readers[0], job));
      } catch (error) {
        if (!(error instanceof ReadFailure)) throw error;
        onDigest(job.job, error);
      }
    }
  } finally {
    for (const reader of readers) reader.close();
  }
  return { digests, failures };
}

/** All tasks of a pool have the same rules. */
function toolsOf(sources: SourceRules): ReaderTools {
  const wanted = JSON.stringify(sources);
  if (tools !== undefined && toolsFor === wanted) return tools;
  const library = openCLibrary(silentLogger);
  const access = new SourceAccess(sources, { calls: loadStrictCalls(library) });
  tools = { libc: loadFileCalls(library), access, looks: new Looks(loadStatx(library)) };
  toolsFor = wanted;
  return tools;
}

function digestOf(reader: SegmentReader, job: TaskJob): string {
  return job.leaves === 0 ? sha1(reader, job) : merkleRoot(reader, job, sha256Pair ?? undefined);
}

function sha1(reader: SegmentReader, { firstSegment, segments }: TaskJob): string {
  const whole = segments === 1 && oneShot !== undefined ? reader.whole(firstSegment) : undefined;
  if (whole !== undefined && oneShot !== undefined) return oneShot('sha1', whole, 'binary');
  const hash = crypto.createHash('sha1');
  for (let i = firstSegment; i < firstSegment + segments; i++) for (const chunk of reader.chunks(i)) hash.update(chunk);
  return hash.digest('binary');
}

function merkleRoot(
  reader: SegmentReader,
  { firstSegment, segments, leaves }: TaskJob,
  pair: DigestPair | undefined,
): string {
  const tree = new MerkleTree(leaves);
  // Segments and chunks end anywhere, so a block may come in parts.
  let block: crypto.Hash | undefined;
  let hashed = 0;
  for (let i = firstSegment; i < firstSegment + segments; i++) {
    for (const chunk of reader.chunks(i)) {
      for (let at = 0; at < chunk.length; ) {
        if (pair !== undefined && hashed === 0 && chunk.length - at >= 2 * BLOCK_BYTES) {
          for (const leaf of twoLeaves(pair, chunk, at)) tree.push(leaf);
          at += 2 * BLOCK_BYTES;
          continue;
        }
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
    }
  }
  if (block !== undefined) tree.push(block.digest('binary'));
  return tree.root().toString('latin1');
}

/** The padding of SHA-256 after one whole leaf of 16 KiB. */
const PADDING = Buffer.alloc(SHA_BLOCK_BYTES);
PADDING[0] = 0x80;
PADDING.writeUInt32BE(BLOCK_BYTES * 8, SHA_BLOCK_BYTES - 4);

/** The digests of two whole blocks that begin at `at`. */
function twoLeaves(pair: DigestPair, chunk: Buffer, at: number): [string, string] {
  const middle = at + BLOCK_BYTES;
  pair.begin(0);
  pair.begin(1);
  pair.update(BLOCK_BYTES / SHA_BLOCK_BYTES, chunk.subarray(at, middle), chunk.subarray(middle, middle + BLOCK_BYTES));
  pair.update(1, PADDING, PADDING);
  return [pair.digest(0), pair.digest(1)];
}
