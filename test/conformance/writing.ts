/**
 * What programs may do to the files of a mount, as POSIX says it, whatever the driver: this process is a user of the mount.
 *
 * What fuse-native cannot do, each with its reason, and what is expected of it instead:
 * - Owners of what an ordinary user makes: it is not told who calls. They are those of the mount's owner.
 * - Times finer than a millisecond: it passes whole ones.
 * - One of two times alone (`touch -m`): libfuse 2 drops such a change without utime_omit_ok, which it does not set.
 * - Names that are not UTF-8: they cannot be told apart. Making one is EILSEQ.
 * - fallocate(2): it has no handler. EOPNOTSUPP; the C library's posix_fallocate(3) writes zeros then.
 * - Extended attributes: a handler would cost a request at each write. EOPNOTSUPP.
 * - renameat2(2) with flags: the protocol of libfuse 2 has none. EINVAL.
 * - The link count of a file that was deleted while it is open: libfuse 2 renames it, and the kernel does not count.
 * - A file that was deleted while it is open, in a folder that was deleted then: libfuse 2 finds no path to it. ENOENT.
 * - Two names of one file are two inodes of the kernel's: what one shows may be a second old, and O_APPEND through both
 *   at the same time may write to the same place.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { GAP } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { Server } from './server.ts';

const run = promisify(execFile);
const GIB = 2 ** 30;
const PAUSE_MS = 20;

const python = async (script: string, ...args: readonly string[]): Promise<string> =>
  (await run('python3', ['-c', script, ...args])).stdout.trim();
const pause = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** Gives up all rights of root, once Python has what it needs. */
const NOBODY = `import errno,json,os,sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
`;

/** Of calls of Python's `os`: `ok`, or the name of the errno. */
const TRY = `${NOBODY}
def tried(call, p, q):
 try:
  eval(call, {"os": os, "p": p, "q": q})
  return "ok"
 except OSError as error: return errno.errorcode[error.errno]
print(json.dumps([tried(*each) for each in json.loads(sys.argv[1])]))`;

export function runWritingConformance(driver: string): void {
  describe(`writing to the mount, driver ${driver}`, () => {
    let base: string;
    let mnt: string;
    let server: Server;
    let hashBefore: string;
    const data = randomBytes(3_000_001);
    const at = (...path: readonly string[]) => join(mnt, 'Entry', ...path);
    const options = () => ({ mountPoint: mnt, statePath: join(base, 'state') });
    const sourcesHash = async (): Promise<string> => {
      const path = join(base, 'source');
      const { size, mtimeMs, mode, ino } = await fs.stat(path);
      return createHash('sha256')
        .update(`${size} ${mtimeMs} ${mode} ${ino}`)
        .update(await fs.readFile(path))
        .digest('hex');
    };
    const restarted = async (signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> => {
      await server.signal(signal);
      server = await Server.start(options());
    };

    before(async () => {
      base = temporaryFolder('writing');
      await fs.chmod(base, 0o755);
      mnt = join(base, 'store');
      const source = join(base, 'source');
      await fs.writeFile(source, data);
      hashBefore = await sourcesHash();
      server = await Server.start(options());
      const mapped = (name: string) => fileOf(['T', name], [{ length: data.length - 1, source: 0, sourceOffset: 1 }]);
      const files = ['mapped', 'mapped 2', 'mapped 3', 'mapped 4'].map(mapped);
      files.push(fileOf(['T', 'gap'], [{ length: 200_000, source: GAP, sourceOffset: 0 }]));
      files.push(fileOf(['T', 'sub', 'small'], [{ length: 100, source: 0, sourceOffset: 0 }]));
      await server.create(planOf('Entry', [sourceOf(source)], files));
      await server.create(planOf('Other', [sourceOf(source)], [mapped('mapped')]));
      await fs.mkdir(at('w'));
    });
    after(async () => {
      await server?.stop();
    });

    it('creates files with the mode and the umask, and tells their folder', async () => {
      const folder = await fs.stat(at('w'));
      await pause();
      await python(
        'import os,sys\nos.umask(0o027)\nos.close(os.open(sys.argv[1], os.O_CREAT|os.O_EXCL|os.O_RDWR, 0o666))',
        at('w', 'new'),
      );
      const file = await fs.stat(at('w', 'new'));
      assert.deepEqual([file.mode, file.size, file.nlink, file.blocks], [0o100640, 0, 1, 0]);
      const now = await fs.stat(at('w'));
      assert.ok(now.mtimeMs > folder.mtimeMs && now.ctimeMs > folder.ctimeMs);
      assert.equal(now.nlink, folder.nlink);
      await assert.rejects(fs.open(at('w', 'new'), 'wx'), { code: 'EEXIST' });
      await assert.rejects(fs.writeFile(at('w', 'new', 'below'), ''), { code: 'ENOTDIR' });
      await assert.rejects(fs.writeFile(at('nowhere', 'new'), ''), { code: 'ENOENT' });
      await assert.rejects(fs.writeFile(at('w'), ''), { code: 'EISDIR' });
      await fs.unlink(at('w', 'new'));
      await assert.rejects(fs.unlink(at('w', 'new')), { code: 'ENOENT' });
    });

    it('keeps what is written, in new files, over mapped ones, and in gaps', async () => {
      await fs.writeFile(at('w', 'plain'), data);
      assert.ok(data.equals(await fs.readFile(at('w', 'plain'))));
      const file = await fs.open(at('T', 'mapped'), 'r+');
      await file.write(Buffer.from('over'), 0, 4, 1_234_567);
      await file.write(Buffer.from('end'), 0, 3, data.length + 9);
      assert.equal((await file.stat()).size, data.length + 12);
      await file.close();
      const expected = Buffer.concat([data.subarray(1), Buffer.alloc(13)]);
      expected.write('over', 1_234_567);
      expected.write('end', data.length + 9);
      assert.ok(expected.equals(await fs.readFile(at('T', 'mapped'))));
      const gap = await fs.open(at('T', 'gap'), 'r+');
      await gap.write(data, 0, 70_000, 100_000);
      await gap.close();
      const filled = Buffer.concat([Buffer.alloc(100_000), data.subarray(0, 70_000), Buffer.alloc(30_000)]);
      assert.ok(filled.equals(await fs.readFile(at('T', 'gap'))));
      await restarted('SIGKILL');
      assert.ok(data.equals(await fs.readFile(at('w', 'plain'))));
      assert.ok(expected.equals(await fs.readFile(at('T', 'mapped'))));
      assert.ok(filled.equals(await fs.readFile(at('T', 'gap'))));
      await restarted();
      assert.ok(expected.equals(await fs.readFile(at('T', 'mapped'))));
      await fs.unlink(at('w', 'plain'));
    });

    it('makes and removes folders, and counts them', async () => {
      const { nlink } = await fs.stat(at('w'));
      await fs.mkdir(at('w', 'folder'), 0o750);
      await fs.mkdir(at('w', 'folder', 'deeper'));
      assert.equal((await fs.stat(at('w', 'folder'))).mode, 0o040750);
      assert.equal((await fs.stat(at('w', 'folder'))).nlink, 3);
      assert.equal((await fs.stat(at('w'))).nlink, nlink + 1);
      await assert.rejects(fs.mkdir(at('w', 'folder')), { code: 'EEXIST' });
      await assert.rejects(fs.rmdir(at('w', 'folder')), { code: 'ENOTEMPTY' });
      await assert.rejects(fs.unlink(at('w', 'folder')), (error: NodeJS.ErrnoException) =>
        /EISDIR|EPERM/.test(error.code ?? ''),
      );
      await assert.rejects(fs.rmdir(at('T', 'mapped')), { code: 'ENOTDIR' });
      await fs.rmdir(at('w', 'folder', 'deeper'));
      await fs.rmdir(at('w', 'folder'));
      assert.equal((await fs.stat(at('w'))).nlink, nlink);
      await assert.rejects(fs.rmdir(join(mnt, 'Entry')), { code: 'EBUSY' });
    });

    it('renames as rename(2) says', async () => {
      const w = (name: string) => at('w', name);
      for (const name of ['a', 'b']) await fs.writeFile(w(name), name);
      for (const name of ['empty', 'full', 'moved']) await fs.mkdir(w(name));
      await fs.writeFile(at('w', 'full', 'x'), 'x');
      await fs.writeFile(at('w', 'moved', 'y'), 'y');
      const { ino } = await fs.stat(w('a'));
      await fs.rename(w('a'), w('b'));
      assert.equal(await fs.readFile(w('b'), 'utf8'), 'a');
      assert.equal((await fs.stat(w('b'))).ino, ino);
      await fs.rename(w('b'), at('w', 'full', 'b'));
      await fs.rename(w('moved'), w('empty'));
      assert.deepEqual(await fs.readdir(w('empty')), ['y']);
      await assert.rejects(fs.rename(w('empty'), w('full')), { code: 'ENOTEMPTY' });
      await assert.rejects(fs.rename(w('empty'), at('w', 'full', 'x')), { code: 'ENOTDIR' });
      await assert.rejects(fs.rename(at('w', 'full', 'x'), w('empty')), { code: 'EISDIR' });
      await assert.rejects(fs.rename(w('full'), at('w', 'full', 'below')), { code: 'EINVAL' });
      await assert.rejects(fs.rename(w('nothing'), w('x')), { code: 'ENOENT' });
      await assert.rejects(fs.rename(at('w', 'full', 'x'), join(mnt, 'Other', 'x')), { code: 'EXDEV' });
      await assert.rejects(fs.rename(join(mnt, 'Entry'), join(mnt, 'Another')), { code: 'EBUSY' });
      await fs.link(at('w', 'full', 'x'), w('x'));
      await fs.rename(w('x'), at('w', 'full', 'x'));
      assert.equal(await fs.readFile(w('x'), 'utf8'), 'x', 'two names of one file both stay');
      const { nlink } = await fs.stat(w('full'));
      await fs.rename(w('empty'), at('w', 'full', 'd'));
      assert.equal((await fs.stat(w('full'))).nlink, nlink + 1);
      assert.equal((await fs.stat(at('w', 'full', 'd', '..'))).ino, (await fs.stat(w('full'))).ino);
      // A file of the torrent: nothing is copied.
      await fs.rename(at('T', 'mapped 2'), w('elsewhere'));
      assert.ok(data.subarray(1).equals(await fs.readFile(w('elsewhere'))));
      await fs.rename(w('elsewhere'), at('T', 'mapped 2'));
      await fs.rm(w('full'), { recursive: true });
      await fs.unlink(w('x'));
      assert.deepEqual(await fs.readdir(at('w')), []);
    });

    it('goes on with files that are renamed, replaced, or deleted while they are open', async () => {
      await fs.mkdir(at('w', 'd'));
      for (const path of [at('w', 'd', 'plain'), at('T', 'mapped 3')]) {
        if (path.includes('plain')) await fs.writeFile(path, data.subarray(1));
        const file = await fs.open(path, 'r+');
        await fs.rename(path, at('w', 'd', 'renamed'));
        await file.write(Buffer.from('1'), 0, 1, 0);
        assert.equal((await fs.readFile(at('w', 'd', 'renamed')))[0], 0x31);
        const other = await fs.open(at('w', 'd', 'renamed'));
        await fs.unlink(at('w', 'd', 'renamed'));
        assert.deepEqual(await fs.readdir(at('w', 'd')), []);
        assert.equal((await file.stat()).size, data.length - 1);
        await file.write(Buffer.from('2'), 0, 1, 1);
        await fs.rename(at('w', 'd'), at('w', 'e'));
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
        await fs.writeFile(at('w', 'e', 'renamed'), 'another');
        await file.close();
        await other.close();
        assert.deepEqual(await fs.readdir(at('w', 'e')), ['renamed']);
        assert.equal(await fs.readFile(at('w', 'e', 'renamed'), 'utf8'), 'another');
        await fs.unlink(at('w', 'e', 'renamed'));
        await fs.rename(at('w', 'e'), at('w', 'd'));
      }
      const replaced = await fs.open(at('T', 'mapped 4'));
      await fs.writeFile(at('T', 'mapped 4.part'), 'new');
      await fs.rename(at('T', 'mapped 4.part'), at('T', 'mapped 4'));
      assert.equal((await replaced.read(Buffer.alloc(9), 0, 9, 5)).buffer.compare(data, 6, 15), 0);
      assert.equal(await fs.readFile(at('T', 'mapped 4'), 'utf8'), 'new');
      await replaced.close();
      await fs.rmdir(at('w', 'd'));
      assert.deepEqual(
        (await fs.readdir(at('T'))).filter((name) => name.startsWith('.fuse_hidden')),
        [],
      );
    });

    it('frees what a deleted file has taken', async () => {
      await fs.writeFile(at('w', 'large'), Buffer.alloc(20_000_000, 1));
      const overlay = join(base, 'state', 'overlay');
      const used = async (): Promise<number> => Number((await run('du', ['-sk', overlay])).stdout.split('\t')[0]);
      const before = await used();
      const file = await fs.open(at('w', 'large'));
      await fs.unlink(at('w', 'large'));
      assert.ok((await used()) >= before - 1000);
      await file.close();
      for (let i = 0; i < 100 && (await used()) > before - 19_000; i++) await pause();
      assert.ok((await used()) <= before - 19_000);
    });

    it('has several names for a file', async () => {
      const [one, other] = [at('w', 'one'), at('w', 'other')];
      await fs.writeFile(one, 'both');
      await pause();
      await fs.link(one, other);
      const [a, b] = [await fs.stat(one), await fs.stat(other)];
      assert.deepEqual([b.ino, b.nlink, b.size], [a.ino, 2, 4]);
      assert.ok(b.ctimeMs > b.mtimeMs);
      await assert.rejects(fs.link(one, other), { code: 'EEXIST' });
      await assert.rejects(fs.link(at('w'), at('w', 'folder')), { code: 'EPERM' });
      await assert.rejects(fs.link(one, join(mnt, 'Other', 'x')), { code: 'EXDEV' });
      await fs.unlink(one);
      assert.equal(await fs.readFile(other, 'utf8'), 'both');
      assert.equal((await fs.stat(other)).nlink, 1);
      await fs.link(at('T', 'mapped 2'), one);
      assert.ok(data.subarray(1).equals(await fs.readFile(one)));
      await fs.unlink(one);
      await fs.unlink(other);
    });

    it('has symlinks, FIFOs, sockets and devices', async () => {
      await fs.symlink('../T/mapped 2', at('w', 'link'));
      assert.equal(await fs.readlink(at('w', 'link')), '../T/mapped 2');
      assert.equal((await fs.stat(at('w', 'link'))).size, data.length - 1);
      const link = await fs.lstat(at('w', 'link'));
      assert.deepEqual([link.mode, link.size], [0o120777, 13]);
      await assert.rejects(fs.symlink('x', at('w', 'link')), { code: 'EEXIST' });
      await run('mkfifo', ['-m', '0620', at('w', 'fifo')]);
      assert.equal((await fs.stat(at('w', 'fifo'))).mode, 0o010620);
      const reader = spawn('cat', [at('w', 'fifo')], { stdio: ['ignore', 'pipe', 'ignore'] });
      let heard = '';
      reader.stdout.setEncoding('utf8').on('data', (text: string) => {
        heard += text;
      });
      await fs.writeFile(at('w', 'fifo'), 'through');
      await new Promise((resolve) => reader.once('close', resolve));
      assert.equal(heard, 'through');
      await python('import socket,sys\nsocket.socket(socket.AF_UNIX).bind(sys.argv[1])', at('w', 's'));
      assert.ok((await fs.stat(at('w', 's'))).isSocket());
      await run('mknod', [at('w', 'null'), 'c', '1', '3']);
      assert.equal((await fs.stat(at('w', 'null'))).rdev, 0x103);
      for (const name of ['link', 'fifo', 's', 'null']) await fs.unlink(at('w', name));
      assert.deepEqual(await fs.readdir(at('w')), []);
    });

    it('changes modes, owners and times, and the ctime with them', async () => {
      for (const path of [at('T', 'mapped 2'), at('T', 'sub'), at('w', 'plain')]) {
        if (path.endsWith('plain')) await fs.writeFile(path, 'x');
        const before = await fs.stat(path);
        await pause();
        await fs.chmod(path, 0o1751);
        await fs.chown(path, 123, 456);
        await fs.utimes(path, 1000.123, 2_000_000_000.456);
        const stat = await fs.stat(path);
        assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o1751, 123, 456]);
        assert.deepEqual([stat.atimeMs, stat.mtimeMs], [1_000_123, 2_000_000_000_456]);
        assert.ok(stat.ctimeMs > before.ctimeMs);
        await restarted();
        const again = await fs.stat(path);
        assert.deepEqual(
          [again.mode, again.uid, again.atimeMs, again.mtimeMs],
          [stat.mode, 123, stat.atimeMs, stat.mtimeMs],
        );
        assert.equal(again.ctimeMs, stat.ctimeMs);
        await run('touch', [path]);
        assert.ok(Math.abs((await fs.stat(path)).mtimeMs - Date.now()) < 60_000);
        await fs.chown(path, 0, 0);
        await fs.chmod(path, before.mode & 0o7777);
      }
      // A change of owner takes the set-user-ID bit away.
      await fs.chmod(at('w', 'plain'), 0o4755);
      await fs.chown(at('w', 'plain'), 1, 1);
      assert.equal((await fs.stat(at('w', 'plain'))).mode & 0o7777, 0o755);
      await fs.unlink(at('w', 'plain'));
    });

    it('hands the group of a set-group-ID folder on', async () => {
      await fs.mkdir(at('w', 'g'));
      await fs.chown(at('w', 'g'), 0, 789);
      await fs.chmod(at('w', 'g'), 0o2775);
      await fs.mkdir(at('w', 'g', 'folder'));
      await fs.writeFile(at('w', 'g', 'file'), '');
      const [folder, file] = [await fs.stat(at('w', 'g', 'folder')), await fs.stat(at('w', 'g', 'file'))];
      assert.deepEqual([folder.gid, folder.mode & 0o2000, file.gid, file.mode & 0o2000], [789, 0o2000, 789, 0]);
      await fs.rm(at('w', 'g'), { recursive: true });
    });

    it('appends what two processes write at the same time, each line whole', async () => {
      const script = `import os,sys
fd=os.open(sys.argv[1], os.O_WRONLY|os.O_CREAT|os.O_APPEND, 0o644)
for i in range(300): os.write(fd, (sys.argv[2]+' %06d\\n' % i).encode())`;
      for (const path of [at('w', 'log'), at('T', 'gap')]) {
        const { size } = await fs.stat(path).catch(() => ({ size: 0 }));
        await Promise.all(['first ', 'second'].map(async (name) => await python(script, path, name)));
        const lines = (await fs.readFile(path)).subarray(size).toString().split('\n');
        assert.equal(lines.pop(), '');
        assert.equal(lines.length, 600);
        assert.equal(new Set(lines).size, 600);
        assert.ok(lines.every((line) => /^(first |second) \d{6}$/.test(line)));
      }
      await fs.unlink(at('w', 'log'));
    });

    it('takes what is written through shared memory', async () => {
      const script = `import mmap,os,sys
fd=os.open(sys.argv[1], os.O_RDWR)
m=mmap.mmap(fd, 0, mmap.MAP_SHARED)
m[10:14]=b'mmap'
m[4094:4098]=b'page'
m[len(m)-3:]=b'end'
m.flush()
assert os.pread(fd, 4, 4094)==b'page'
m[1000000:1000005]=b'later'
m.close()
os.close(fd)`;
      const path = at('T', 'mapped 2');
      const expected = Buffer.from(data.subarray(1));
      for (const [text, place] of [
        ['mmap', 10],
        ['page', 4094],
        ['end', expected.length - 3],
        ['later', 1_000_000],
      ] as const) {
        expected.write(text, place);
      }
      await python(script, path);
      assert.ok(expected.equals(await fs.readFile(path)));
      await restarted();
      assert.ok(expected.equals(await fs.readFile(path)));
    });

    it('syncs files, folders, and all', async () => {
      const script = `import os,sys
fd=os.open(sys.argv[1]+'/synced', os.O_RDWR|os.O_CREAT)
os.write(fd, b'x')
os.fdatasync(fd)
os.fsync(fd)
d=os.open(sys.argv[1], os.O_RDONLY)
os.fsync(d)
os.unlink(sys.argv[1]+'/synced')
os.fsync(fd)`;
      await python(script, at('w'));
      await run('sync', ['-f', at('w')]);
    });

    it('takes files beyond 4 GiB, sparse, and of any size in between', async () => {
      for (const path of [at('w', 'sparse'), at('T', 'mapped 2')]) {
        const file = await fs.open(path, constants.O_RDWR | constants.O_CREAT);
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
        assert.equal((await fs.readFile(path)).length, 100);
      }
      const { stdout } = await run('du', ['-sk', join(base, 'state', 'overlay')]);
      assert.ok(Number(stdout.split('\t')[0]) < 50_000, stdout);
      await fs.unlink(at('w', 'sparse'));
    });

    it('locks', async () => {
      const script = `import fcntl,os,sys
a=os.open(sys.argv[1], os.O_RDWR|os.O_CREAT)
b=os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(a, fcntl.LOCK_EX)
try:
 fcntl.flock(b, fcntl.LOCK_EX|fcntl.LOCK_NB)
 print('both')
except BlockingIOError: print('one')
fcntl.lockf(a, fcntl.LOCK_EX)`;
      assert.equal(await python(script, at('w', 'lock')), 'one');
      await fs.unlink(at('w', 'lock'));
    });

    it('takes names of 255 bytes in any script, and refuses others as it should', async () => {
      const longest = 'é'.repeat(127);
      await fs.writeFile(at('w', `${longest}x`), '');
      await assert.rejects(fs.writeFile(at('w', `${longest}xy`), ''), { code: 'ENAMETOOLONG' });
      await assert.rejects(fs.mkdir(at('w', 'x'.repeat(256))), { code: 'ENAMETOOLONG' });
      await assert.rejects(fs.rename(at('w', `${longest}x`), at('w', 'y'.repeat(256))), { code: 'ENAMETOOLONG' });
      const latin = Buffer.concat([Buffer.from(`${at('w')}/`), Buffer.from([0xe9])]);
      await assert.rejects(fs.writeFile(latin, ''), { code: 'EILSEQ' });
      for (const name of ['日本語', '🎬', 'a\nb', ' ', '-rf', '\\', '"']) {
        await fs.writeFile(at('w', name), name);
        assert.equal(await fs.readFile(at('w', name), 'utf8'), name);
      }
      assert.equal((await fs.readdir(at('w'))).length, 8);
      await fs.rm(at('w'), { recursive: true });
      await fs.mkdir(at('w'));
    });

    it('copies trees as cp, tar and rm do', async () => {
      await run('cp', ['-a', at('T'), at('w', 'copy')]);
      await run('diff', ['-r', at('T'), at('w', 'copy')]);
      await run('sh', [
        '-c',
        'mkdir "$1/u" && tar -C "$0" -cf - . | tar -C "$1/u" -xpf - && diff -r "$0" "$1/u"',
        at('w', 'copy'),
        at('w'),
      ]);
      await run('rm', ['-rf', at('w', 'copy'), at('w', 'u')]);
      assert.deepEqual(await fs.readdir(at('w')), []);
    });

    it('keeps others from what their permissions do not allow', {
      skip: process.getuid?.() !== 0 && 'takes root',
    }, async () => {
      const w = (name: string) => at('w', name);
      await fs.writeFile(w('private'), 'x', { mode: 0o600 });
      await fs.writeFile(w('shown'), 'x', { mode: 0o644 });
      await fs.writeFile(w('open'), 'x');
      await fs.chmod(w('open'), 0o666);
      await fs.mkdir(w('closed'), 0o700);
      await fs.mkdir(w('sticky'));
      await fs.chmod(w('sticky'), 0o1777);
      await fs.mkdir(w('free'));
      await fs.chmod(w('free'), 0o777);
      await fs.writeFile(at('w', 'sticky', 'theirs'), 'x');
      await fs.writeFile(at('w', 'sticky', 'own'), 'x');
      await fs.chown(at('w', 'sticky', 'own'), 65_534, 65_534);
      const expected = [
        ['EACCES', 'os.open(p, os.O_RDONLY)', w('private')],
        ['ok', 'os.open(p, os.O_RDONLY)', w('shown')],
        ['EACCES', 'os.open(p, os.O_WRONLY)', w('shown')],
        ['EACCES', 'os.truncate(p, 0)', w('shown')],
        ['EACCES', 'os.open(p, os.O_RDONLY|os.O_TRUNC)', w('shown')],
        ['ok', 'os.write(os.open(p, os.O_RDWR), b"y")', w('open')],
        ['EPERM', 'os.chmod(p, 0o777)', w('open')],
        ['EPERM', 'os.chown(p, 65534, 65534)', w('open')],
        ['EPERM', 'os.utime(p, (1, 2))', w('open')],
        ['ok', 'os.utime(p)', w('open')],
        ['EACCES', 'os.utime(p)', w('shown')],
        ['EACCES', 'os.listdir(p)', w('closed')],
        ['EACCES', 'os.mkdir(p)', at('w', 'new')],
        ['EACCES', 'os.open(p, os.O_CREAT|os.O_WRONLY)', at('w', 'new')],
        ['EACCES', 'os.unlink(p)', w('open')],
        ['EACCES', 'os.rename(p, q)', w('open'), at('w', 'free', 'open')],
        ['EPERM', 'os.unlink(p)', at('w', 'sticky', 'theirs')],
        ['EPERM', 'os.rename(p, q)', at('w', 'sticky', 'theirs'), at('w', 'free', 'x')],
        ['EPERM', 'os.rename(p, q)', at('w', 'sticky', 'own'), at('w', 'sticky', 'theirs')],
        ['ok', 'os.chmod(p, 0o600)', at('w', 'sticky', 'own')],
        ['ok', 'os.rename(p, q)', at('w', 'sticky', 'own'), at('w', 'sticky', 'renamed')],
        ['ok', 'os.unlink(p)', at('w', 'sticky', 'renamed')],
        ['ok', 'os.mkdir(p)', at('w', 'free', 'folder')],
        ['ok', 'os.rmdir(p)', at('w', 'free', 'folder')],
        ['ok', 'os.close(os.open(p, os.O_CREAT|os.O_WRONLY))', at('w', 'free', 'file')],
        ['ok', 'os.unlink(p)', at('w', 'free', 'file')],
        ['EACCES', 'os.open(p, os.O_WRONLY)', at('T', 'mapped')],
        ['ok', 'os.open(p, os.O_RDONLY)', at('T', 'mapped')],
        ['EACCES', 'os.unlink(p)', at('T', 'mapped')],
      ] as const;
      const calls = expected.map(([, call, path, other]) => [call, path, other ?? '']);
      const answers: unknown = JSON.parse(await python(TRY, JSON.stringify(calls)));
      assert.deepEqual(
        Array.isArray(answers) && answers.map((answer, i) => [answer, ...(expected[i] ?? []).slice(1)].join(' ')),
        expected.map((each) => each.join(' ')),
      );
      // Whoever writes to a set-user-ID file takes the bit away.
      await fs.chmod(w('open'), 0o4777);
      await python(`${NOBODY}os.write(os.open(sys.argv[1], os.O_WRONLY), b"y")`, w('open'));
      assert.equal((await fs.stat(w('open'))).mode & 0o7777, 0o777);
      await fs.rm(at('w'), { recursive: true });
      await fs.mkdir(at('w'));
    });

    it('answers what it cannot do with the errno that programs expect', async () => {
      const script = `import errno,os,sys,ctypes
def tried(what):
 try: what(); return 'ok'
 except OSError as e: return errno.errorcode[e.errno]
libc=ctypes.CDLL(None, use_errno=True)
fd=os.open(sys.argv[1]+'/f', os.O_RDWR|os.O_CREAT)
print(tried(lambda: os.setxattr(fd, 'user.x', b'y')))
print(errno.errorcode[libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(100)) and ctypes.get_errno()])
os.posix_fallocate(fd, 0, 10000)
print(os.fstat(fd).st_size)
os.mkdir(sys.argv[1]+'/d')
r=libc.renameat2(-100, (sys.argv[1]+'/f').encode(), -100, (sys.argv[1]+'/d').encode(), 2)
print(r and errno.errorcode[ctypes.get_errno()])
os.unlink(sys.argv[1]+'/f'); os.rmdir(sys.argv[1]+'/d')`;
      assert.deepEqual((await python(script, at('w'))).split('\n'), ['ENOTSUP', 'ENOTSUP', '10000', 'EINVAL']);
    });

    it('has the room of the disk of its state', async () => {
      const [ours, disk] = [await fs.statfs(at('w')), await fs.statfs(join(base, 'state'))];
      assert.ok(Math.abs(ours.bavail * ours.bsize - disk.bavail * disk.bsize) < 2 ** 30);
    });

    it('removes an entry whose files are open, with what it had in the overlay', async () => {
      await fs.writeFile(join(mnt, 'Other', 'T', 'new'), 'new');
      const files = [
        await fs.open(join(mnt, 'Other', 'T', 'mapped'), 'r+'),
        await fs.open(join(mnt, 'Other', 'T', 'new')),
      ];
      await files[0]!.write(Buffer.from('x'), 0, 1, 0);
      await server.remove(planOf('Other', [], []).infoHash);
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
      for (const file of files) await file.close();
      await restarted();
      assert.doesNotMatch(server.log, /set aside|missing|ERROR/i);
    });

    it('has changed no source, and hidden names nowhere', async () => {
      assert.equal(await sourcesHash(), hashBefore);
      const { stdout } = await run('find', [mnt, '-name', '.fuse_hidden*']);
      assert.equal(stdout, '');
      assert.doesNotMatch(server.log, /error/i);
    });
  });
}
