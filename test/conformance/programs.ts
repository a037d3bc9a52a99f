/**
 * The rules for other programs on the files of a mount, with any driver: this process is a user of the mount. `posix.ts` has
 * the rules for system calls alone.
 *
 * The limits of fuse-native, each with its reason, and the behaviour that is expected instead:
 * - Owners of files that an ordinary user makes: it does not learn who calls. The files belong to the mount's owner.
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
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { GAP } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { can, limitsOf } from '../stress/limits.ts';
import { Server } from './server.ts';

const run = promisify(execFile);
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

/** The result of calls of Python's `os`: `ok`, or the name of the errno. */
const TRY = `${NOBODY}
def tried(call, p, q):
 try:
  eval(call, {"os": os, "p": p, "q": q})
  return "ok"
 except OSError as error: return errno.errorcode[error.errno]
print(json.dumps([tried(*each) for each in json.loads(sys.argv[1])]))`;

export function runPrograms(driver: string): void {
  const limits = limitsOf(driver);
  describe(`programs on the mount, driver ${driver}`, () => {
    let base: string;
    let mnt: string;
    let server: Server;
    let hashBefore: string;
    const data = randomBytes(3_000_001);
    const at = (...path: readonly string[]) => join(mnt, 'Entry', ...path);
    const options = () => ({ driver, mountPoint: mnt, statePath: join(base, 'state') });
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

    it('keeps what was written before kill -9, in new files, over mapped ones, and in gaps', async () => {
      await fs.writeFile(at('w', 'plain'), data);
      const file = await fs.open(at('T', 'mapped'), 'r+');
      await file.write(Buffer.from('over'), 0, 4, 1_234_567);
      await file.close();
      const gap = await fs.open(at('T', 'gap'), 'r+');
      await gap.write(data, 0, 70_000, 100_000);
      await gap.close();
      const over = Buffer.from(data.subarray(1));
      over.write('over', 1_234_567);
      const filled = Buffer.concat([Buffer.alloc(100_000), data.subarray(0, 70_000), Buffer.alloc(30_000)]);
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        await restarted(signal);
        assert.ok(data.equals(await fs.readFile(at('w', 'plain'))));
        assert.ok(over.equals(await fs.readFile(at('T', 'mapped'))));
        assert.ok(filled.equals(await fs.readFile(at('T', 'gap'))));
      }
      await fs.unlink(at('w', 'plain'));
    });

    it('leaves no hidden name behind of a file that is deleted while it is open', async () => {
      await fs.writeFile(at('w', 'open'), 'x');
      const file = await fs.open(at('w', 'open'));
      await fs.unlink(at('w', 'open'));
      assert.deepEqual(await fs.readdir(at('w')), []);
      await file.close();
      const { stdout } = await run('find', [mnt, '-name', '.fuse_hidden*']);
      assert.equal(stdout, '');
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

    it('touches files, and takes the set-user-ID bit away with a change of owner', async () => {
      for (const path of [at('T', 'mapped 2'), at('T', 'sub')]) {
        await run('touch', [path]);
        assert.ok(Math.abs((await fs.stat(path)).mtimeMs - Date.now()) < 60_000);
      }
      await fs.writeFile(at('w', 'plain'), 'x');
      await fs.chmod(at('w', 'plain'), 0o4755);
      await fs.chown(at('w', 'plain'), 1, 1);
      assert.equal((await fs.stat(at('w', 'plain'))).mode & 0o7777, 0o755);
      await fs.unlink(at('w', 'plain'));
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
      if (!can(limits, 'bytesAsNames')) await assert.rejects(fs.writeFile(latin, ''), { code: 'EILSEQ' });
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
      // A write to a set-user-ID file clears the bit.
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
told=lambda result: errno.errorcode[ctypes.get_errno()] if result else 'ok'
print(told(libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(100))))
os.posix_fallocate(fd, 0, 10000)
print(os.fstat(fd).st_size)
os.mkdir(sys.argv[1]+'/d')
print(told(libc.renameat2(-100, (sys.argv[1]+'/f').encode(), -100, (sys.argv[1]+'/d').encode(), 2)))
os.close(fd)`;
      assert.deepEqual((await python(script, at('w'))).split('\n'), [
        'ENOTSUP',
        can(limits, 'fallocate') ? 'ok' : 'ENOTSUP',
        '10000',
        can(limits, 'renameFlags') ? 'ok' : 'EINVAL',
      ]);
      const exchanged = (await fs.stat(at('w', 'f'))).isDirectory();
      assert.equal(exchanged, can(limits, 'renameFlags'));
      for (const name of ['d', 'f']) await fs.rm(at('w', name), { recursive: true });
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
