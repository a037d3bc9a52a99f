import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Dentry } from '../../src/vfs/operations.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { letters } from '../store/fixture.ts';
import { planFor, Volume } from './volume.ts';

describe('directories', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('vfs'));
    await volume.store.recovered;
  });
  afterEach(async () => {
    await volume.close();
  });

  const mkdir = async (path: string): Promise<number> => (await volume.files.mkdir(...volume.place(path), 0o755)).ino;
  const rest = async (handle: number, offset: number): Promise<Dentry[]> => {
    const found: Dentry[] = [];
    for await (const page of volume.files.readdir(handle, offset)) found.push(...page);
    return found;
  };

  for (const [how, remove] of [
    ['rmdir', async () => await volume.files.rmdir(...volume.place('T/d'))],
    ['a rename over them', async () => await volume.rename('T/other', 'T/d')],
    [
      'a discard',
      async () => void (await volume.store.discard(planFor(volume.source).infoHash, ['T/d'], volume.files.quiet)),
    ],
  ] as const) {
    it(`that are open live without a name until they are closed, after ${how}`, async () => {
      const ino = await mkdir('T/d');
      await mkdir('T/other');
      const handles = [await volume.files.opendir(ino), await volume.files.opendir(ino)];
      await remove();
      assert.deepEqual([volume.files.getattr(ino).nlink, volume.files.getattr(ino).type], [0, 'directory']);
      assert.deepEqual(await rest(handles[0]!, 0), []);
      await assert.rejects(volume.files.mkdir(ino, 'below', 0o755), { code: 'ENOENT' });
      await assert.rejects(volume.files.create(ino, 'below', 0o644, 2), { code: 'ENOENT' });
      await volume.files.releasedir(handles[0]!);
      assert.equal(volume.files.getattr(ino).nlink, 0, 'another handle has it still');
      await volume.files.releasedir(handles[1]!);
      assert.throws(() => volume.files.getattr(ino), { code: 'ENOENT' });
      assert.throws(() => volume.files.opendir(ino), { code: 'ENOENT' });
      await volume.store.sync();
      assert.doesNotMatch(await letters(volume.level), /Z/);
    });
  }

  it('that were open when the server ended are deleted by the next one', async () => {
    const ino = await mkdir('T/d');
    await volume.files.opendir(ino);
    await volume.files.rmdir(...volume.place('T/d'));
    await volume.restart();
    assert.equal(volume.store.inode(ino), undefined);
    assert.doesNotMatch(await letters(volume.level), /Z/);
  });

  it('are listed on from any offset, each name once, while names come and go', async () => {
    const ino = await mkdir('T/d');
    const names = Array.from({ length: 1200 }, (_, i) => `f${String(i).padStart(4, '0')}`);
    for (const name of names) await volume.files.mknod(ino, name, 'fifo', 0o644, 0);
    const handle = await volume.files.opendir(ino);
    const seen: string[] = [];
    let offset = 0;
    // As with `rm -r` and the kernel's buffer: list some names, delete them, continue after the last one.
    for (;;) {
      const page = await volume.files.readdir(handle, offset).next();
      const some = page.done === true ? [] : page.value.slice(0, 7);
      if (some.length === 0) break;
      for (const { name } of some) {
        seen.push(name);
        await volume.files.unlink(ino, name);
      }
      offset = some.at(-1)!.offset;
    }
    assert.deepEqual(seen, names);
    await volume.files.mknod(ino, 'later', 'fifo', 0o644, 0);
    assert.deepEqual(
      (await rest(handle, 0)).map(({ name }) => name),
      ['later'],
      'from the beginning, what there is now',
    );
    await assert.rejects(rest(handle, 1e6), { code: 'EINVAL' });
    await volume.files.releasedir(handle);
    await assert.rejects(rest(handle, 0), { code: 'EBADF' });
    assert.throws(() => volume.files.releasedir(handle), { code: 'EBADF' });
    assert.throws(() => volume.files.opendir(volume.ino('T/whole')), { code: 'ENOTDIR' });
  });

  it('and names that change from the side are reported to whoever keeps them', async () => {
    const told: string[] = [];
    const said = (): string[] => told.splice(0);
    const end = volume.files.watchStale((stale) => {
      told.push('ino' in stale ? `${stale.ino}` : `${stale.parent}/${stale.name}`);
    });
    const { infoHash } = planFor(volume.source);
    const [entry, folder, file] = [volume.ino(''), volume.ino('T'), volume.ino('T/gap')];
    await volume.write('T/gap', 'written', 0);
    assert.deepEqual(told, [], 'what the mount asked for, its kernel knows');
    await volume.store.discard(infoHash, ['T/gap'], volume.files.quiet);
    assert.deepEqual(said(), [`${file}`]);
    await volume.store.addNames(infoHash, [undefined, ['T', 'hole']]);
    assert.ok(said().includes(`${folder}/hole`));
    await volume.store.removeEntry(infoHash);
    assert.deepEqual(said(), ['1/E']);
    end();
    await volume.store.createEntry(planFor(volume.source));
    assert.deepEqual(told, []);
    assert.notEqual(volume.ino(''), entry);
  });
});
