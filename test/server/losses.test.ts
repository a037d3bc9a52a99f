/** What an entry has lost, and the gaps that are made of it, in a real store. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { lossStoreOf, watchLosses } from '../../src/server/loss-store.ts';
import { lossesOf, makeGaps } from '../../src/server/losses.ts';
import type { Entry } from '../../src/store/entries/entry.ts';
import type { StoredFile } from '../../src/store/entries/entry-files.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';

/** Bytes of a piece. */
const PIECE = 16_384;

describe('what an entry has lost', () => {
  let volume: OpenVolume;
  let entry: Entry;
  /** The ids of the sources of `T/a`, `T/b` and `T/c`. */
  let ids: readonly number[];

  beforeEach(async () => {
    const folder = temporaryFolder('losses');
    volume = await openVolume(join(folder, 'state'));
    const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
    for (const path of paths) writeFileSync(path, Buffer.alloc(100_000, path));
    // The pieces 0 to 2 have bytes of `T/a`, 2 to 4 of `T/b`, and 4 to 9 of `T/c`.
    const files = [
      fileOf(['T', 'a'], [{ length: 40_000, source: 0, sourceOffset: 0 }]),
      fileOf(['T', 'b'], [{ length: 30_000, source: 1, sourceOffset: 0 }]),
      fileOf(['T', 'c'], [{ length: 80_000, source: 2, sourceOffset: 7 }]),
    ];
    const plan = planOf(
      'E',
      paths.map((path) => sourceOf(path)),
      files,
    );
    await volume.store.createEntry({ ...plan, verified: Buffer.from([0xff, 0xc0]) });
    entry = volume.store.entry('E') ?? assert.fail();
    const found = await stored();
    ids = found.map(({ base }) => base[0]?.source ?? assert.fail());
  });
  afterEach(async () => await volume.close());

  const stored = async (): Promise<StoredFile[]> => {
    const files: StoredFile[] = [];
    for await (const file of volume.store.files(entry.infoHash)) files.push(file);
    return files;
  };
  const lose = (i: number): void => {
    volume.store.living.setCondition(ids[i] ?? assert.fail(), { state: 'lost', reason: 'was deleted' });
  };
  const losses = () => lossesOf(lossStoreOf(volume.store), entry);

  it('is nothing while all sources are trusted', async () => {
    assert.deepEqual(await losses(), { lostBytes: 0, downloadBytes: 0, unsettled: 0, doubted: [] });
  });

  it('counts the bytes, and those of whole pieces once', async () => {
    lose(0);
    assert.deepEqual(await losses(), { lostBytes: 40_000, downloadBytes: 3 * PIECE, unsettled: 0, doubted: [] });
    lose(1);
    assert.deepEqual(await losses(), { lostBytes: 70_000, downloadBytes: 5 * PIECE, unsettled: 0, doubted: [] });
    lose(2);
    assert.deepEqual(await losses(), { lostBytes: 150_000, downloadBytes: 150_000, unsettled: 0, doubted: [] });
  });

  it('tells of what is not settled, and of what is doubted until it is proven', async () => {
    const { living } = volume.store;
    living.setCondition(ids[0] ?? 0, { state: 'waiting', reason: 'lies on a disk that is away' });
    living.setCondition(ids[1] ?? 0, { state: 'healing', reason: 'was modified' });
    const { epoch } = living.setCondition(ids[2] ?? 0, { state: 'doubted', reason: 'was modified' });
    assert.deepEqual(await losses(), {
      lostBytes: 0,
      downloadBytes: 0,
      unsettled: 2,
      doubted: [{ path: 'T/c', offset: 0, length: 80_000 }],
    });
    const [{ ino } = assert.fail()] = await stored();
    const id = volume.store.inode(ino)?.entry ?? assert.fail();
    for (let piece = 4; piece <= 9; piece++) living.prove(id, piece, epoch);
    assert.deepEqual((await losses()).doubted, []);
  });

  it('becomes gaps, of which the entry knows, and no other file changes', async () => {
    const before = await stored();
    lose(1);
    assert.equal(await makeGaps(lossStoreOf(volume.store), entry), 30_000);
    const after = await stored();
    assert.deepEqual(after[1]?.base, [{ offset: 0, length: 30_000, source: GAP, sourceOffset: 0 }]);
    assert.deepEqual([after[0], after[2]], [before[0], before[2]]);
    const now = volume.store.entry('E');
    assert.deepEqual([now?.missingBytes, now?.verifiedPieces], [30_000, 7]);
    // The pieces 2, 3 and 4.
    assert.deepEqual(volume.store.pieceMap(entry.infoHash), Buffer.from([0b1100_0111, 0xc0]));
    assert.deepEqual(await losses(), { lostBytes: 0, downloadBytes: 0, unsettled: 0, doubted: [] });
    assert.equal(await makeGaps(lossStoreOf(volume.store), entry), 0);
  });

  it('is told by the entry, for losses before the watch and after it', async () => {
    const noted: string[] = [];
    lose(0);
    const end = watchLosses(volume.store, { note: (infoHash) => noted.push(infoHash) }, (error) =>
      assert.ifError(error),
    );
    await waitUntil('the first', async () => noted.length === 1);
    lose(1);
    await waitUntil('the second', async () => noted.length === 2);
    assert.deepEqual(noted, [entry.infoHash, entry.infoHash]);
    end();
    lose(2);
    assert.equal(noted.length, 2);
  });
});
