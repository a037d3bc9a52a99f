import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { array, asyncProperty, assert as holds, nat, oneof, tuple } from 'fast-check';
import type { HashJob, HashPool, HashResult, HashSegment } from '../../src/hash/hash-pool.ts';
import { createHashPool, threadsFor } from '../../src/hash/piscina-pool.ts';
import { ANYWHERE } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';

const sha1 = (...parts: Buffer[]): string => {
  const hash = createHash('sha1');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};
const shown = (result: HashResult | undefined): string =>
  result === undefined ? 'none' : 'digest' in result ? result.digest.toString('hex') : result.failed;

describe('hash pool', () => {
  let dir = '';
  let pool: HashPool;
  before(() => {
    dir = temporaryFolder('hash');
    pool = createHashPool({ sources: ANYWHERE, threads: 2 });
  });
  after(async () => {
    await pool.close();
  });

  function file(name: string | Buffer, content: Buffer): (offset: number, length: number) => HashSegment {
    const path = Buffer.concat([Buffer.from(`${dir}/`), Buffer.from(name)]);
    writeFileSync(path, content);
    const identity = identityAt(path);
    return (offset, length) => ({ path, offset, length, identity });
  }

  it('hashes ranges, spans and zeros, in the order of the jobs', async () => {
    const a = randomBytes(1_000_003);
    const b = randomBytes(17);
    const inA = file('a', a);
    const inB = file(Buffer.from([0x62, 0xff, 0xe9]), b); // not UTF-8
    const jobs: HashJob[] = [
      [inA(0, a.length)],
      [inA(999_000, 1003), inB(0, 17), { zeros: 300_000 }],
      [inB(3, 4)],
      [{ zeros: 0 }],
      [],
    ];
    const results = await pool.hash(jobs);
    assert.deepEqual(results.map(shown), [
      sha1(a),
      sha1(a.subarray(999_000), b, Buffer.alloc(300_000)),
      sha1(b.subarray(3, 7)),
      sha1(),
      sha1(),
    ]);
  });

  it('hashes jobs of any lengths beside each other, and those that fail beside others', async () => {
    const bytes = randomBytes(700_001);
    const inFile = file('beside', bytes);
    const lost = file('lost', Buffer.alloc(1000));
    rmSync(join(dir, 'lost'));
    const span = tuple(nat(400_000), oneof(nat(200), nat(300_000)));
    const spans = array(span, { maxLength: 4 });
    const jobsOfSpans = array(tuple(spans, nat(9)), { minLength: 2, maxLength: 12 });
    await holds(
      asyncProperty(jobsOfSpans, async (cases) => {
        const jobs = cases.map(([spans, kind]): HashJob => {
          const segments = spans.map(([offset, length]): HashSegment => inFile(offset, length));
          return kind === 0 ? [...segments, lost(0, 5)] : kind === 1 ? [...segments, { zeros: 100_000 }] : segments;
        });
        const wanted = cases.map(([spans, kind]) => {
          const parts = spans.map(([offset, length]) => bytes.subarray(offset, offset + length));
          return kind === 0 ? 'changed' : sha1(...parts, Buffer.alloc(kind === 1 ? 100_000 : 0));
        });
        assert.deepEqual((await pool.hash(jobs)).map(shown), wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('knows the digests of holes, and reads what lies between them', async () => {
    const piece = 65_536;
    const all = Buffer.alloc(24 * piece + 1000);
    const data = [3 * piece + 5, 9 * piece - 100, 17 * piece];
    const inFile = file('sparse', Buffer.alloc(0));
    const fd = openSync(join(dir, 'sparse'), 'r+');
    for (const at of data) {
      const bytes = randomBytes(200);
      writeSync(fd, bytes, 0, 200, at);
      bytes.copy(all, at);
    }
    ftruncateSync(fd, all.length);
    closeSync(fd);
    const { blocks, size } = lstatSync(join(dir, 'sparse'));
    assert.ok(blocks * 512 < size, 'it has holes');
    const identity = identityAt(join(dir, 'sparse'));
    const range = (offset: number, length: number): HashSegment => ({ ...inFile(offset, length), identity });
    const ranges = Array.from({ length: 25 }, (_, i) => [i * piece, Math.min(piece, size - i * piece)] as const);
    const jobs: HashJob[] = [
      ...ranges.map(([offset, length]) => [range(offset, length)]),
      [range(0, 3 * piece), { zeros: 7 }, range(4 * piece, piece)],
      [range(10, 3 * piece), range(3 * piece, piece)],
      [range(size - 10, 10)],
      [range(size - 10, 11)],
      { segments: [range(0, 2 * piece)], leaves: 8 },
      { segments: [range(2 * piece, 2 * piece)], leaves: 8 },
      { segments: [{ zeros: 2 * piece }], leaves: 8 },
    ];
    const progress: number[] = [];
    const results = (
      await pool.hash(jobs, { onProgress: ({ doneBytes, totalBytes }) => progress.push(totalBytes - doneBytes) })
    ).map(shown);
    const [blank, mixed, zeros] = results.splice(-3);
    assert.deepEqual(results, [
      ...ranges.map(([offset, length]) => sha1(all.subarray(offset, offset + length))),
      sha1(Buffer.alloc(4 * piece + 7)),
      sha1(all.subarray(10, 3 * piece + 10), all.subarray(3 * piece, 4 * piece)),
      sha1(Buffer.alloc(10)),
      'unreadable',
    ]);
    assert.equal(blank, zeros);
    assert.notEqual(mixed, zeros);
    assert.ok((progress.at(-1) ?? 0) <= 11, 'all that could be read is counted');
    utimesSync(join(dir, 'sparse'), 1, 1);
    assert.deepEqual((await pool.hash([[range(0, piece)], [range(0, piece)]])).map(shown), ['changed', 'changed']);
  });

  it('splits many jobs over tasks and keeps their order', async () => {
    const a = randomBytes(12 * 1024 * 1024);
    const inA = file('many', a);
    const pieces = Array.from({ length: 12 * 1024 }, (_, i) => i * 1024);
    const progress: number[] = [];
    const results = await pool.hash(
      pieces.map((offset) => [inA(offset, 1024)]),
      { onProgress: ({ doneBytes, totalBytes }) => progress.push(doneBytes / totalBytes) },
    );
    assert.deepEqual(
      results.map(shown),
      pieces.map((offset) => sha1(a.subarray(offset, offset + 1024))),
    );
    assert.equal(progress.at(-1), 1);
  });

  it('opens more files than it keeps open', async () => {
    const parts = Array.from({ length: 60 }, () => randomBytes(100));
    const segments = parts.map((part, i) => file(`part-${i}`, part)(0, 100));
    const results = await pool.hash([segments, segments]);
    assert.deepEqual(results.map(shown), [sha1(...parts), sha1(...parts)]);
  });

  it('says what changed and what cannot be read, and still answers the other jobs', async () => {
    const content = randomBytes(5000);
    const good = file('good', content);
    const grown = file('grown', content)(0, 5000);
    appendFileSync(join(dir, 'grown'), 'x');
    const touched = file('touched', content)(0, 5000);
    utimesSync(join(dir, 'touched'), 1, 1);
    const replaced = file('replaced', content)(0, 5000);
    const { atimeMs, mtimeMs } = lstatSync(join(dir, 'replaced'));
    writeFileSync(join(dir, 'other'), content);
    utimesSync(join(dir, 'other'), atimeMs / 1000, mtimeMs / 1000);
    renameSync(join(dir, 'other'), join(dir, 'replaced'));
    const gone = file('gone', content)(0, 5000);
    rmSync(join(dir, 'gone'));
    const fifo = file('fifo', content)(0, 5000);
    rmSync(join(dir, 'fifo'));
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    const beyond = good(4000, 5000);

    const results = await pool.hash([
      [good(0, 100)],
      [grown],
      [touched],
      [replaced],
      [gone],
      [fifo],
      [beyond],
      [good(100, 100)],
    ]);
    assert.deepEqual(results.map(shown), [
      sha1(content.subarray(0, 100)),
      'changed',
      'changed',
      'changed',
      'changed',
      'changed',
      'unreadable',
      sha1(content.subarray(100, 200)),
    ]);
    const messages = results.map((result) => ('failed' in result ? result.message : ''));
    assert.match(messages[1] ?? '', /grown changed: it has 5001 bytes now, not 5000/);
    assert.match(messages[6] ?? '', /good ends at 5000, before 9000/);
  });

  it('looks at a file again after reading it', async () => {
    const segment = file('shrinks', randomBytes(5000))(0, 100);
    const path = join(dir, 'shrinks');
    // The file is read, kept open, changed while zeros are hashed (far longer than a report takes), and read again.
    const results = await pool.hash([[segment, { zeros: 1e9 }, segment]], {
      onProgress: () => truncateSync(path, 200),
    });
    assert.deepEqual(results.map(shown), ['changed']);
  });

  it('stops promptly when aborted, and serves the next call', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const jobs: HashJob[] = Array.from({ length: 50 }, () => [{ zeros: 1e12 }]);
    const hashing = pool.hash(jobs, { signal: abort.signal });
    setTimeout(() => abort.abort(reason), 20);
    await assert.rejects(hashing, reason);
    assert.equal(shown((await pool.hash([[{ zeros: 3 }]]))[0]), sha1(Buffer.alloc(3)));
    await assert.rejects(pool.hash(jobs, { signal: AbortSignal.abort(reason) }), reason);
  });

  it('answers several calls at once', async () => {
    const results = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.hash([[{ zeros: n }]])));
    assert.deepEqual(
      results.map(([result]) => shown(result)),
      [1, 2, 3, 4, 5].map((n) => sha1(Buffer.alloc(n))),
    );
  });

  it('has a thread for each reader of each disk, within bounds', () => {
    assert.equal(threadsFor({}, 2), 2);
    assert.equal(threadsFor({}, 32), 4);
    assert.equal(threadsFor({ disks: 8, readersPerDisk: 1 }, 2), 8);
    assert.equal(threadsFor({ disks: 1, readersPerDisk: 4 }, 4), 4);
    assert.equal(threadsFor({ disks: 40, readersPerDisk: 4 }, 4), 16);
    assert.equal(threadsFor({ threads: 1, disks: 8, readersPerDisk: 4 }, 4), 1);
  });

  it('hashes with more threads than there are processors', async () => {
    const several = createHashPool({ sources: ANYWHERE, disks: 6, readersPerDisk: 1 });
    const jobs = Array.from({ length: 200 }, (_, i) => [{ zeros: i + 1 }]);
    const results = await several.hash(jobs);
    assert.deepEqual(
      results.map(shown),
      jobs.map(([{ zeros } = { zeros: 0 }]) => sha1(Buffer.alloc(zeros))),
    );
    await several.close();
  });

  it('ends while it hashes when closed, and refuses afterwards', async () => {
    const other = createHashPool({ sources: ANYWHERE, threads: 1 });
    const hashing = other.hash([[{ zeros: 1e12 }], [{ zeros: 1e12 }]]);
    const rejected = assert.rejects(hashing);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await other.close();
    await rejected;
    await assert.rejects(other.hash([[]]), /closed/);
  });
});
