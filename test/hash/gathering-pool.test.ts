import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createGatheringPool } from '../../src/hash/gathering-pool.ts';
import { type HashJob, type HashPool, jobBytes } from '../../src/hash/hash-pool.ts';

const MIB = 1024 * 1024;

/** Makes a job of this many bytes at `offset` of a file on a disk. */
const job = (dev: number, offset: number, length: number): HashJob => [
  { path: Buffer.from('/x'), offset, length, identity: { dev, ino: 1n, size: 1e9, mtimeNs: 1n, ctimeNs: 1n } },
];

/** Answers each job by its offset, and records the questions. */
function noting(): { pool: HashPool; calls: (readonly HashJob[])[] } {
  const calls: (readonly HashJob[])[] = [];
  const pool: HashPool = {
    async hash(jobs) {
      calls.push(jobs);
      return jobs.map((asked) => {
        const [segment] = Array.isArray(asked) ? asked : [];
        return { digest: Buffer.from(String(segment !== undefined && 'offset' in segment ? segment.offset : '')) };
      });
    },
    async close() {},
  };
  return { pool, calls };
}

describe('a pool that gathers', () => {
  it('makes one call of what is asked in the same moment, and gives each its own answers', async () => {
    const { pool, calls } = noting();
    const gathering = createGatheringPool(pool);
    const asked = [1, 2, 3, 4].map((i) => [job(1, i * 10, 1000), job(1, i * 10 + 1, 1000)]);
    const progress: number[] = [];
    const answers = await Promise.all(
      asked.map((jobs) => gathering.hash(jobs, { onProgress: ({ doneBytes }) => progress.push(doneBytes) })),
    );
    assert.equal(calls.length, 1);
    const shown = answers.map((few) => few.map((one) => ('digest' in one ? one.digest.toString() : '')));
    assert.deepEqual(shown, [
      ['10', '11'],
      ['20', '21'],
      ['30', '31'],
      ['40', '41'],
    ]);
    assert.deepEqual(progress, [0, 0, 0, 0, 2000, 2000, 2000, 2000]);
  });

  it('keeps apart disks, signals and what is large', async () => {
    const { pool, calls } = noting();
    const gathering = createGatheringPool(pool);
    const { signal } = new AbortController();
    await Promise.all([
      gathering.hash([job(1, 0, 1000)]),
      gathering.hash([job(2, 0, 1000)]),
      gathering.hash([job(1, 0, 1000)], { signal }),
      gathering.hash([job(1, 0, 5 * MIB)]),
    ]);
    assert.equal(calls.length, 4);
    calls.length = 0;
    await Promise.all(Array.from({ length: 64 }, (_, i) => gathering.hash([job(1, i, MIB)])));
    assert.deepEqual(
      calls.map((jobs) => jobs.reduce((sum, one) => sum + jobBytes(one), 0) / MIB),
      [16, 16, 16, 16],
    );
  });

  it('fails for all that went together, and not before it is asked', async () => {
    const failing: HashPool = { hash: async () => await Promise.reject(new Error('broken')), async close() {} };
    const gathering = createGatheringPool(failing);
    const ended = await Promise.allSettled([gathering.hash([job(1, 0, 1)]), gathering.hash([job(1, 1, 1)])]);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    const stopped = AbortSignal.abort(new Error('enough'));
    await assert.rejects(gathering.hash([job(1, 0, 1)], { signal: stopped }), /enough/);
    assert.deepEqual(await gathering.hash([]), []);
  });
});
