/** The rules of POSIX for writes, names and attributes: every mount and the bare vfs must keep them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type Calls, removeTree } from './calls.ts';
import type { OpenSubject, Subject } from './subject.ts';

const GIB = 2 ** 30;
const PAUSE_MS = 20;
const pause = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** `name` names the subject. */
export function runPosix(name: string, open: OpenSubject): void {
  describe(`changes to ${name}`, () => {
    let folder: string;
    let root: string;
    let calls: Calls;
    let subject: Subject;
    let digest: string;
    const data = randomBytes(3_000_001);
    const at = (...path: readonly string[]) => join(root, 'Entry', ...path);
    const text = async (path: string): Promise<string> => (await calls.readFile(path)).toString();
    const sourceDigest = async (): Promise<string> => {
      const path = join(folder, 'source');
      const { size, mtimeMs, mode, ino } = await fs.stat(path);
      return createHash('sha256')
        .update(`${size} ${mtimeMs} ${mode} ${ino}`)
        .update(await fs.readFile(path))
        .digest('hex');
    };
    const overlayBytes = async (): Promise<number> => {
      const overlay = join(folder, 'state', 'overlay');
      const names = await fs.readdir(overlay, { recursive: true });
      const blocks = await Promise.all(names.map(async (each) => (await fs.stat(join(overlay, each))).blocks));
      return blocks.reduce((sum, each) => sum + each * 512, 0);
    };

    before(async () => {
      folder = temporaryFolder('posix');
      const source = join(folder, 'source');
      await fs.writeFile(source, data);
      digest = await sourceDigest();
      subject = await open(folder);
      ({ root, calls } = subject);
      const mapped = (path: string) => fileOf(['T', path], [{ length: data.length - 1, source: 0, sourceOffset: 1 }]);
      const files = ['mapped', 'mapped 2', 'mapped 3', 'mapped 4'].map(mapped);
      files.push(fileOf(['T', 'gap'], [{ length: 200_000, source: GAP, sourceOffset: 0 }]));
      files.push(fileOf(['T', 'sub', 'small'], [{ length: 100, source: 0, sourceOffset: 0 }]));
      await subject.create(planOf('Entry', [sourceOf(source)], files));
      await subject.create(planOf('Other', [sourceOf(source)], [mapped('mapped')]));
      await calls.mkdir(at('w'));
    });
    after(async () => await subject?.close());

    it('keeps what is written, in new files, over mapped ones, and in gaps', async () => {
      await calls.writeFile(at('w', 'plain'), data);
      assert.ok(data.equals(await calls.readFile(at('w', 'plain'))));
      const file = await calls.open(at('T', 'mapped'), 'r+');
      await file.write(Buffer.from('over'), 0, 4, 1_234_567);
      await file.write(Buffer.from('end'), 0, 3, data.length + 9);
      assert.equal((await file.stat()).size, data.length + 12);
      await file.close();
      const expected = Buffer.concat([data.subarray(1), Buffer.alloc(13)]);
      expected.write('over', 1_234_567);
      expected.write('end', data.length + 9);
      assert.ok(expected.equals(await calls.readFile(at('T', 'mapped'))));
      const gap = await calls.open(at('T', 'gap'), 'r+');
      await gap.write(data, 0, 70_000, 100_000);
      await gap.close();
      const filled = Buffer.concat([Buffer.alloc(100_000), data.subarray(0, 70_000), Buffer.alloc(30_000)]);
      assert.ok(filled.equals(await calls.readFile(at('T', 'gap'))));
      await subject.restart();
      assert.ok(data.equals(await calls.readFile(at('w', 'plain'))));
      assert.ok(expected.equals(await calls.readFile(at('T', 'mapped'))));
      assert.ok(filled.equals(await calls.readFile(at('T', 'gap'))));
      await calls.unlink(at('w', 'plain'));
    });

    it('makes and removes folders, and counts them', async () => {
      const { nlink } = await calls.stat(at('w'));
      await calls.mkdir(at('w', 'folder'), 0o750);
      await calls.mkdir(at('w', 'folder', 'deeper'));
      assert.equal((await calls.stat(at('w', 'folder'))).mode, 0o040750);
      assert.equal((await calls.stat(at('w', 'folder'))).nlink, 3);
      assert.equal((await calls.stat(at('w'))).nlink, nlink + 1);
      await assert.rejects(calls.mkdir(at('w', 'folder')), { code: 'EEXIST' });
      await assert.rejects(calls.rmdir(at('w', 'folder')), { code: 'ENOTEMPTY' });
      await assert.rejects(calls.unlink(at('w', 'folder')), (error: NodeJS.ErrnoException) =>
        /EISDIR|EPERM/.test(error.code ?? ''),
      );
      await assert.rejects(calls.rmdir(at('T', 'mapped')), { code: 'ENOTDIR' });
      await calls.rmdir(at('w', 'folder', 'deeper'));
      await calls.rmdir(at('w', 'folder'));
      assert.equal((await calls.stat(at('w'))).nlink, nlink);
      await assert.rejects(calls.rmdir(join(root, 'Entry')), { code: 'EBUSY' });
    });

    it('renames as rename(2) says', async () => {
      const w = (name: string) => at('w', name);
      for (const name of ['a', 'b']) await calls.writeFile(w(name), name);
      for (const name of ['empty', 'full', 'moved']) await calls.mkdir(w(name));
      await calls.writeFile(at('w', 'full', 'x'), 'x');
      await calls.writeFile(at('w', 'moved', 'y'), 'y');
      const { ino } = await calls.stat(w('a'));
      await calls.rename(w('a'), w('b'));
      assert.equal(await text(w('b')), 'a');
      assert.equal((await calls.stat(w('b'))).ino, ino);
      await calls.rename(w('b'), at('w', 'full', 'b'));
      await calls.rename(w('moved'), w('empty'));
      assert.deepEqual(await calls.readdir(w('empty')), ['y']);
      await assert.rejects(calls.rename(w('empty'), w('full')), { code: 'ENOTEMPTY' });
      await assert.rejects(calls.rename(w('empty'), at('w', 'full', 'x')), { code: 'ENOTDIR' });
      await assert.rejects(calls.rename(at('w', 'full', 'x'), w('empty')), { code: 'EISDIR' });
      await assert.rejects(calls.rename(w('full'), at('w', 'full', 'below')), { code: 'EINVAL' });
      await assert.rejects(calls.rename(w('nothing'), w('x')), { code: 'ENOENT' });
      await assert.rejects(calls.rename(at('w', 'full', 'x'), join(root, 'Other', 'x')), { code: 'EXDEV' });
      await assert.rejects(calls.rename(join(root, 'Entry'), join(root, 'Another')), { code: 'EBUSY' });
      await calls.link(at('w', 'full', 'x'), w('x'));
      await calls.rename(w('x'), at('w', 'full', 'x'));
      assert.equal(await text(w('x')), 'x', 'two names of one file both stay');
      const { nlink } = await calls.stat(w('full'));
      await calls.rename(w('empty'), at('w', 'full', 'd'));
      assert.equal((await calls.stat(w('full'))).nlink, nlink + 1);
      assert.equal((await calls.stat(at('w', 'full', 'd', '..'))).ino, (await calls.stat(w('full'))).ino);
      // A file of the torrent: no byte is copied.
      await calls.rename(at('T', 'mapped 2'), w('elsewhere'));
      assert.ok(data.subarray(1).equals(await calls.readFile(w('elsewhere'))));
      await calls.rename(w('elsewhere'), at('T', 'mapped 2'));
      await removeTree(calls, w('full'));
      await calls.unlink(w('x'));
      assert.deepEqual(await calls.readdir(at('w')), []);
    });

    it('goes on with files that are renamed, replaced, or deleted while they are open', async () => {
      await calls.mkdir(at('w', 'd'));
      for (const path of [at('w', 'd', 'plain'), at('T', 'mapped 3')]) {
        if (path.includes('plain')) await calls.writeFile(path, data.subarray(1));
        const file = await calls.open(path, 'r+');
        await calls.rename(path, at('w', 'd', 'renamed'));
        await file.write(Buffer.from('1'), 0, 1, 0);
        assert.equal((await calls.readFile(at('w', 'd', 'renamed')))[0], 0x31);
        const other = await calls.open(at('w', 'd', 'renamed'));
        await calls.unlink(at('w', 'd', 'renamed'));
        assert.deepEqual(await calls.readdir(at('w', 'd')), []);
        assert.equal((await file.stat()).size, data.length - 1);
        await file.write(Buffer.from('2'), 0, 1, 1);
        await calls.rename(at('w', 'd'), at('w', 'e'));
        assert.equal((await other.read(Buffer.alloc(2), 0, 2, 0)).buffer.toString('latin1'), '12');
        await file.truncate(10);
        await file.chmod(0o604);
        await file.utimes(1000, 2000);
        await file.sync();
        const stat = await file.stat();
        assert.deepEqual([stat.size, stat.mode & 0o777, stat.mtimeMs], [10, 0o604, 2_000_000]);
        assert.equal((await other.stat()).size, 10);
        await file.write(Buffer.from('3'), 0, 1, 20);
        assert.equal((await other.read(Buffer.alloc(30), 0, 30, 0)).bytesRead, 21);
        await calls.writeFile(at('w', 'e', 'renamed'), 'another');
        await file.close();
        await other.close();
        assert.deepEqual(await calls.readdir(at('w', 'e')), ['renamed']);
        assert.equal(await text(at('w', 'e', 'renamed')), 'another');
        await calls.unlink(at('w', 'e', 'renamed'));
        await calls.rename(at('w', 'e'), at('w', 'd'));
      }
      const replaced = await calls.open(at('T', 'mapped 4'));
      await calls.writeFile(at('T', 'mapped 4.part'), 'new');
      await calls.rename(at('T', 'mapped 4.part'), at('T', 'mapped 4'));
      assert.equal((await replaced.read(Buffer.alloc(9), 0, 9, 5)).buffer.compare(data, 6, 15), 0);
      assert.equal(await text(at('T', 'mapped 4')), 'new');
      await replaced.close();
      await calls.rmdir(at('w', 'd'));
      assert.deepEqual(
        (await calls.readdir(at('T'))).filter((name) => name.startsWith('.fuse_hidden')),
        [],
      );
    });

    it('has several names for a file', async () => {
      const [one, other] = [at('w', 'one'), at('w', 'other')];
      await calls.writeFile(one, 'both');
      await pause();
      await calls.link(one, other);
      const [a, b] = [await calls.stat(one), await calls.stat(other)];
      assert.deepEqual([b.ino, b.nlink, b.size], [a.ino, 2, 4]);
      assert.ok(b.ctimeMs > b.mtimeMs);
      await assert.rejects(calls.link(one, other), { code: 'EEXIST' });
      await assert.rejects(calls.link(at('w'), at('w', 'folder')), { code: 'EPERM' });
      await assert.rejects(calls.link(one, join(root, 'Other', 'x')), { code: 'EXDEV' });
      await calls.unlink(one);
      assert.equal(await text(other), 'both');
      assert.equal((await calls.stat(other)).nlink, 1);
      await calls.link(at('T', 'mapped 2'), one);
      assert.ok(data.subarray(1).equals(await calls.readFile(one)));
      await calls.unlink(one);
      await calls.unlink(other);
    });

    it('hands the group of a set-group-ID folder on', async () => {
      await calls.mkdir(at('w', 'g'));
      await calls.chown(at('w', 'g'), 0, 789);
      await calls.chmod(at('w', 'g'), 0o2775);
      await calls.mkdir(at('w', 'g', 'folder'));
      await calls.writeFile(at('w', 'g', 'file'), '');
      const [folder, file] = [await calls.stat(at('w', 'g', 'folder')), await calls.stat(at('w', 'g', 'file'))];
      assert.deepEqual([folder.gid, folder.mode & 0o2000, file.gid, file.mode & 0o2000], [789, 0o2000, 789, 0]);
      await removeTree(calls, at('w', 'g'));
    });

    it('takes files beyond 4 GiB, sparse, and of any size in between', async () => {
      for (const path of [at('w', 'sparse'), at('T', 'mapped 2')]) {
        const file = await calls.open(path, constants.O_RDWR | constants.O_CREAT);
        for (const place of [2 ** 31 - 2, 2 ** 32 - 2, 5 * GIB]) {
          await file.write(Buffer.from('far'), 0, 3, place);
          assert.equal((await file.read(Buffer.alloc(5), 0, 5, place - 1)).buffer.toString('latin1', 0, 4), '\0far');
        }
        assert.equal((await file.stat()).size, 5 * GIB + 3);
        for (const size of [2 ** 32 + 1, 2 ** 32, 2 ** 31 + 1, 2 ** 31, 2 ** 31 - 1, 6 * GIB, 100]) {
          await file.truncate(size);
          assert.equal((await file.stat()).size, size);
        }
        await file.close();
        assert.equal((await calls.readFile(path)).length, 100);
      }
      assert.ok((await overlayBytes()) < 50_000_000);
      await calls.unlink(at('w', 'sparse'));
    });

    it('changes modes, owners and times, and the ctime with them', async () => {
      await calls.writeFile(at('w', 'plain'), 'x');
      for (const path of [at('T', 'mapped 2'), at('T', 'sub'), at('w', 'plain')]) {
        const before = await calls.stat(path);
        await pause();
        await calls.chmod(path, 0o1751);
        await calls.chown(path, 123, 456);
        await calls.utimes(path, 1000.123, 2_000_000_000.456);
        const stat = await calls.stat(path);
        assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o1751, 123, 456]);
        assert.deepEqual([stat.atimeMs, stat.mtimeMs], [1_000_123, 2_000_000_000_456]);
        assert.ok(stat.ctimeMs > before.ctimeMs);
        await subject.restart();
        const again = await calls.stat(path);
        assert.deepEqual(
          [again.mode, again.uid, again.atimeMs, again.mtimeMs, again.ctimeMs],
          [stat.mode, 123, stat.atimeMs, stat.mtimeMs, stat.ctimeMs],
        );
        await calls.chown(path, 0, 0);
        await calls.chmod(path, before.mode & 0o7777);
      }
      await calls.unlink(at('w', 'plain'));
    });

    it('has symlinks', async () => {
      await calls.symlink('../T/mapped 2', at('w', 'link'));
      assert.equal(await calls.readlink(at('w', 'link')), '../T/mapped 2');
      const link = await calls.lstat(at('w', 'link'));
      assert.deepEqual([link.mode, link.size], [0o120777, 13]);
      assert.equal((await calls.stat(at('w', 'link'))).ino, (await calls.stat(at('T', 'mapped 2'))).ino);
      await assert.rejects(calls.symlink('x', at('w', 'link')), { code: 'EEXIST' });
      await calls.unlink(at('w', 'link'));
      assert.deepEqual(await calls.readdir(at('w')), []);
    });

    it('has changed no source', async () => {
      assert.equal(await sourceDigest(), digest);
      assert.doesNotMatch(subject.log, /error/i);
    });
  });
}
