/** A file that a client has completed goes to the pool, and is a source from then on. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { errnoOf } from '../../src/errors.ts';
import { GAP } from '../../src/extent/extent.ts';
import type { StoredFile } from '../../src/store/entries/entry-files.ts';
import { PoolFiles } from '../../src/store/sources/pool-files.ts';
import { Removal } from '../../src/store/tree/removal.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { letters } from '../store/fixture.ts';
import { BASE, patched, planFor, Volume } from './volume.ts';

const { infoHash } = planFor(import.meta.filename);
const DATA = Buffer.alloc(20_000, 'downloaded ');
/** The pieces of `T/gap`, 40,000 to 60,000, and of its neighbours. */
const GOOD = Buffer.from([0b0011_0000]);

describe('the pool', () => {
  let folder: string;
  let volume: Volume;
  beforeEach(async () => {
    folder = temporaryFolder('vfs');
    volume = await Volume.open(folder);
    await volume.store.recovered;
  });
  afterEach(async () => {
    await volume.close();
  });

  const verify = async (): Promise<void> => {
    const since = await volume.store.verificationBegun(infoHash);
    await volume.store.verificationEnded(infoHash, { since, good: GOOD, bad: Buffer.alloc(1) });
  };
  const file = async (): Promise<StoredFile> => (await volume.store.file(infoHash, 1))!;
  const pool = async (): Promise<string | undefined> => {
    const pooling = await volume.files.pool(infoHash, await file(), ['x', 'gap']);
    return pooling !== undefined && 'pooled' in pooling ? pooling.pooled : undefined;
  };

  for (const kind of ['written over', 'made anew'] as const) {
    it(`takes a file that is whole and verified, ${kind}, and whoever has it open goes on`, async () => {
      if (kind === 'made anew') {
        await volume.unlink('T/gap');
        await volume.create('T/gap');
      }
      const handle = await volume.open('T/gap');
      await volume.files.write(handle, DATA, 0);
      assert.equal(await pool(), undefined, 'it is not verified');
      await verify();
      const pooled = await pool();
      assert.ok(fs.readFileSync(pooled!).equals(DATA));
      assert.equal(fs.statSync(pooled!).mode & 0o777, 0o444);
      assert.equal(volume.store.inode(volume.ino('T/gap'))?.content, 'mapped');
      assert.ok((await volume.readHandle(handle, 20_000)).equals(DATA));
      // A later write copies over it.
      await volume.files.write(handle, Buffer.from('other'), 5);
      await volume.files.release(handle);
      await volume.restart();
      assert.ok((await volume.read('T/gap')).equals(patched(DATA, 'other', 5)));
      assert.ok(fs.readFileSync(pooled!).equals(DATA), 'the pool is as it was');
    });

    it(`takes none that was written to since it was verified, ${kind}`, async () => {
      if (kind === 'made anew') {
        await volume.unlink('T/gap');
        await volume.create('T/gap');
      }
      await volume.write('T/gap', DATA, 0);
      await verify();
      const verified = await file();
      await volume.write('T/gap', 'wrong', 100);
      const pooling = await volume.files.pool(infoHash, verified, ['x', 'gap']);
      assert.equal(pooling, undefined);
      assert.equal(fs.existsSync(join(folder, 'pool')), false);
    });
  }

  for (const kind of ['written over', 'made anew'] as const) {
    it(`is not written to by whoever has the file open, though it could not be sealed, ${kind}`, async (t) => {
      if (kind === 'made anew') {
        await volume.unlink('T/gap');
        await volume.create('T/gap');
      }
      const handle = await volume.open('T/gap');
      await volume.files.write(handle, DATA, 0);
      await verify();
      const refused = Object.assign(new Error('EPERM: operation not permitted, chmod'), { code: 'EPERM' });
      t.mock.method(PoolFiles.prototype, 'seal', async () => await Promise.reject(refused));
      const pooled = await pool().catch(() => join(folder, 'pool', 'x', 'gap'));
      await volume.files.write(handle, Buffer.from('other'), 5);
      assert.ok((await volume.readHandle(handle, 20_000)).equals(patched(DATA, 'other', 5)));
      assert.ok(fs.readFileSync(pooled!).equals(DATA), 'the pool is as it was');
      await volume.files.release(handle);
    });
  }

  it('serves a file whose times are set while the pool takes it', async (t) => {
    await volume.unlink('T/gap');
    await volume.create('T/gap', DATA);
    await verify();
    const found = await file();
    const times = { seconds: 1e9, nanoseconds: 0 };
    const setting: Promise<unknown>[] = [];
    const take = PoolFiles.prototype.take.bind(new PoolFiles(join(folder, 'pool'), folder));
    t.mock.method(PoolFiles.prototype, 'take', async (path: string, place: readonly string[]) => {
      const taken = await take(path, place);
      setting.push(volume.files.setattr(found.ino, { mtime: times }));
      return taken;
    });
    const pooled = await pool();
    await Promise.all(setting);
    assert.deepEqual(volume.files.getattr(found.ino).mtime, times);
    assert.notEqual(fs.statSync(pooled!).mtimeMs, 1e12, 'nothing of a source is changed');
    await volume.restart();
    assert.ok((await volume.read('T/gap')).equals(DATA));
  });

  it('leaves nothing of the file that was deleted and is still open', async () => {
    const handle = await volume.open('T/gap');
    await volume.files.write(handle, Buffer.from('deleted'), 0);
    await volume.unlink('T/gap');
    await volume.create('T/gap', DATA);
    await verify();
    assert.notEqual(await pool(), undefined);
    assert.equal((await volume.readHandle(handle, 7)).toString(), 'deleted');
    await volume.files.release(handle);
    await volume.restart();
    assert.doesNotMatch(await letters(volume.level), /[OWZ]/);
    const left = fs.readdirSync(volume.store.bytes.folder, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      left.filter((name) => name.includes('/')),
      [],
    );
    assert.ok((await volume.read('T/gap')).equals(DATA));
  });

  it('does not bring back an entry that was removed meanwhile, nor what was known of it before', async () => {
    await volume.write('T/gap', DATA, 0);
    await verify();
    const found = await file();
    const [removed] = await Promise.allSettled([
      volume.store.removeEntry(infoHash),
      volume.files.pool(infoHash, found, ['x', 'gap']),
    ]);
    assert.equal(removed.status, 'fulfilled');
    assert.equal(volume.store.entry(infoHash), undefined);
    await volume.restart();
    assert.equal(volume.store.entry(infoHash), undefined);
    assert.doesNotMatch(await letters(volume.level), /[EFIXOW]{2}/);
  });

  it('leaves an entry alone that was added anew while the one before is being deleted', async (t) => {
    await volume.write('T/gap', DATA, 0);
    await verify();
    const found = await file();
    let end = (_done: boolean): void => {};
    const deleting = new Promise<boolean>((resolve) => {
      end = resolve;
    });
    t.mock.method(Removal.prototype, 'run', async () => await deleting);
    const removing = volume.store.removeEntry(infoHash);
    // At once the entry is no longer found, but its parts still exist.
    while (volume.store.entry(infoHash) !== undefined) await new Promise(setImmediate);
    await volume.store.createEntry(planFor(volume.source));
    const { ino, status } = await file();
    const pooling = await volume.files.pool(infoHash, found, ['x', 'gap']).catch((error: unknown) => error);
    const after = await file();
    assert.deepEqual({ ino: after.ino, status: after.status }, { ino, status });
    assert.equal(errnoOf(pooling), 'NOT_FOUND');
    end(false);
    await removing;
  });

  it('gives back what could not be recorded, and the file is what it was', async () => {
    await volume.write('T/gap', DATA, 0);
    await verify();
    const batch = volume.level.batch.bind(volume.level);
    await volume.store.checkpoint();
    Object.assign(volume.level, {
      batch: () =>
        Object.assign(batch(), {
          write: async () => await Promise.reject(new Error('IO error: No space left on device')),
        }),
    });
    await assert.rejects(pool(), { code: 'STORE' });
    Object.assign(volume.level, { batch });
    assert.deepEqual(fs.readdirSync(join(folder, 'pooled')), []);
    assert.equal(fs.existsSync(join(folder, 'pool', 'x', 'gap')), false);
    await volume.write('T/gap', 'goes on', 0);
    await volume.restart();
    assert.ok((await volume.read('T/gap')).equals(patched(DATA, 'goes on', 0)));
    assert.ok((await volume.read('T/whole')).equals(BASE['T/whole']!));
  });

  it('takes the place of the sources of a file that was partly there', async () => {
    const other = join(folder, 'other');
    fs.writeFileSync(other, DATA.subarray(0, 10_000));
    const extents = [
      { length: 10_000, source: 0, sourceOffset: 0 },
      { length: 10_000, source: GAP, sourceOffset: 0 },
    ];
    const plan = planOf('F', [sourceOf(other)], [fileOf(['T'], extents), fileOf(['U'], [])]);
    await volume.store.createEntry({ ...plan, pieceCount: 2, verified: Buffer.alloc(1) });
    const { store, files } = volume;
    const ino = files.paths.find(files.paths.find(1, 'F'), 'T');
    const handle = await files.open(ino, fs.constants.O_RDWR);
    // Bytes that are there already are not written: all must be other ones first.
    await files.write(handle, Buffer.alloc(DATA.length, 'x'), 0);
    await files.write(handle, DATA, 0);
    const since = await store.verificationBegun(plan.infoHash);
    await store.verificationEnded(plan.infoHash, { since, good: Buffer.from([0b1100_0000]), bad: Buffer.alloc(1) });
    const [id = -1] = store.living.sourcesAt(Buffer.from(other));
    const pooling = await files.pool(plan.infoHash, (await store.file(plan.infoHash, 0))!, ['x', 'F']);
    assert.ok(pooling !== undefined && 'pooled' in pooling);
    await files.release(handle);
    assert.deepEqual(await store.living.usersOf(id), [2], 'reads may still be under way');
    await volume.restart();
    assert.deepEqual(volume.store.living.sourcesAt(Buffer.from(other)), []);
    assert.equal(volume.store.source(id), undefined);
  });
});
