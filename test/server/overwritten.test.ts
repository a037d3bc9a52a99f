/** What clients cut off or wrote over in the mount: how many bytes of a torrent are not served since. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { type Overwriting, Overwritten } from '../../src/server/overwritten.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';

const BLOCK = 4096;
const PIECE = 16_384;
const O_RDWR = 2;
const A = 100_000;
const B_MAPPED = 30_000;
const B = 50_000;
const NONE: Overwriting = { files: 0, mappedBytes: 0, downloadedBytes: 0, againBytes: 0 };

describe('what clients wrote over', () => {
  let state: string;
  let volume: OpenVolume;
  let overwritten: Overwritten;
  let bytes: Buffer;
  const create = async (): Promise<void> => {
    const files = [
      fileOf(['T', 'a'], [{ length: A, source: 0, sourceOffset: 0 }]),
      fileOf(
        ['T', 'b'],
        [
          { length: B_MAPPED, source: 0, sourceOffset: 0 },
          { length: B - B_MAPPED, source: GAP, sourceOffset: 0 },
        ],
      ),
    ];
    const plan = planOf('Entry', [sourceOf(join(state, '..', 'source'))], files);
    await volume.store.createEntry({ ...plan, verified: Buffer.alloc(2) });
  };
  const reopen = async (): Promise<void> => {
    await volume.close();
    volume = await openVolume(state);
    overwritten = new Overwritten(volume.store);
  };
  const entry = () => volume.store.entry('Entry') ?? assert.fail();
  const counted = async (): Promise<Overwriting> => await overwritten.of(entry());
  const ino = (name: string): number => {
    const folder = volume.fileSystem.lookup(volume.fileSystem.lookup(1, 'Entry').ino, 'T').ino;
    return volume.fileSystem.lookup(folder, name).ino;
  };
  const write = async (name: string, position: number, data: Buffer): Promise<void> => {
    const handle = await volume.fileSystem.open(ino(name), O_RDWR);
    assert.equal(await volume.fileSystem.write(handle, data, position), data.length);
    await volume.fileSystem.release(handle);
  };
  const truncate = async (name: string, size: number): Promise<void> => {
    await volume.fileSystem.setattr(ino(name), { size });
  };
  const verify = async (pieces: readonly number[]): Promise<void> => {
    const good = Buffer.alloc(2);
    for (const piece of pieces) good[piece >> 3] = (good[piece >> 3] ?? 0) | (0x80 >> (piece & 7));
    const since = await volume.store.verificationBegun(entry().infoHash);
    await volume.store.verificationEnded(entry().infoHash, { since, good, bad: Buffer.alloc(2) });
  };

  beforeEach(async () => {
    const folder = temporaryFolder('overwritten');
    state = join(folder, 'state');
    mkdirSync(state);
    bytes = randomBytes(A);
    writeFileSync(join(folder, 'source'), bytes);
    volume = await openVolume(state);
    await create();
    overwritten = new Overwritten(volume.store);
  });
  afterEach(async () => {
    await volume.close();
  });

  it('is nothing where the same bytes are written, or bytes of gaps', async () => {
    await write('a', 5000, bytes.subarray(5000, 20_000));
    await write('b', B_MAPPED, randomBytes(10_000));
    await truncate('a', A);
    assert.deepEqual(await counted(), NONE);
  });

  it('is what was cut off, also after the file was made as long again', async () => {
    await truncate('a', 60_000);
    assert.deepEqual(await counted(), { ...NONE, files: 1, mappedBytes: 40_000 });
    await truncate('b', B_MAPPED);
    assert.deepEqual(await counted(), { ...NONE, files: 1, mappedBytes: 40_000 });
    await truncate('b', 0);
    await truncate('a', A);
    assert.deepEqual(await counted(), { ...NONE, files: 2, mappedBytes: 40_000 + B_MAPPED });
    await reopen();
    assert.deepEqual(await counted(), { ...NONE, files: 2, mappedBytes: 40_000 + B_MAPPED });
  });

  it('counts as downloaded once it is verified, and comes back if nothing is', async () => {
    await write('a', PIECE, randomBytes(PIECE));
    assert.deepEqual(await counted(), { ...NONE, files: 1, mappedBytes: PIECE });
    assert.deepEqual(await overwritten.restorable(entry()), { files: ['T/a'], kept: [] });
    await verify([1]);
    assert.deepEqual(await counted(), { ...NONE, mappedBytes: PIECE, againBytes: PIECE });
    assert.deepEqual(await overwritten.restorable(entry()), { files: [], kept: [] });
    // Something else beside it: what is verified keeps the file as it is.
    await write('a', 3 * PIECE, randomBytes(BLOCK));
    assert.deepEqual(await counted(), { ...NONE, files: 1, mappedBytes: PIECE + BLOCK, againBytes: PIECE });
    assert.deepEqual(await overwritten.restorable(entry()), { files: [], kept: ['T/a'] });
    await write('a', PIECE, randomBytes(1));
    assert.deepEqual(await counted(), { ...NONE, files: 1, mappedBytes: PIECE + BLOCK });
    const quiet = { isOpen: () => false, hold: () => () => {} };
    await volume.store.discard(entry().infoHash, ['T/a'], quiet);
    assert.deepEqual(await counted(), NONE);
  });

  it('is nothing of an entry that goes meanwhile', async () => {
    await truncate('a', 60_000);
    const gone = entry();
    await volume.store.removeEntry(gone.infoHash);
    assert.deepEqual(await overwritten.of(gone), NONE);
    await create();
    assert.deepEqual(await counted(), NONE);
  });

  it('is at least what differs, and at most its blocks, whatever is done', async () => {
    const seed = Number(process.env['OVERWRITTEN_SEED'] ?? Date.now() % 1e9);
    let random = seed;
    const next = (below: number): number => {
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31;
      return random % below;
    };
    for (let round = 0; round < 150; round++) {
      const [name, length] = next(2) === 0 ? (['a', A] as const) : (['b', B] as const);
      const at = next(length);
      const size = Math.min(length - at, 1 + next(3 * BLOCK));
      const what = next(4);
      if (what === 0) await truncate(name, at);
      else if (what === 1) await truncate(name, length);
      else if (what === 2) await write(name, at, bytes.subarray(at, at + size));
      else await write(name, at, Buffer.alloc(size, next(256)));
      if (next(20) === 0) await reopen();
      let [least, most] = [0, 0];
      for (const [file, mapped] of [
        ['a', A],
        ['b', B_MAPPED],
      ] as const) {
        const now = Buffer.alloc(mapped, 0);
        const handle = await volume.fileSystem.open(ino(file), O_RDWR);
        const read = await volume.fileSystem.read(handle, now, 0);
        await volume.fileSystem.release(handle);
        for (let block = 0; block < mapped; block += BLOCK) {
          const end = Math.min(mapped, block + BLOCK);
          let differs = 0;
          for (let i = block; i < end; i++) if (i >= read || now[i] !== bytes[i]) differs++;
          least += differs;
        }
        for await (const { file: one } of volume.store.overwritten(entry().infoHash)) {
          if (one.path[1] !== file) continue;
          const shown = one.extents.filter(({ source }) => source >= 0).reduce((sum, extent) => sum + extent.length, 0);
          most += mapped - shown;
        }
      }
      const { mappedBytes } = await counted();
      const where = `seed ${seed}, round ${round}: ${mappedBytes}, of at least ${least} and at most ${most}`;
      // The block at the border of the gap may be anything.
      assert.ok(mappedBytes <= most && mappedBytes >= Math.max(least, most) - (B_MAPPED % BLOCK), where);
    }
  });
});
