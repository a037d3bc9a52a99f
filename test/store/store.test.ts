import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import { silentLogger } from '../../src/logger.ts';
import type { PlanFile } from '../../src/plan/plan.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { fileKey, VERSION_KEY } from '../../src/store/records/key.ts';
import { FORMAT, Writer } from '../../src/store/records/record.ts';
import { Store } from '../../src/store/store.ts';
import { ROOT } from '../../src/store/tree/tree.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileSystemOver, openLevel } from '../harness/volume.ts';
import { extentsOf, file, hashOf, inoOf, letters, plan, source, tree, withStore } from './fixture.ts';

const hash = (digit: string): string => digit.repeat(40);

/** Makes an entry, removes it, and returns the inode number of its file. */
const createAndRemove = async (folder: string): Promise<number> =>
  await withStore(folder, async (store) => {
    await store.createEntry(plan('A', [file('t')], [source('x')]));
    const ino = inoOf(store, 'A/t');
    await store.removeEntry(hashOf('A'));
    return ino;
  });

/** Records every batch of a store's database from now on; the first `failing` synced batches fail. */
function writesOf(level: StoreLevel, failing = 0): ('synced' | 'unsynced' | 'failed')[] {
  const writes: ('synced' | 'unsynced' | 'failed')[] = [];
  let left = failing;
  const begin = () => level.batch();
  const batch: typeof begin = level.batch.bind(level);
  Object.assign(level, {
    batch: () => {
      const chained = batch();
      const write = chained.write.bind(chained);
      return Object.assign(chained, {
        write: async (options: { readonly sync?: boolean } = {}) => {
          if (options.sync === true && left-- > 0) {
            writes.push('failed');
            throw new Error('the disk does not answer');
          }
          await write(options);
          writes.push(options.sync === true ? 'synced' : 'unsynced');
        },
      });
    },
  });
  return writes;
}

describe('the store', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('store');
  });

  it('syncs once for an entry, after its last batch, and a few times for 200 that are made at once', async () => {
    await withStore(folder, async (store, level) => {
      const writes = writesOf(level);
      const create = async (name: string) => await store.createEntry(plan(name, [file('T/a')], [source('x')]));
      await create('first');
      assert.equal(writes.at(-1), 'synced');
      await Promise.all(Array.from({ length: 199 }, async (_, i) => await create(`E${i}`)));
      assert.equal(writes.at(-1), 'synced');
      const syncs = writes.filter((write) => write === 'synced').length;
      assert.ok(syncs <= 6, `${syncs} syncs in ${writes.length} batches`);
    });
    await withStore(folder, async (store) => assert.equal((await tree(store)).length, 600));
  });

  it('takes an entry back that cannot be synced', async () => {
    await withStore(folder, async (store, level) => {
      const writes = writesOf(level, 1);
      await assert.rejects(store.createEntry(plan('A', [file('T/a')], [source('x')])), { code: 'STORE' });
      assert.ok(writes.includes('failed'));
      assert.equal(store.entry('A'), undefined);
      assert.deepEqual(await tree(store), []);
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
    });
    await withStore(folder, async (store) => assert.deepEqual(await tree(store), ['A', 'A/T', 'A/T/a']));
  });

  it('shows an entry as planned, also after it was opened again', async () => {
    const files = [
      file('T/a'),
      file('T/sub/deep/b', 1, { executable: true }),
      file('T/sub/c', GAP, { status: 'missing', extents: [{ offset: 0, length: 10, source: GAP, sourceOffset: 0 }] }),
      file('T/sub/link', 0, { symlink: ['a'], length: 0, extents: [] }),
    ];
    const numbers = await withStore(folder, async (store) => {
      const entry = await store.createEntry(plan('One', files, [source('x'), source('yy')]));
      assert.equal(entry.state, 'adding');
      assert.equal(entry.torrentName, 'T');
      assert.equal(entry.verifiedPieces, 2);
      await store.markAdded([entry.infoHash]);
      return ['One', 'One/T/a', 'One/T/sub/deep/b'].map((path) => inoOf(store, path));
    });
    await withStore(folder, async (store) => {
      assert.deepEqual(
        numbers,
        ['One', 'One/T/a', 'One/T/sub/deep/b'].map((path) => inoOf(store, path)),
      );
      assert.deepEqual(await tree(store), [
        'One',
        'One/T',
        'One/T/a',
        'One/T/sub',
        'One/T/sub/c',
        'One/T/sub/deep',
        'One/T/sub/deep/b',
        'One/T/sub/link',
      ]);
      const b = store.inode(inoOf(store, 'One/T/sub/deep/b'));
      assert.deepEqual(
        [b?.type, b?.mode, b?.nlink, b?.size, b?.mtime],
        ['file', 0o755, 1, 10, { seconds: 1, nanoseconds: 234_500_000 }],
      );
      assert.equal(store.inode(inoOf(store, 'One/T/sub'))?.nlink, 3);
      assert.equal(store.inode(ROOT)?.nlink, 3);
      assert.equal(store.target(inoOf(store, 'One/T/sub/link')), '../a');
      const [extent] = [...extentsOf(store, 'One/T/sub/deep/b')];
      assert.equal(extent?.sourceOffset, 7);
      assert.equal(store.source(extent?.source ?? -1)?.path.toString(), '/disk/yy');
      assert.equal(store.entry('One')?.state, 'added');
      assert.equal(store.entry(hashOf('One'))?.name, 'One');
      assert.equal(store.metainfo(hashOf('One'))?.toString(), 'raw One');
      assert.deepEqual(store.pieceMap(hashOf('One')), Buffer.from([0b1010_0000]));
      const listed = [];
      for await (const { index, path, status, length } of store.files(hashOf('One'))) {
        listed.push([index, path.join('/'), status, length]);
      }
      assert.deepEqual(listed, [
        [0, 'T/a', 'mapped', 10],
        [1, 'T/sub/deep/b', 'mapped', 10],
        [2, 'T/sub/c', 'missing', 10],
        [3, 'T/sub/link', 'mapped', 0],
      ]);
    });
  });

  it('gives each entry a name of its own', async () => {
    const long = '日'.repeat(100);
    await withStore(folder, async (store) => {
      const name = async (wanted: string, infoHash: string): Promise<string> =>
        (await store.createEntry(plan(wanted, [file('t')], [source('x')], infoHash))).name;
      assert.equal(await name(long, hash('1')), '日'.repeat(85));
      assert.equal(await name(long, hash('2')), `${'日'.repeat(81)} [22222222]`);
      assert.equal(await name('..', hash('3')), hash('3'));
      assert.equal(await name('a/b\0c', hash('4')), 'a_b_c');
      assert.equal(await name('a', hash('5')), 'a');
      assert.equal(await name('a', `${'6'.repeat(8)}${'7'.repeat(32)}`), 'a [66666666]');
      assert.equal(await name('a', `${'6'.repeat(8)}${'8'.repeat(32)}`), `${'6'.repeat(8)}${'8'.repeat(32)}`);
      await assert.rejects(name('again', hash('5')), { code: 'CONFLICT' });
    });
  });

  it('leaves nothing of an entry that was removed, and keeps what others use', async () => {
    await withStore(folder, async (store, level) => {
      const empty = await letters(level);
      const keep = await store.createEntry(plan('Keep', [file('t')], [source('shared')]));
      const before = await letters(level);
      const gone = await store.createEntry(
        plan('Gone', [file('T/a/b/c', 0), file('T/d', 1)], [source('shared', [1]), source('own')]),
      );
      await store.addNames(gone.infoHash, [
        ['T_', 'x'],
        ['T_', 'a', 'y'],
      ]);
      await store.removeEntry(gone.infoHash);
      assert.equal(await letters(level), before);
      assert.deepEqual(await tree(store), ['Keep', 'Keep/t']);
      const [extent] = [...extentsOf(store, 'Keep/t')];
      assert.equal(store.source(extent?.source ?? -1)?.path.toString(), '/disk/shared');
      await store.removeEntry(keep.infoHash);
      assert.equal(await letters(level), empty);
      await assert.rejects(store.removeEntry(keep.infoHash), { code: 'NOT_FOUND' });
      assert.equal(store.inode(ROOT)?.nlink, 2);
    });
  });

  it('never uses a number twice', async () => {
    const first = await createAndRemove(folder);
    assert.ok((await createAndRemove(folder)) > first);
  });

  it('shares equal sources, adds up their spares, and tells who uses them', async () => {
    await withStore(folder, async (store) => {
      await store.createEntry(plan('A', [file('t')], [source('x', [1]), source('y1')]));
      await store.createEntry(plan('B', [file('t')], [source('x', [1]), source('y22')]));
      const ids = ['A/t', 'B/t'].map((path) => [...extentsOf(store, path)][0]?.source ?? -1);
      assert.equal(ids[0], ids[1]);
      const spares = store.source(ids[0] ?? -1)?.spares.map((id) => store.source(id)?.path.toString());
      assert.deepEqual(spares, ['/disk/y1', '/disk/y22']);
      assert.deepEqual(
        await store.entriesUsing(ids[0] ?? -1),
        ['A', 'B'].toSorted((a, b) => (hashOf(a) < hashOf(b) ? -1 : 1)),
      );
    });
  });

  it('shows pad files of one length that share a path once, and lists each', async () => {
    await withStore(folder, async (store, level) => {
      const before = await letters(level);
      const pad = (length: number): PlanFile =>
        file('T/.pad/6', 0, {
          length,
          status: 'pad',
          mode: 'none',
          extents: [{ offset: 0, length, source: ZEROS, sourceOffset: 0 }],
        });
      const { infoHash, fileCount } = await store.createEntry(
        plan('Pads', [file('T/a'), pad(6), file('T/b'), pad(6)], [source('x')]),
      );
      assert.equal(fileCount, 4);
      const listed: string[] = [];
      for await (const { path } of store.files(infoHash)) listed.push(path.join('/'));
      assert.deepEqual(listed, ['T/a', 'T/.pad/6', 'T/b', 'T/.pad/6']);
      assert.deepEqual((await tree(store)).filter((path) => path.includes('pad/')).length, 1);
      await store.removeEntry(infoHash);
      assert.equal(await letters(level), before);
      await assert.rejects(store.createEntry(plan('Pads', [pad(6), pad(7)], [])), { code: 'TORRENT' });
    });
  });

  it('refuses plans that do not fit together, and leaves nothing of them', async () => {
    await withStore(folder, async (store, level) => {
      const before = await letters(level);
      const bad = [
        [file('T/a'), file('T/a')],
        [file('T/a'), file('T/a/b')],
        [file('T/a/b'), file('T/a')],
        [file('T/../a')],
        [file(`T/${'x'.repeat(1024)}`)],
        [file('T/a', 5)],
        [file('T/a', 0, { length: 11 })],
        [],
      ];
      for (const files of bad) {
        await assert.rejects(store.createEntry(plan('Bad', files, [source('x')])), { code: 'TORRENT' });
      }
      assert.equal(await letters(level), before);
      assert.deepEqual(await tree(store), []);
    });
  });

  it('refuses names of clients that collide, and changes nothing then', async () => {
    await withStore(folder, async (store) => {
      const { infoHash } = await store.createEntry(plan('A', [file('T/a'), file('T/b')], [source('x')]));
      const before = await tree(store);
      const refused = [
        [['T', 'b'], undefined],
        [
          ['S', 'c'],
          ['S', 'c'],
        ],
        [
          ['S', 'c'],
          ['S', 'c', 'd'],
        ],
        [
          ['S', 'c', 'd'],
          ['S', 'c'],
        ],
        [['T'], undefined],
        [['T', 'a', 'x'], undefined],
      ];
      for (const names of refused) await assert.rejects(store.addNames(infoHash, names), { code: 'CONFLICT' });
      for (const bad of ['', '.', '..', 'a/b', 'a\0', '\ud800', 'x'.repeat(1024), 'é'.repeat(512)]) {
        await assert.rejects(store.addNames(infoHash, [['S', bad]]), { code: 'CLIENT' });
      }
      await assert.rejects(store.addNames(infoHash, [undefined, undefined, ['S']]), { code: 'CLIENT' });
      assert.deepEqual(await tree(store), before);
      await store.addNames(infoHash, [
        ['T', 'a'],
        ['S', 'b'],
      ]);
      await store.addNames(infoHash, [
        ['T', 'a'],
        ['S', 'b'],
      ]);
      assert.equal(store.inode(inoOf(store, 'A/S/b'))?.nlink, 2);
      assert.equal(store.inode(inoOf(store, 'A'))?.nlink, 4);
    });
  });

  it('takes names that no disk takes in the entry of a torrent that has some, and in no other', async () => {
    await withStore(folder, async (store, level) => {
      const before = await letters(level);
      const long = 'é'.repeat(511);
      const { infoHash } = await store.createEntry(plan('Long', [file(`T/${long}/${'x'.repeat(300)}`)], [source('x')]));
      await store.createEntry(plan('Short', [file('T/a')], [source('x')]));
      const [top, other] = [inoOf(store, 'Long/T'), inoOf(store, 'Short/T')];
      assert.equal(
        store.find(inoOf(store, `Long/T/${long}`), 'x'.repeat(300)),
        inoOf(store, `Long/T/${long}/${'x'.repeat(300)}`),
      );
      const fresh = { type: 'directory', mode: 0o755, owner: { uid: 0, gid: 0 }, rdev: 0 } as const;
      for (const name of ['x'.repeat(256), 'é'.repeat(128), 'y'.repeat(1023)]) {
        assert.throws(() => store.find(top, name), { code: 'ENOENT' });
        await store.names.make({ parent: top, name }, fresh);
        assert.throws(() => store.find(other, name), { code: 'ENAMETOOLONG' });
        await assert.rejects(store.names.make({ parent: other, name }, fresh), { code: 'ENAMETOOLONG' });
      }
      await assert.rejects(store.names.make({ parent: top, name: 'y'.repeat(1024) }, fresh), { code: 'ENAMETOOLONG' });
      assert.throws(() => store.find(top, 'y'.repeat(1024)), { code: 'ENAMETOOLONG' });
      // A client's name counts as much as the torrent's own.
      await store.addNames(hashOf('Short'), [['T', 'z'.repeat(400)]]);
      await store.names.make({ parent: other, name: 'é'.repeat(128) }, fresh);
      await store.removeEntry(infoHash);
      await store.removeEntry(hashOf('Short'));
      assert.equal(await letters(level), before);
    });
  });

  it('keeps the names of several clients, and of one client at several times', async () => {
    await withStore(folder, async (store) => {
      const { infoHash } = await store.createEntry(plan('Several', [file('T/a'), file('T/b')], [source('x')]));
      await store.addNames(infoHash, [
        ['T', 'a'],
        ['T', 'B'],
      ]);
      await store.addNames(infoHash, [undefined, ['T', 'B.1']]);
      await store.addNames(infoHash, [undefined, ['T', 'B.1']]);
      const found = async (): Promise<unknown[]> => {
        const all = [];
        for await (const { path, changes } of store.differences(infoHash))
          all.push([path.join('/'), changes.join(' ')]);
        return all;
      };
      assert.deepEqual(await found(), []);
      assert.equal(store.inode(inoOf(store, 'Several/T/B.1'))?.nlink, 3);
      const uses = { isOpen: () => false, doom() {} };
      for (const name of ['B', 'B.1']) await store.names.unlink({ parent: inoOf(store, 'Several/T'), name }, uses);
      assert.deepEqual(await found(), [['T/b', 'moved']]);
    });
  });

  it('lists external entries and does not mount them', async () => {
    await withStore(folder, async (store, level) => {
      const before = await letters(level);
      const { files: _files, sources: _sources, ...header } = plan('Ext', [], []);
      await store.createExternal({ ...header, directory: '/disk/x', torrentName: 'T', fileCount: 3 });
      const listed = [];
      for await (const entry of store.entries()) listed.push([entry.name, entry.kind, entry.directory]);
      assert.deepEqual(listed, [['Ext', 'external', '/disk/x']]);
      assert.deepEqual(await tree(store), []);
      await store.removeEntry(hashOf('Ext'));
      assert.equal(await letters(level), before);
    });
  });

  it('goes on making names beside the entries while an external one is removed', async () => {
    await withStore(folder, async (store, level) => {
      const files = fileSystemOver(store, folder);
      for (let i = 0; i < 20; i++) {
        const { files: _files, sources: _sources, ...header } = plan(`Ext ${i}`, [], []);
        await store.createExternal({ ...header, directory: '/disk/x', torrentName: 'T', fileCount: 3 });
        await Promise.all([store.removeEntry(hashOf(`Ext ${i}`)), files.mkdir(1, `made ${i}`, 0o755)]);
      }
      // A removal that fails does not block new names, either.
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
      const iterator = level.iterator.bind(level);
      Object.assign(level, {
        iterator: () => {
          throw new Error('the disk is broken');
        },
      });
      await assert.rejects(store.removeEntry(hashOf('A')), /the disk is broken/);
      Object.assign(level, { iterator });
      await files.mkdir(1, 'after', 0o755);
      assert.equal((await tree(store)).length, 21);
    });
  });

  it('looks at no other entry when one is written to first, and when a source of it is broken', async () => {
    await withStore(folder, async (store) => {
      await store.recovered;
      for (let i = 0; i < 30; i++) await store.createEntry(plan(`E${i}`, [file('T/a')], [source(`x${i}`)]));
    });
    await withStore(folder, async (store, level) => {
      await store.recovered;
      const ranges: string[] = [];
      const iterator = level.iterator.bind(level);
      Object.assign(level, {
        iterator: (range: { gte: Buffer }) => {
          ranges.push(range.gte.toString('latin1', 0, 1));
          return iterator(range);
        },
      });
      const files = fileSystemOver(store, folder);
      const handle = await files.create(inoOf(store, 'E7/T'), 'new', 0o644, 2);
      await files.unlink(inoOf(store, 'E7/T'), 'a');
      await files.release(handle.handle);
      const [extent] = extentsOf(store, 'E8/T/a');
      assert.deepEqual(await store.entriesUsing(extent?.source ?? -1), ['E8']);
      assert.ok(ranges.length > 0);
      assert.ok(!ranges.includes('E'), ranges.join(' '));
    });
  });

  it('lists large folders in pages, in slices of the plan', async () => {
    await withStore(folder, async (store) => {
      const files = Array.from({ length: 2500 }, (_, i) => file(`T/f${String(i).padStart(5, '0')}`));
      async function* slowly() {
        for (const one of files) yield await Promise.resolve(one);
      }
      await store.createEntry({ ...plan('Many', [], [source('x')]), files: slowly() });
      const pages = [];
      for await (const page of store.readdir(inoOf(store, 'Many/T'))) pages.push(page.map((dirent) => dirent.name));
      assert.ok(pages.length > 1);
      assert.deepEqual(
        pages.flat(),
        files.map((one) => one.path[1]),
      );
    });
  });

  it('opens a store whose files have no codes, and gives new ones theirs', async () => {
    await withStore(folder, async (store, level) => {
      await store.createEntry(plan('A', [file('t/x', 0, { code: 'verified' })], [source('x')]));
      const [entry, ino] = [1, inoOf(store, 'A/t/x')];
      // A file of format 2: inode number, status, mode, path.
      const old = new Writer().integer(ino).integer(0).text('normal').text('t').text('x').finish();
      assert.ok(level.getSync(fileKey(entry, 0)) !== undefined);
      await level.put(fileKey(entry, 0), old);
      await level.put(VERSION_KEY, new Writer().integer(2).finish());
    });
    await withStore(folder, async (store, level) => {
      assert.equal(level.getSync(VERSION_KEY)?.[0], FORMAT);
      await store.createEntry(plan('B', [file('t/x', 0, { status: 'missing', code: 'unproven' })], [source('x')]));
      const files = async (name: string) => {
        const found = [];
        for await (const { path, status, mode, code } of store.files(hashOf(name)))
          found.push({ path, status, mode, code });
        return found;
      };
      assert.deepEqual(await files('A'), [{ path: ['t', 'x'], status: 'mapped', mode: 'normal', code: undefined }]);
      assert.deepEqual(await files('B'), [{ path: ['t', 'x'], status: 'missing', mode: 'normal', code: 'unproven' }]);
    });
  });

  it('refuses a store of another version, and a database that is none', async () => {
    await withStore(folder, async (_store, level) => {
      await level.put(Buffer.from('V'), Buffer.from([99]));
    });
    const level = await openLevel(folder);
    await assert.rejects(Store.open(level, { logger: silentLogger, statePath: folder }), {
      code: 'STORE',
      message: /format 99/,
    });
    await level.clear();
    await level.put(Buffer.from('something'), Buffer.from('else'));
    await assert.rejects(Store.open(level, { logger: silentLogger, statePath: folder }), {
      code: 'STORE',
      message: /no store/,
    });
    await level.close();
  });
});
