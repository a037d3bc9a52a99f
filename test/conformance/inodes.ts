/**
 * What a driver can do that knows files by their inodes and names by their bytes, and that can notify the kernel. `programs.ts`
 * lists why fuse-native cannot. This process is a user of the mount.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { Server } from './server.ts';

const run = promisify(execFile);
const python = async (script: string, ...args: readonly string[]): Promise<string> =>
  (await run('python3', ['-c', script, ...args])).stdout.trim();
/** Names in a folder that is listed whole. */
const MANY = process.env['SURVIVAL'] === 'whole' ? 100_000 : 20_000;

export function runInodes(driver: string): void {
  describe(`files by their inodes, driver ${driver}`, () => {
    let base: string;
    let mnt: string;
    let server: Server;
    const data = Buffer.alloc(300_000, 'data ');
    const at = (...path: readonly string[]) => join(mnt, 'Entry', ...path);

    before(async () => {
      base = temporaryFolder('inodes');
      await fs.chmod(base, 0o755);
      mnt = join(base, 'store');
      await fs.writeFile(join(base, 'source'), data);
      server = await Server.start({ driver, mountPoint: mnt, statePath: join(base, 'state') });
      const whole = { length: data.length, source: 0, sourceOffset: 0 };
      await server.create(planOf('Entry', [sourceOf(join(base, 'source'))], [fileOf(['T', 'mapped'], [whole])]));
      await fs.mkdir(at('w'));
      await fs.chmod(at('w'), 0o777);
    });
    after(async () => await server?.stop());

    it('keeps times to the nanosecond, before 1970 too, and one of two', async () => {
      const script = `import os,sys
for p in sys.argv[1:]:
 os.utime(p, ns=(1_234_567_890_123_456_789, -1_000_000_001))
 s=os.stat(p)
 assert (s.st_atime_ns, s.st_mtime_ns)==(1_234_567_890_123_456_789, -1_000_000_001), s
 os.system("touch -m -d '@5.000000007' "+p)
 s=os.stat(p)
 assert (s.st_atime_ns, s.st_mtime_ns)==(1_234_567_890_123_456_789, 5_000_000_007), s`;
      await fs.writeFile(at('w', 'plain'), '');
      await python(script, at('w', 'plain'), at('T', 'mapped'), at('w'));
      await fs.unlink(at('w', 'plain'));
    });

    it('gives what a user makes to that user and his group', {
      skip: process.getuid?.() !== 0 && 'takes root',
    }, async () => {
      const script = `import os,sys
os.chdir(sys.argv[1])
os.setgroups([])
os.setresgid(1234, 1234, 1234)
os.setresuid(4321, 4321, 4321)
os.umask(0o027)
open('file', 'w').close(); os.mkdir('folder'); os.symlink('x', 'link'); os.mkfifo('fifo')
print([(s.st_uid, s.st_gid, oct(s.st_mode)) for s in (os.lstat(n) for n in ('file', 'folder', 'link', 'fifo'))])`;
      assert.equal(
        await python(script, at('w')),
        "[(4321, 1234, '0o100640'), (4321, 1234, '0o40750'), (4321, 1234, '0o120777'), (4321, 1234, '0o10640')]",
      );
      for (const name of ['file', 'folder', 'link', 'fifo']) await fs.rm(at('w', name), { recursive: true });
    });

    it('keeps names and targets that are not UTF-8', async () => {
      const script = `import os,sys
os.chdir(os.fsencode(sys.argv[1]))
names=[b'\\xe9', b'a\\xff\\xfeb', b'\\xef\\xbf\\xbd', b'\\xed\\xb2\\x80', bytes(range(128, 256))]
for n in names: open(n, 'wb').write(n)
os.symlink(b'\\xe9', b'\\xe8')
assert sorted(os.listdir(b'.'))==sorted(names+[b'\\xe8'])
for n in names: assert open(n, 'rb').read()==n
assert os.readlink(b'\\xe8')==b'\\xe9' and open(b'\\xe8', 'rb').read()==b'\\xe9'
assert not os.path.exists(b'\\xea')
os.rename(b'\\xe9', b'\\xea')
os.link(b'\\xea', b'\\xe9')
os.mkdir(b'\\xeb')
os.unlink(b'\\xea')
assert os.stat(b'\\xe9').st_nlink==1
for n in names+[b'\\xe8']: os.unlink(n)
os.rmdir(b'\\xeb')
assert os.listdir(b'.')==[]`;
      await python(script, at('w'));
    });

    it('shows two names as one file', async () => {
      const script = `import os,sys
os.chdir(sys.argv[1])
a=os.open('a', os.O_RDWR|os.O_CREAT)
os.link('a', 'b')
os.pwrite(a, b'x'*10000, 0)
assert os.stat('b').st_size==10000
b=os.open('b', os.O_RDWR)
os.utime('a', ns=(7, 8))
assert os.stat('b').st_mtime_ns==8
os.pwrite(b, b'other', 5000)
assert os.pread(a, 5, 5000)==b'other'
ap=[os.open(n, os.O_WRONLY|os.O_APPEND) for n in ('a', 'b')]
for i in range(100): os.write(ap[i%2], b'%03d' % i)
assert os.pread(a, 300, 10000)==b''.join(b'%03d' % i for i in range(100))
os.unlink('a')
assert os.fstat(a).st_nlink==1
os.unlink('b')
assert os.fstat(b).st_nlink==0 and os.fstat(b).st_size==10300`;
      await python(script, at('w'));
      assert.deepEqual(await fs.readdir(at('w')), []);
    });

    it('shows what was deleted to those who hold it without opening it', async () => {
      const script = `import os,sys
os.chdir(sys.argv[1])
open('f', 'w').write('abc')
p=os.open('f', os.O_PATH)
os.mkdir('d')
d=os.open('d', os.O_RDONLY)
os.unlink('f')
os.chdir('d')
os.rmdir('../d')
import time
time.sleep(1.2)
assert (os.fstat(p).st_nlink, os.fstat(p).st_size)==(0, 3)
assert os.stat('.').st_nlink==0 and os.fstat(d).st_nlink==0
try: open('new', 'w'); print('made')
except FileNotFoundError: pass
assert os.listdir('.')==[]`;
      assert.equal(await python(script, at('w')), '');
    });

    it('finds holes and data, and punches and allocates', async () => {
      const script = `import os,sys,ctypes
libc=ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes=[ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
f=os.open(sys.argv[1]+'/f', os.O_RDWR|os.O_CREAT)
os.pwrite(f, b'x', 1<<20)
hole=os.lseek(f, 0, os.SEEK_DATA)
assert 0<hole<=1<<20, hole
assert os.lseek(f, 1<<20, os.SEEK_HOLE)==(1<<20)+1
assert libc.fallocate(f, 3, 1<<20, 1)==0
assert os.pread(f, 1, 1<<20)==b'\\0'
assert libc.fallocate(f, 0, 0, 3<<20)==0
assert os.fstat(f).st_size==3<<20
assert libc.fallocate(f, 8, 0, 4096)!=0 and ctypes.get_errno()==95
try: os.lseek(f, 4<<20, os.SEEK_DATA); print('found')
except OSError as e: assert e.errno==6
os.unlink(sys.argv[1]+'/f')`;
      assert.equal(await python(script, at('w')), '');
    });

    it('renames as renameat2(2) says', async () => {
      const script = `import os,sys,ctypes
libc=ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
open('a', 'w').write('a'); open('b', 'w').write('b')
def rename(a, b, flags): return ctypes.get_errno() if libc.renameat2(-100, a, -100, b, flags) else 0
assert rename(b'a', b'b', 1)==17
assert rename(b'a', b'c', 1)==0
assert rename(b'b', b'c', 2)==0
assert open('b').read()=='a' and open('c').read()=='b'
assert rename(b'b', b'x', 2)==2
assert rename(b'b', b'x', 4)==22
os.unlink('b'); os.unlink('c')`;
      await python(script, at('w'));
    });

    it('shows at once what is added, removed and named from the side', async () => {
      const source = [sourceOf(join(base, 'source'))];
      const plan = planOf('Side', source, [fileOf(['T', 'a:b'], [{ length: 5, source: 0, sourceOffset: 0 }])]);
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
      await assert.rejects(fs.stat(join(mnt, 'Side')), { code: 'ENOENT' });
      const { mtimeMs } = await fs.stat(mnt);
      await server.create(plan);
      await fs.stat(join(mnt, 'Side', 'T', 'a:b'));
      await waitUntil('the time of the root', async () => (await fs.stat(mnt)).mtimeMs > mtimeMs);
      await assert.rejects(fs.stat(join(mnt, 'Side', 'T', 'a_b')), { code: 'ENOENT' });
      await server.addNames(plan.infoHash, [['T', 'a_b']]);
      const named = await fs.stat(join(mnt, 'Side', 'T', 'a_b'));
      assert.equal(named.ino, (await fs.stat(join(mnt, 'Side', 'T', 'a:b'))).ino);
      const held = await fs.open(join(mnt, 'Side', 'T', 'a_b'));
      await server.remove(plan.infoHash);
      const isGone = async (): Promise<boolean> =>
        await fs.stat(join(mnt, 'Side')).then(
          () => false,
          (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
        );
      await waitUntil('the end of the name', isGone);
      await held.close();
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
    });

    it('finds files by handles, also after a restart, and never another one', {
      skip: process.getuid?.() !== 0 && 'takes root',
    }, async () => {
      const script = `import ctypes,os,sys,errno,base64
libc=ctypes.CDLL(None, use_errno=True)
class FH(ctypes.Structure): _fields_=[('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte*128)]
def handle(p):
 h=FH(); h.bytes=128; m=ctypes.c_int()
 assert libc.name_to_handle_at(-100, os.fsencode(p), ctypes.byref(h), ctypes.byref(m), 0)==0, ctypes.get_errno()
 return base64.b64encode(bytes(h)).decode()
def opened(root, text):
 h=FH.from_buffer_copy(base64.b64decode(text))
 d=os.open(root, os.O_RDONLY)
 fd=libc.open_by_handle_at(d, ctypes.byref(h), os.O_RDONLY)
 return errno.errorcode[ctypes.get_errno()] if fd<0 else os.fstat(fd).st_ino
if sys.argv[2]=='make': print('\\n'.join(handle(p) for p in sys.argv[3:]))
else: print('\\n'.join(str(opened(sys.argv[1], h)) for h in sys.argv[3:]))`;
      await fs.mkdir(at('w', 'd', 'e'), { recursive: true });
      await fs.writeFile(at('w', 'd', 'e', 'f'), 'f');
      await fs.writeFile(at('w', 'gone'), 'g');
      const paths = [at('w', 'd', 'e', 'f'), at('w', 'd', 'e'), at('T', 'mapped')];
      const inodes = await Promise.all(paths.map(async (path) => `${(await fs.stat(path)).ino}`));
      const handles = (await python(script, mnt, 'make', ...paths, at('w', 'gone'))).split('\n');
      await fs.unlink(at('w', 'gone'));
      for (let round = 0; round < 2; round++) {
        await fs.writeFile(at('w', `new ${round}`), '');
        assert.deepEqual((await python(script, mnt, 'open', ...handles)).split('\n'), [...inodes, 'ESTALE']);
        await server.signal('SIGTERM');
        server = await Server.start({ driver, mountPoint: mnt, statePath: join(base, 'state') });
      }
      await fs.rm(at('w'), { recursive: true });
      await fs.mkdir(at('w'));
    });

    it(`forgets ${MANY} files when the kernel does`, { skip: process.getuid?.() !== 0 && 'takes root' }, async () => {
      const files = Array.from({ length: MANY }, (_, i) =>
        fileOf([`${i % 100}`, `file ${i}`], [{ length: 5, source: 0, sourceOffset: i }]),
      );
      await server.create(planOf('Many', [sourceOf(join(base, 'source'))], files));
      const { stdout } = await run('sh', ['-c', 'find "$0" -type f -printf "%s\\n" | wc -l', join(mnt, 'Many')]);
      assert.equal(Number(stdout), MANY);
      const known = (await server.status()).known ?? 0;
      assert.ok(known > MANY / 2, `${known}`);
      await waitUntil('the end of what the kernel knows', async () => {
        await run('sh', ['-c', 'echo 2 > /proc/sys/vm/drop_caches']);
        return ((await server.status()).known ?? MANY) < 200;
      });
      // What was forgotten is found again.
      assert.equal((await fs.stat(join(mnt, 'Many', '7', 'file 7'))).size, 5);
    });

    it('has logged no error', () => {
      assert.doesNotMatch(server.log, /error|refused/i);
    });
  });
}
