/** A file system that answers late holds up neither the watch of others nor what the server does with its reports. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { LOCAL } from '../../src/watch/source-watch.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { Library } from '../server/news/library.ts';
import { Watching } from './watching.ts';

const run = promisify(execFile);
/** Every look at the slow file system takes several answers. */
const ANSWER_MS = 5000;

describe('a file system that answers late', { skip: NEEDS_ROOT }, () => {
  const base = temporaryFolder('slow');
  let disk: TestFileSystem;
  let slow: TestFileSystem;
  const onDisk = (name: string): string => join(disk.path, name);
  const onSlow = (name: string): string => join(slow.path, name);

  before(async () => {
    for (const name of ['disk', 'slow']) await fs.mkdir(join(base, name));
    disk = await makeFileSystem('ext4', join(base, 'disk'));
    slow = await makeFileSystem('fuse', join(base, 'slow'));
  });
  after(async () => {
    slow?.answerAfter(0);
    await disk?.close();
    await slow?.close();
  });

  it('makes the watch of no other one wait', async () => {
    for (const path of [onDisk('a'), onSlow('b')]) await fs.writeFile(path, path);
    // The kernel knows nothing of it yet.
    await fs.mkdir(join(base, 'slow', 'shown', 'new'));
    await fs.writeFile(join(base, 'slow', 'shown', 'new', 'c'), 'c');
    const watching = new Watching(base, {
      laneOf: async (path) => (path.toString().startsWith(slow.path) ? slow.path : LOCAL),
    });
    const { watch } = watching;
    try {
      const watches = [
        await watch.follow(1, Buffer.from(onDisk('a'))),
        await watch.follow(2, Buffer.from(onSlow('b'))),
      ];
      assert.notEqual(watches[0], watches[1]);
      assert.ok(watches.every((number) => number !== undefined && watch.holds(number)));
      slow.answerAfter(ANSWER_MS);
      let answered = false;
      const late = (async () => {
        await watch.follow(3, Buffer.from(onSlow('new/c')));
        answered = true;
      })();
      const marked = watch.mark([Buffer.from(onSlow('new')), Buffer.from(disk.path)]);
      await fs.rename(onDisk('a'), onDisk('a2'));
      await watching.until('renamed disk/mounted/a -> disk/mounted/a2 [1]');
      assert.ok(await watch.fence());
      assert.equal(answered, false, 'the slow one has not answered yet');
      const described = await watch.fileSystems();
      assert.deepEqual(
        described.map(({ mountPoint, kind, why }) => [mountPoint.toString(), kind, why]),
        [
          [disk.path, 'fanotify-filesystem', undefined],
          [slow.path, 'fanotify-folders', 'do not answer'],
        ],
      );
      slow.answerAfter(0);
      await Promise.all([late, marked]);
      assert.deepEqual(
        (await watch.fileSystems()).map(({ unwatched }) => unwatched),
        [0, 0],
      );
      await fs.rename(onSlow('new/c'), onSlow('new/c2'));
      await watching.until('renamed slow/mounted/new/c -> slow/mounted/new/c2 [3]');
    } finally {
      slow.answerAfter(0);
      await watch.close();
    }
  });

  it('makes the records of no other one wait', async () => {
    const library = await Library.open(base);
    try {
      const [one = 0, other = 0] = await library.add('disk/mounted/film', 'slow/mounted/song');
      await library.see([one, other]);
      slow.answerAfter(ANSWER_MS);
      await run('sh', ['-c', `echo more >> '${onSlow('song')}'`]);
      // That was reported, and the file is being looked at.
      await fs.rename(onDisk('film'), onDisk('film2'));
      await library.until(one, 'disk/mounted/film2: trusted', 8000);
      assert.equal(library.stateOf(other), 'slow/mounted/song: trusted', 'it is still looked at');
      slow.answerAfter(0);
      await library.until(other, 'slow/mounted/song: doubted', 30_000);
    } finally {
      slow.answerAfter(0);
      await library.close();
    }
  });

  it('is watched anew when it was mounted again without a pause', async () => {
    await fs.writeFile(onDisk('x'), 'x');
    const watching = new Watching(base);
    const { watch } = watching;
    try {
      const before = await watch.follow(1, Buffer.from(onDisk('x')));
      assert.ok(before !== undefined && watch.holds(before));
      // The mount table is the same before and after.
      await run('sh', ['-c', `umount '${disk.path}' && mount -o loop '${join(base, 'disk', 'image')}' '${disk.path}'`]);
      await watching.until('mounts-changed');
      assert.equal(watch.holds(before), false);
      const again = await watch.follow(1, Buffer.from(onDisk('x')));
      assert.ok(again !== undefined && watch.holds(again));
      await fs.rename(onDisk('x'), onDisk('x2'));
      await watching.until('renamed disk/mounted/x -> disk/mounted/x2 [1]');
    } finally {
      await watch.close();
    }
  });
});
