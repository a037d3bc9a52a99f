import assert from 'node:assert/strict';
import fs from 'node:fs';
import { basename } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { OverlayFiles } from '../../../src/store/overlay/overlay-files.ts';
import { temporaryFolder } from '../../harness/folder.ts';

describe('the files of the overlay', () => {
  let folder: string;
  let files: OverlayFiles;
  beforeEach(async () => {
    folder = temporaryFolder('overlay');
    files = new OverlayFiles(folder);
  });

  const make = (ino: number, text = ''): void => {
    const fd = files.create(ino);
    fs.writeSync(fd, text);
    fs.closeSync(fd);
  };

  it('lie in folders by the last byte of the inode number, for the server alone', () => {
    for (const ino of [1, 255, 256, 257, 2 ** 40 + 3]) make(ino, `${ino}`);
    assert.ok(files.path(257).endsWith('/overlay/01/257'));
    assert.ok(files.path(2 ** 40 + 3).endsWith(`/overlay/03/${2 ** 40 + 3}`));
    assert.equal(fs.statSync(files.path(1)).mode & 0o777, 0o600);
    assert.equal(fs.statSync(files.folder).mode & 0o777, 0o700);
    const listed = [...files.list()].flat().map(({ ino }) => ino);
    assert.deepEqual(new Set(listed), new Set([1, 255, 256, 257, 2 ** 40 + 3]));
    assert.equal(files.sizeOf(257), 3);
    assert.equal(files.sizeOf(258), 0);
  });

  it('are emptied where one is there already, and no symlink is followed', () => {
    make(7, 'old');
    make(7);
    assert.equal(files.stat(7).size, 0);
    fs.writeFileSync(`${folder}/elsewhere`, 'kept');
    fs.rmSync(files.path(7));
    fs.symlinkSync(`${folder}/elsewhere`, files.path(7));
    assert.throws(() => files.create(7), { code: 'ELOOP' });
    assert.throws(() => files.open(7), { code: 'ELOOP' });
    assert.equal(fs.readFileSync(`${folder}/elsewhere`, 'utf8'), 'kept');
  });

  it('are named durably once for all that were made since, and nobody is told before that', async (t) => {
    const open = fs.promises.open;
    const synced: string[] = [];
    let release = (): void => {};
    let fails = false;
    t.mock.method(fs.promises, 'open', async (path: string) => {
      const handle = await open(path, 'r');
      return {
        async sync() {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
          if (fails) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
          synced.push(basename(path));
        },
        close: async () => await handle.close(),
      };
    });
    const until = async (done: () => boolean): Promise<void> => {
      for (let i = 0; i < 1000 && !done(); i++) {
        release();
        await new Promise(setImmediate);
      }
      assert.ok(done());
    };
    make(1);
    make(257);
    const ended: number[] = [];
    const first = files.syncNames([1]).then(() => ended.push(1));
    const second = files.syncNames([257]).then(() => ended.push(257));
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.equal(ended.length, 0, 'one sync is for both, and has not ended');
    await until(() => ended.length === 2);
    await Promise.all([first, second]);
    assert.deepEqual(synced, ['01', 'overlay']);
    await files.syncNames([1, 257]);
    assert.deepEqual(synced, ['01', 'overlay'], 'nothing was made since');
    make(513);
    fails = true;
    let failed = false;
    const third = files.syncNames([513]).catch(() => {
      failed = true;
    });
    await until(() => failed);
    await third;
    fails = false;
    const again = files.syncNames([513]).then(() => ended.push(513));
    await until(() => ended.includes(513));
    await again;
    assert.deepEqual(synced, ['01', 'overlay', '01'], 'what failed is done again');
  });

  it('are moved out of the way under a name of their own', () => {
    make(9, 'stray');
    const to = files.setAside(files.path(9), '9');
    assert.equal(fs.readFileSync(to, 'utf8'), 'stray');
    assert.equal(fs.existsSync(files.path(9)), false);
  });
});
