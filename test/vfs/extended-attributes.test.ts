import assert from 'node:assert/strict';
import { constants, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { Volume } from './volume.ts';

const ROOT = { uid: 0, gid: 0 };
const CLIENT = { uid: 1000, gid: 1000 };
const OTHER = { uid: 1001, gid: 1000 };

describe('extended attributes', () => {
  let volume: Volume;

  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('attributes'));
  });
  afterEach(async () => {
    await volume.close();
  });

  const get = async (path: string, name: string, caller = ROOT): Promise<string> =>
    (await volume.files.getxattr(volume.ino(path), `user.autotorrent.${name}`, caller)).toString();
  const refused = async (code: string, path: string, name: string, caller = ROOT): Promise<void> =>
    await assert.rejects(async () => await get(path, name, caller), { code });

  it('tell where the bytes of a file come from', async () => {
    const { source } = volume;
    assert.equal(await get('T/whole', 'source'), `0 40000 19 ${source}`);
    assert.equal(
      await get('T/mixed', 'source'),
      `0 6000 0 ${source}\n6000 6000 - zeros\n12000 5000 - gap\n17000 3000 0 ${source}`,
    );
    await volume.write('T/whole', 'written', 5000);
    assert.equal(await get('T/whole', 'source'), `0 4096 19 ${source}\n4096 4096 - written\n8192 31808 8211 ${source}`);
    for (const path of ['T/gap', 'T/empty']) await refused('ENODATA', path, 'source');
  });

  it('name the one source of a whole file by its path alone, with its bytes', async () => {
    const folder = Buffer.from(`${volume.folder}/`);
    const paths = ['plain path', 'line\nfeed and \\', Buffer.from([0x66, 0xff, 0x67])].map((name) =>
      Buffer.concat([folder, Buffer.from(name)]),
    );
    for (const path of paths) writeFileSync(path, 'bytes');
    const files = paths.map((_, i) => fileOf(['N', `${i}`], [{ length: 5, source: i, sourceOffset: 0 }]));
    await volume.store.createEntry(
      planOf(
        'N',
        paths.map((path) => sourceOf(path)),
        files,
      ),
    );
    const entry = volume.files.paths.find(volume.files.paths.find(1, 'N'), 'N');
    const of = async (name: string): Promise<Buffer> =>
      await volume.files.getxattr(volume.files.paths.find(entry, name), 'user.autotorrent.source', ROOT);
    assert.deepEqual(await of('0'), paths[0]);
    assert.deepEqual(await of('1'), Buffer.from(`${folder.toString()}line\\012feed and \\134`));
    assert.deepEqual(await of('2'), paths[2]);
  });

  it('tell the path of a source to root and the owner alone', async () => {
    volume.files.setOwner(CLIENT);
    assert.match(await get('T/whole', 'source', ROOT), /source$/);
    assert.match(await get('T/whole', 'source', CLIENT), /source$/);
    await refused('EACCES', 'T/whole', 'source', OTHER);
    assert.equal(await get('T/whole', 'state', OTHER), 'ok');
    assert.equal(await get('T/whole', 'pieces', OTHER), '2/3');
  });

  it('count the verified pieces that have bytes of a file', async () => {
    const pieces = async (): Promise<string[]> =>
      await Promise.all(
        ['whole', 'gap', 'mixed', 'last', 'empty'].map(async (name) => await get(`T/${name}`, 'pieces')),
      );
    assert.deepEqual(await pieces(), ['2/3', '0/2', '0/2', '1/2', '0/0']);
    await volume.write('T/whole', 'other bytes', 100);
    await volume.truncate('T/last', 10);
    assert.deepEqual(await pieces(), ['1/3', '0/2', '0/2', '0/2', '0/0']);
    await volume.create('T/made', 'by a client');
    await refused('ENODATA', 'T/made', 'pieces');
  });

  it('say what is the matter with a file', async () => {
    assert.equal(await get('T/whole', 'state'), 'ok');
    assert.equal(await get('T/gap', 'state'), 'gap');
    await volume.write('T/whole', 'written', 0);
    assert.equal(await get('T/whole', 'state'), 'overlaid');
    await volume.create('T/made', 'by a client');
    assert.equal(await get('T/made', 'state'), 'plain');
    const { ino } = volume.files.getattr(volume.ino('T/whole'));
    const [source] = volume.store.sourcesOf(ino);
    assert.ok(source !== undefined);
    volume.store.living.setCondition(source, { state: 'doubted', reason: 'was touched' });
    assert.equal(await get('T/mixed', 'state'), 'doubted gap');
    assert.equal(await get('T/whole', 'state'), 'doubted overlaid');
    volume.store.living.setCondition(source, { state: 'lost', reason: 'is gone' });
    assert.equal(await get('T/last', 'state'), 'lost');
  });

  it('say that a source cannot be read', async () => {
    renameSync(volume.source, join(volume.folder, 'elsewhere'));
    await assert.rejects(volume.open('T/last', constants.O_RDONLY), { code: 'EIO' });
    assert.equal(await get('T/last', 'state'), 'broken');
    assert.equal(await get('T/gap', 'state'), 'gap');
  });

  it('are cut to whole lines where they would be longer than the kernel takes', async () => {
    const extents = Array.from({ length: 3000 }, (_, i) => ({ length: 10, source: 0, sourceOffset: 11 * i }));
    const plan = planOf('long', [sourceOf(volume.source)], [fileOf(['long', 'file'], extents)]);
    await volume.store.createEntry(plan);
    const { paths } = volume.files;
    const ino = paths.find(paths.find(paths.find(1, 'long'), 'long'), 'file');
    const value = await volume.files.getxattr(ino, 'user.autotorrent.source', ROOT);
    assert.ok(value.length <= 65_536 && value.length > 65_000);
    const lines = value.toString().split('\n');
    assert.equal(lines.at(-1), `... ${3000 - lines.length + 1} more`);
    assert.equal(lines.at(-2), `${(lines.length - 2) * 10} 10 ${(lines.length - 2) * 11} ${volume.source}`);
  });

  it('are of files alone, and of no other name', async () => {
    await refused('ENODATA', 'T', 'state');
    await refused('ENODATA', 'T/whole', 'other');
    const { files } = volume;
    for (const name of ['security.capability', 'user.autotorrent.', 'autotorrent.state', 'system.posix_acl_access']) {
      assert.throws(() => files.getxattr(volume.ino('T/whole'), name, ROOT), { code: 'ENODATA' });
    }
  });
});

describe('killSetIds', () => {
  it('clears the bits that a write by somebody else ends', async () => {
    const volume = await Volume.open(temporaryFolder('set-ids'));
    try {
      const ino = await volume.create('T/program');
      for (const [before, after] of [
        [0o4755, 0o755],
        [0o6775, 0o775],
        [0o2745, 0o2745],
        [0o1644, 0o1644],
      ] as const) {
        await volume.files.setattr(ino, { mode: before });
        await volume.files.killSetIds(ino);
        assert.equal(volume.files.getattr(ino).mode, after);
      }
      const { ino: fifo } = await volume.files.mknod(...volume.place('T/fifo'), 'fifo', 0o6711, 0);
      await volume.files.killSetIds(fifo);
      assert.equal(volume.files.getattr(fifo).mode, 0o711);
      const folder = volume.ino('T');
      await volume.files.setattr(folder, { mode: 0o2775 });
      await volume.files.killSetIds(folder);
      assert.equal(volume.files.getattr(folder).mode, 0o2775);
    } finally {
      await volume.close();
    }
  });
});
