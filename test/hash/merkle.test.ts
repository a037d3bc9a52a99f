/** Checks that merkle jobs give libtorrent's results and those of the plain definition of BEP 52. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { HashJob, HashPool, HashResult, HashSegment } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { merklePiece } from '../../src/metainfo/merkle-pieces.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import type { FileIdentity } from '../../src/source/identity.ts';
import { ANYWHERE } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { libtorrentOf } from '../harness/libtorrent.ts';
import { identityAt } from '../harness/plans.ts';

const BLOCK = 16_384;
interface WholeFile {
  readonly path: Buffer;
  readonly identity: FileIdentity;
}

const SIZES: Readonly<Record<string, number>> = {
  'a one byte': 1,
  'b one block': BLOCK,
  'c a block and a byte': BLOCK + 1,
  'd three blocks': 3 * BLOCK,
  'e a piece of 64 KiB': 4 * BLOCK,
  'f five blocks and a bit': 5 * BLOCK + 77,
  'g large': 5 * 1024 * 1024 + 12_345,
  'h empty': 0,
  'sub/i eight blocks': 8 * BLOCK,
};

const sha256 = (...parts: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
/** Computes by recursion from the top, unlike the pool. */
function naive(data: Buffer, leaves: number): Buffer {
  if (leaves === 1) return data.length === 0 ? Buffer.alloc(32) : sha256(data);
  const half = (leaves / 2) * BLOCK;
  return sha256(naive(data.subarray(0, half), leaves / 2), naive(data.subarray(half), leaves / 2));
}
const shown = (result: HashResult | undefined): string =>
  result === undefined ? 'none' : 'digest' in result ? result.digest.toString('hex') : result.failed;

describe('merkle trees', () => {
  let root = '';
  let pool: HashPool;
  const files = new Map<string, WholeFile>();
  before(() => {
    root = temporaryFolder('merkle');
    pool = createHashPool({ sources: ANYWHERE, threads: 2 });
    for (const [name, size] of Object.entries(SIZES)) {
      const path = join(root, 'folder', name);
      mkdirSync(join(path, '..'), { recursive: true });
      writeFileSync(path, randomBytes(size));
      files.set(name, { path: Buffer.from(path), identity: identityAt(path) });
    }
  });
  after(async () => {
    await pool.close();
  });

  const fileOf = (meta: Metainfo, index: number): WholeFile => {
    const file = files.get(meta.files[index]?.path.join('/') ?? '');
    assert.ok(file !== undefined);
    return file;
  };

  for (const version of ['v2', 'hybrid'] as const) {
    for (const pieceLength of [BLOCK, 4 * BLOCK, 1024 * 1024]) {
      it(`agrees with libtorrent: ${version}, pieces of ${pieceLength / 1024} KiB`, async () => {
        const meta = parseMetainfo(libtorrentOf(join(root, 'folder'), version, pieceLength));
        assert.equal(meta.version, version);
        const jobs: HashJob[] = [];
        const wanted: string[] = [];
        for (let piece = 0; piece < meta.pieceCount; piece++) {
          const asked = merklePiece(meta, piece);
          assert.ok(asked !== undefined, `piece ${piece}`);
          const { span, leaves, digest } = asked;
          jobs.push({ segments: [{ ...fileOf(meta, span.file), offset: span.offset, length: span.length }], leaves });
          wanted.push(digest.toString('hex'));
        }
        assert.deepEqual((await pool.hash(jobs)).map(shown), wanted);
      });
    }
  }

  it('has no merkle pieces in v1, nor for pads', () => {
    const v1 = parseMetainfo(libtorrentOf(join(root, 'folder'), 'v1', BLOCK));
    assert.equal(merklePiece(v1, 0), undefined);
    assert.throws(() => merklePiece(v1, v1.pieceCount), RangeError);
  });

  it('cuts blocks over the ends of segments, and pads', async () => {
    const a = randomBytes(300_001);
    const b = randomBytes(40_000);
    const write = (name: string, data: Buffer): ((offset: number, length: number) => HashSegment) => {
      const path = join(root, name);
      writeFileSync(path, data);
      const identity = identityAt(path);
      return (offset, length) => ({ path: Buffer.from(path), offset, length, identity });
    };
    const [inA, inB] = [write('a', a), write('b', b)];
    const segments = [inA(1, 300_000), inB(7, 1), { zeros: 70_000 }, inB(8, 20_000), inA(5, 0)];
    const bytes = Buffer.concat([a.subarray(1), b.subarray(7, 8), Buffer.alloc(70_000), b.subarray(8, 20_008)]);
    const jobs: HashJob[] = [
      { segments, leaves: 32 },
      [inA(0, 300_001)],
      { segments: [inA(0, 300_001)], leaves: 256 },
      { segments: [], leaves: 8 },
    ];
    assert.deepEqual((await pool.hash(jobs)).map(shown), [
      naive(bytes, 32).toString('hex'),
      createHash('sha1').update(a).digest('hex'),
      naive(a, 256).toString('hex'),
      naive(Buffer.alloc(0), 8).toString('hex'),
    ]);
  });
});
