import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Level } from 'level';
import { type CachedPoolOptions, createCachedPool } from '../../src/hash/cached-pool.ts';
import { type HashJob, type HashPool, type HashResult, jobBytes } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadStrictCalls } from '../../src/native/strict-paths.ts';
import type { FileIdentity } from '../../src/source/identity.ts';
import { ANYWHERE, anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';

const PIECE = 1000;

describe('the cache of piece hashes', () => {
  let dir = '';
  let real: HashPool;
  /** Bytes that were read and hashed. */
  let hashed = 0;
  /** Counts the calls, and ignores `close`. */
  const counting: HashPool = {
    async hash(jobs, options) {
      hashed += jobs.reduce((sum, job) => sum + jobBytes(job), 0);
      return await real.hash(jobs, options);
    },
    async close() {},
  };
  let next = 0;

  before(() => {
    dir = temporaryFolder('hashes');
    real = createHashPool({ sources: ANYWHERE, threads: 1 });
  });
  after(async () => {
    await real.close();
  });
  beforeEach(() => {
    hashed = 0;
    next++;
  });

  const open = async (more: Partial<CachedPoolOptions> = {}, name = `db${next}`): Promise<HashPool> => {
    const database = new Level<Buffer, Buffer>(join(dir, name), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await database.open();
    // A later clock stands for files that have not changed for a while.
    return createCachedPool({
      access: anywhere(),
      pool: counting,
      database,
      logger: silentLogger,
      now: () => Date.now() + 3_600_000,
      ...more,
    });
  };
  const file = (data: Buffer, name = `file${next}`): { readonly path: Buffer; readonly identity: FileIdentity } => {
    const path = join(dir, name);
    writeFileSync(path, data);
    return { path: Buffer.from(path), identity: identityAt(path) };
  };
  const pieces = (
    of: { readonly path: Buffer; readonly identity: FileIdentity; readonly seen?: boolean },
    from = 0,
  ): HashJob[] => {
    const jobs: HashJob[] = [];
    for (let offset = from; offset < of.identity.size; offset += PIECE) {
      jobs.push([{ ...of, offset, length: Math.min(PIECE, of.identity.size - offset) }]);
    }
    return jobs;
  };
  const shown = (results: readonly HashResult[]): string[] =>
    results.map((result) => ('digest' in result ? result.digest.toString('hex') : result.failed));

  it('answers over runs what was asked before, and hashes the rest', async () => {
    const data = randomBytes(200 * PIECE + 300);
    const jobs = pieces(file(data));
    const right = jobs.map((_, i) =>
      createHash('sha1')
        .update(data.subarray(i * PIECE, (i + 1) * PIECE))
        .digest('hex'),
    );
    const first = await open();
    assert.deepEqual(shown(await first.hash(jobs.slice(50, 150))), right.slice(50, 150));
    await first.close();
    assert.equal(hashed, 100 * PIECE);

    const second = await open();
    const progress: number[] = [];
    const onProgress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }): void => {
      progress.push(doneBytes / totalBytes);
    };
    assert.deepEqual(shown(await second.hash(jobs, { onProgress })), right);
    assert.equal(hashed, data.length, 'what was known is not read again');
    assert.equal(progress.at(-1), 1);
    assert.deepEqual(shown(await second.hash(jobs)), right);
    assert.equal(hashed, data.length);
    await second.close();
  });

  it('tells kinds, lengths and alignments apart', async () => {
    const data = randomBytes(100_000);
    const of = file(data);
    const pool = await open();
    const segment = { ...of, offset: 0, length: 50_000 };
    const jobs: HashJob[] = [
      [segment],
      { segments: [segment], leaves: 4 },
      { segments: [segment], leaves: 8 },
      [{ ...segment, offset: 1 }],
      [{ ...segment, length: 49_999 }],
      [segment, { zeros: 3 }],
      [segment, { zeros: 4 }],
      [{ zeros: 4 }, segment],
      [{ zeros: 50_000 }],
      [],
    ];
    const right = shown(await real.hash(jobs));
    assert.equal(new Set(right).size, jobs.length);
    for (const job of jobs) await pool.hash([job]);
    const once = hashed;
    assert.deepEqual(shown(await pool.hash(jobs)), right);
    assert.equal(hashed - once, 50_000, 'zeros cost no reading and are not kept');
    await pool.close();
  });

  it('forgets a file that changed, though its times were set back', async () => {
    const of = file(randomBytes(5000));
    const path = of.path.toString();
    const { atimeMs, mtimeMs } = lstatSync(path);
    const pool = await open();
    await pool.hash(pieces(of));
    assert.equal(hashed, 5000);
    // The very same record, and another inode.
    const again = randomBytes(5000);
    writeFileSync(`${path}.new`, again);
    renameSync(`${path}.new`, path);
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
    assert.deepEqual(new Set(shown(await pool.hash(pieces(of)))), new Set(['changed']));
    // The same inode, size and mtime.
    const now = { ...of, identity: identityAt(path) };
    await pool.hash(pieces(now));
    await sleep(20);
    const other = randomBytes(5000);
    writeFileSync(path, other);
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
    const after = { ...of, identity: identityAt(path) };
    assert.deepEqual(new Set(shown(await pool.hash(pieces(now)))), new Set(['changed']));
    if (after.identity.mtimeNs === now.identity.mtimeNs) {
      const asked = hashed;
      const [digest] = shown(await pool.hash(pieces(after).slice(0, 1)));
      assert.equal(digest, createHash('sha1').update(other.subarray(0, PIECE)).digest('hex'));
      assert.equal(hashed, asked + PIECE);
    }
    await pool.close();
  });

  it('does not look again at what its caller has looked at', async () => {
    const calls = loadStrictCalls(openCLibrary(silentLogger));
    let looks = 0;
    const regularFile = (path: Buffer): FileIdentity | undefined => {
      looks++;
      return calls.regularFile?.(path);
    };
    const access = anywhere({ calls: { ...calls, regularFile } });
    const data = randomBytes(3 * PIECE);
    const of = file(data);
    const seen = (identity: FileIdentity): HashJob[] => pieces({ ...of, seen: true, identity });
    const pool = await open({ access });
    const right = shown(await pool.hash(seen(of.identity)));
    assert.equal(looks, 0);
    assert.deepEqual(shown(await pool.hash(pieces(of))), right);
    assert.equal(looks, 1, 'a record is looked at');
    assert.equal(hashed, data.length, 'both ask the same question');

    writeFileSync(of.path, randomBytes(data.length));
    assert.deepEqual(new Set(shown(await pool.hash(pieces(of)))), new Set(['changed']));
    const other = shown(await pool.hash(seen(identityAt(of.path.toString()))));
    for (const [i, digest] of other.entries()) assert.notEqual(digest, right[i]);
    await pool.close();
  });

  it('remembers nothing of what changed after its caller looked', async () => {
    const of = file(randomBytes(PIECE));
    writeFileSync(of.path, randomBytes(PIECE + 1));
    const pool = await open();
    const jobs = pieces({ ...of, seen: true });
    for (const _ of [1, 2]) assert.deepEqual(shown(await pool.hash(jobs)), ['changed']);
    assert.equal(hashed, 2 * PIECE);
    await pool.close();
  });

  it('does not keep what was modified less than two seconds before', async () => {
    const of = file(randomBytes(5000));
    const { ctimeMs } = lstatSync(of.path);
    let now = ctimeMs + 1900;
    const pool = await open({ now: () => now });
    await pool.hash(pieces(of));
    await pool.hash(pieces(of));
    assert.equal(hashed, 10_000);
    now = ctimeMs + 2000;
    await pool.hash(pieces(of));
    await pool.hash(pieces(of));
    assert.equal(hashed, 15_000);
    await pool.close();
  });

  it('stays within its bounds, and keeps what was asked for last', async () => {
    const maxBytes = 20_000; // half of it: about 400 digests
    const old = pieces(file(randomBytes(100 * PIECE), 'old'));
    const used = pieces(file(randomBytes(100 * PIECE), 'used'));
    const pool = await open({ maxBytes }, 'bounded');
    await pool.hash(old);
    await pool.hash(used);
    for (let round = 0; round < 20; round++) {
      await pool.hash(pieces(file(randomBytes(100 * PIECE), `round${round}`)));
      await pool.hash(used);
    }
    hashed = 0;
    await pool.hash(used);
    assert.equal(hashed, 0);
    await pool.hash(old);
    assert.equal(hashed, 100 * PIECE);
    await pool.close();
    const database = new Level<Buffer, Buffer>(join(dir, 'bounded'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    let bytes = 0;
    for await (const [key, value] of database.iterator()) bytes += key.length + value.length;
    await database.close();
    assert.ok(bytes <= maxBytes, `${bytes} bytes are kept`);
  });

  it('begins anew where what lies there is not its own, and hashes without where it is broken', async () => {
    const jobs = pieces(file(randomBytes(5000)));
    const right = shown(await real.hash(jobs));
    const location = join(dir, `db${next}`);
    const database = new Level<Buffer, Buffer>(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await database.put(Buffer.of(0xff), Buffer.alloc(24, 9));
    await database.put(Buffer.alloc(20), Buffer.alloc(100, 9));
    await database.close();
    const pool = await open();
    assert.deepEqual(shown(await pool.hash(jobs)), right);
    await pool.close();

    const said: string[] = [];
    const closed = new Level<Buffer, Buffer>(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await closed.open();
    await closed.close();
    const broken = createCachedPool({
      access: anywhere(),
      pool: counting,
      database: closed,
      logger: { ...silentLogger, warn: (message) => said.push(message) },
    });
    assert.deepEqual(shown(await broken.hash(jobs)), right);
    assert.deepEqual(shown(await broken.hash(jobs)), right);
    assert.equal(said.length, 1);
    await broken.close();
  });

  it('rejects when aborted, and remembers nothing of it', async () => {
    const pool = await open();
    const reason = new Error('enough');
    await assert.rejects(pool.hash(pieces(file(randomBytes(500))), { signal: AbortSignal.abort(reason) }), reason);
    await pool.close();
  });

  it('hashes once what several ask at the same time, with a database and without', async () => {
    for (const more of [{}, { database: undefined }]) {
      hashed = 0;
      const data = randomBytes(100 * PIECE);
      const jobs = pieces(file(data, `common${next}`));
      const pool = await open(more, `db${next++}`);
      // The last two ask for a piece twice themselves.
      const asked = [jobs, jobs.slice(20, 60), jobs.toReversed(), [...jobs.slice(0, 3), ...jobs.slice(0, 3)]];
      const answers = await Promise.all(asked.map(async (some) => shown(await pool.hash(some))));
      assert.equal(hashed, data.length);
      const right = shown(await real.hash(jobs));
      assert.deepEqual(answers, [
        right,
        right.slice(20, 60),
        right.toReversed(),
        [...right.slice(0, 3), ...right.slice(0, 3)],
      ]);
      await pool.close();
    }
  });

  it('asks itself for what another gave up', async () => {
    const jobs = pieces(file(randomBytes(10 * PIECE)));
    const stop = new AbortController();
    let begun = (): void => {};
    const firstBegan = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const waiting: HashPool = {
      async hash(some, options) {
        if (options?.signal === undefined) return await counting.hash(some);
        begun();
        return await new Promise((_, reject) =>
          options.signal?.addEventListener('abort', () => reject(stop.signal.reason)),
        );
      },
      async close() {},
    };
    const pool = await open({ pool: waiting });
    const first = pool.hash(jobs, { signal: stop.signal });
    await firstBegan;
    const second = pool.hash(jobs);
    await sleep(50);
    assert.equal(hashed, 0);
    stop.abort(new Error('enough'));
    await assert.rejects(first, /enough/);
    assert.deepEqual(shown(await second), shown(await real.hash(jobs)));
    await pool.close();
  });
});
