/**
 * What every driver must do, as any program sees it: this process is a user of the mount and nothing else.
 * `runConformance` is called by one test file a driver.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { constants, truncateSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { Server } from './server.ts';

const run = promisify(execFile);
const GIB = 2 ** 30;
const EROFS = { code: 'EROFS' };
const EIO = { code: 'EIO' };

async function mountLines(mountPoint: string): Promise<string[]> {
  const escaped = ` ${mountPoint.replaceAll(' ', String.raw`\040`)} `;
  return (await fs.readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(escaped));
}

/** A source far larger than what it takes on disk, with bytes that tell where they are, at 5 places. */
async function sparseFile(path: string, size: number): Promise<number[]> {
  const places = [0, GIB, 2 ** 32 - 16, 2 ** 32, size - 16];
  const file = await fs.open(path, 'w');
  await file.truncate(size);
  for (const place of places) await file.write(Buffer.from(`${place}`.padStart(16, '.')), 0, 16, place);
  await file.close();
  return places;
}

async function hashTree(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await fs.readdir(folder, { encoding: 'buffer' })).toSorted((a, b) => a.compare(b))) {
    const path = Buffer.concat([Buffer.from(`${folder}/`), name]);
    const { size, mtimeMs, mode } = await fs.stat(path);
    hash.update(name).update(` ${size} ${mtimeMs} ${mode}\n`);
    if (size < 2 ** 26) hash.update(await fs.readFile(path));
  }
  return hash.digest('hex');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('waited 10 s in vain');
}

/** Reads at places that look random and are the same in every run. */
async function readAtRandom(path: string, expected: Buffer, seed: number): Promise<void> {
  const file = await fs.open(path);
  try {
    let state = seed;
    for (let i = 0; i < 200; i++) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      const position = state % expected.length;
      const length = 1 + (state % 200_000);
      const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
      assert.ok(buffer.subarray(0, bytesRead).equals(expected.subarray(position, position + length)));
    }
  } finally {
    await file.close();
  }
}

export function runConformance(driver: string): void {
  describe(`the mount, driver ${driver}`, () => {
    let base: string;
    let sources: string;
    let mnt: string;
    let server: Server;
    const bytes = randomBytes(5_000_011);
    const options = () => ({ mountPoint: mnt, statePath: join(base, 'state') });
    const at = (...path: readonly string[]) => join(mnt, 'Entry', ...path);
    const big = 5 * GIB;
    let bigPlaces: number[];
    let hashBefore: string;

    /** Three extents, unaligned, two sources, a pad and a gap. */
    const mixed = Buffer.concat([
      bytes.subarray(17, 1_000_020),
      Buffer.alloc(77),
      bytes.subarray(2_000_000, 2_600_001),
      Buffer.alloc(5000),
    ]);

    before(async () => {
      base = temporaryFolder('conformance');
      sources = join(base, 'sources');
      mnt = join(base, "store $HOME `id` 'x");
      await fs.mkdir(sources);
      await fs.writeFile(join(sources, 'data'), bytes);
      await fs.writeFile(join(sources, 'copy'), bytes);
      await fs.writeFile(join(sources, 'empty'), '');
      await fs.writeFile(Buffer.from(`${sources}/latin-\xe9`, 'latin1'), 'Latin-1 name');
      bigPlaces = await sparseFile(join(sources, 'big'), big);
      hashBefore = await hashTree(sources);
      server = await Server.start(options());
      const deep = Array.from({ length: 20 }, (_, i) => `folder number ${i} ${'x'.repeat(60)}`);
      await server.create(
        planOf(
          'Entry',
          [
            sourceOf(join(sources, 'data')),
            sourceOf(join(sources, 'copy')),
            sourceOf(join(sources, 'big')),
            sourceOf(Buffer.from(`${sources}/latin-\xe9`, 'latin1')),
          ],
          [
            fileOf(['T', 'data.bin'], [{ length: bytes.length, source: 0, sourceOffset: 0 }]),
            fileOf(
              ['T', 'mixed.bin'],
              [
                { length: 1_000_003, source: 0, sourceOffset: 17 },
                { length: 77, source: ZEROS, sourceOffset: 0 },
                { length: 600_001, source: 1, sourceOffset: 2_000_000 },
                { length: 5000, source: GAP, sourceOffset: 0 },
              ],
            ),
            fileOf(['T', 'big.bin'], [{ length: big, source: 2, sourceOffset: 0 }]),
            fileOf(['T', 'empty.bin'], []),
            fileOf(['T', 'run.sh'], [{ length: 12, source: 3, sourceOffset: 0 }], { executable: true }),
            fileOf(['T', ...deep, 'leaf'], [{ length: 3, source: 0, sourceOffset: 5 }]),
            fileOf(['T', '日本語 Ελληνικά עברית 🎬 é.mkv'], [{ length: 9, source: 0, sourceOffset: 0 }]),
            fileOf(['T', 'sub', 'link'], [], { symlink: ['data.bin'] }),
            ...Array.from({ length: 10_500 }, (_, i) =>
              fileOf(['T', 'many', `f${i}`], [{ length: i + 1, source: 0, sourceOffset: i }]),
            ),
          ],
        ),
      );
    });

    after(async () => {
      await server?.stop();
    });

    it('shows entries, files, sizes, modes, times and link counts', async () => {
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
      assert.deepEqual((await fs.readdir(at('T'))).length, 9);
      const file = await fs.stat(at('T', 'data.bin'));
      assert.equal(file.size, bytes.length);
      assert.equal(file.mode, 0o100644);
      assert.equal(file.nlink, 1);
      assert.equal(file.mtimeMs, 1_600_000_000_123);
      assert.equal(file.blocks, Math.ceil(bytes.length / 512));
      assert.equal((await fs.stat(at('T', 'run.sh'))).mode, 0o100755);
      const folder = await fs.stat(at('T'));
      assert.equal(folder.mode, 0o040755);
      assert.equal(folder.nlink, 5);
      assert.equal((await fs.stat(mnt)).ino, 1);
    });

    it('gives the inode numbers of stat in listings, too', async () => {
      const { stdout } = await run('python3', [
        '-c',
        'import os,sys\nfor e in os.scandir(sys.argv[1]): assert e.inode() == os.lstat(e.path).st_ino and e.is_dir(follow_symlinks=False) == os.path.isdir(e.path), e.path\nprint("ok")',
        at('T'),
      ]);
      assert.equal(stdout, 'ok\n');
    });

    it('answers ls, find, cp', async () => {
      const { stdout: found } = await run('find', [mnt, '-type', 'f', '-printf', '%s\n'], { maxBuffer: 2 ** 24 });
      assert.equal(found.trim().split('\n').length, 10_507);
      await run('ls', ['-lR', at('T', 'many')], { maxBuffer: 2 ** 24 });
      await run('cp', [at('T', 'data.bin'), join(base, 'copied')]);
      assert.ok(bytes.equals(await fs.readFile(join(base, 'copied'))));
    });

    it('reads extents, pads and gaps as one file', async () => {
      assert.ok(mixed.equals(await fs.readFile(at('T', 'mixed.bin'))));
      assert.equal((await fs.readFile(at('T', 'empty.bin'))).length, 0);
      assert.equal(await fs.readFile(at('T', 'run.sh'), 'utf8'), 'Latin-1 name');
    });

    it('reads at random from several readers at once', async () => {
      await Promise.all(
        [1, 2, 3, 4].flatMap((seed) => [
          readAtRandom(at('T', 'mixed.bin'), mixed, seed),
          readAtRandom(at('T', 'data.bin'), bytes, seed),
        ]),
      );
    });

    it('reads beyond 4 GiB, and nothing beyond the end', async () => {
      const file = await fs.open(at('T', 'big.bin'));
      try {
        for (const place of bigPlaces) {
          const { buffer } = await file.read(Buffer.alloc(16), 0, 16, place);
          assert.equal(buffer.toString(), `${place}`.padStart(16, '.'));
        }
        assert.equal((await file.read(Buffer.alloc(16), 0, 16, big)).bytesRead, 0);
        assert.equal((await file.read(Buffer.alloc(16), 0, 16, big - 5)).bytesRead, 5);
      } finally {
        await file.close();
      }
    });

    it('can be mapped into memory', async () => {
      const script =
        'import mmap,sys,hashlib\nwith open(sys.argv[1],"rb") as f:\n m=mmap.mmap(f.fileno(),0,mmap.MAP_SHARED,mmap.PROT_READ)\n print(hashlib.sha256(m).hexdigest())';
      const { stdout } = await run('python3', ['-c', script, at('T', 'mixed.bin')]);
      assert.equal(stdout.trim(), createHash('sha256').update(mixed).digest('hex'));
    });

    it('takes names in any script, deep paths, large folders, and symlinks', async () => {
      assert.equal((await fs.readFile(at('T', '日本語 Ελληνικά עברית 🎬 é.mkv'))).length, 9);
      assert.equal((await fs.readdir(at('T', 'many'))).length, 10_500);
      const { stdout } = await run('find', [at('T'), '-name', 'leaf']);
      assert.ok(stdout.length > 1500);
      assert.equal((await fs.readFile(stdout.trim())).length, 3);
      assert.equal(await fs.readlink(at('T', 'sub', 'link')), '../data.bin');
      assert.equal((await fs.stat(at('T', 'sub', 'link'))).size, bytes.length);
    });

    it('answers what is not there with the right errno', async () => {
      await assert.rejects(fs.stat(at('T', 'nothing')), { code: 'ENOENT' });
      await assert.rejects(fs.stat(at('T', 'data.bin', 'below')), { code: 'ENOTDIR' });
      await assert.rejects(fs.readlink(at('T', 'data.bin')), { code: 'EINVAL' });
      await assert.rejects(fs.readdir(at('T', 'data.bin')), { code: 'ENOTDIR' });
      await assert.rejects(fs.readFile(at('T')), { code: 'EISDIR' });
      await assert.rejects(fs.stat(at('T', 'é'.repeat(128))), { code: 'ENAMETOOLONG' });
    });

    it('reports the space of the disk that holds its state', async () => {
      const [ours, disk] = [await fs.statfs(mnt), await fs.statfs(base)];
      const [total, expected] = [ours.blocks * ours.bsize, disk.blocks * disk.bsize];
      assert.ok(Math.abs(total - expected) <= 2 ** 20, `${total} is not ${expected}`);
    });

    it('shows further names of a file, and refuses two files for one name', async () => {
      const { infoHash } = planOf('Entry', [], []);
      await server.addNames(infoHash, [['T_', 'data_.bin'], undefined, ['T_', 'sub', 'big']]);
      assert.equal((await fs.stat(at('T_', 'data_.bin'))).ino, (await fs.stat(at('T', 'data.bin'))).ino);
      assert.equal((await fs.stat(at('T_', 'data_.bin'))).nlink, 2);
      assert.equal((await fs.stat(at('T_', 'sub', 'big'))).size, big);
      await server.addNames(infoHash, [['T_', 'data_.bin']]);
      await assert.rejects(server.addNames(infoHash, [undefined, ['T_', 'data_.bin']]), /two files/);
      await assert.rejects(server.addNames(infoHash, [['..', 'x']]), /cannot be shown/);
    });

    it('answers EIO for a source that changed, with one line of log, and heals without a stale page', async () => {
      const path = join(sources, 'changing');
      const write = async (text: string, mtime: number): Promise<void> => {
        await fs.writeFile(path, text);
        await fs.utimes(path, mtime, mtime);
      };
      await write('the right bytes', 1000);
      const file = fileOf(['c'], [{ length: 15, source: 0, sourceOffset: 0 }]);
      await server.create(planOf('Changing', [sourceOf(path)], [file]));
      const shown = join(mnt, 'Changing', 'c');
      const open = await fs.open(shown);
      try {
        await write('the wrong bytes', 2000);
        // Within the window of a second this may still be answered, and its page be kept by the kernel.
        await open.read(Buffer.alloc(15), 0, 15, 0).catch(() => {});
        await assert.rejects(fs.readFile(shown), EIO);
        await assert.rejects(fs.readFile(shown), EIO);
        const { broken } = await server.status();
        assert.deepEqual(
          broken.map((source) => [Buffer.from(source.path).toString(), source.entries, source.reason]),
          [[path, ['Changing'], 'it was modified']],
        );
        assert.equal(server.log.split('changing').length, 2, server.log);
        await write('the right bytes', 1000);
        await until(async () => (await fs.readFile(shown, 'utf8').catch(() => '')) === 'the right bytes');
        assert.deepEqual((await server.status()).broken, []);
      } finally {
        await open.close();
      }
      await server.remove(planOf('Changing', [], []).infoHash);
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
      await fs.unlink(path);
    });

    it('goes on when a source vanishes, and serves it again when it is back', async () => {
      const path = join(sources, 'vanishing');
      await fs.writeFile(path, 'here');
      await server.create(
        planOf('Vanishing', [sourceOf(path)], [fileOf(['v'], [{ length: 4, source: 0, sourceOffset: 0 }])]),
      );
      const shown = join(mnt, 'Vanishing', 'v');
      const open = await fs.open(shown);
      try {
        await fs.rename(path, `${path}-away`);
        assert.equal((await open.read(Buffer.alloc(4), 0, 4, 0)).bytesRead, 4, 'an open file keeps its source');
      } finally {
        await open.close();
      }
      await until(async () => (await server.status()).openFiles === 0);
      await assert.rejects(fs.readFile(shown), EIO);
      assert.equal((await server.status()).broken.length, 1);
      await fs.rename(`${path}-away`, path);
      await until(async () => (await fs.readFile(shown, 'utf8').catch(() => '')) === 'here');
      assert.deepEqual((await server.status()).broken, []);
      await server.remove(planOf('Vanishing', [], []).infoHash);
      await fs.unlink(path);
    });

    it('serves a spare where there is one', async () => {
      const [first, second] = [join(sources, 'first'), join(sources, 'second')];
      await fs.writeFile(first, 'same');
      await fs.writeFile(second, 'same');
      const file = fileOf(['s'], [{ length: 4, source: 0, sourceOffset: 0 }]);
      await server.create(planOf('Spare', [sourceOf(first, [1]), sourceOf(second)], [file]));
      await fs.unlink(first);
      assert.equal(await fs.readFile(join(mnt, 'Spare', 's'), 'utf8'), 'same');
      const { broken } = await server.status();
      assert.equal(Buffer.from(broken[0]?.spare ?? '').toString(), second);
      await server.remove(planOf('Spare', [], []).infoHash);
      await fs.unlink(second);
    });

    it('notices a source that is cut short while it is read', async () => {
      const path = join(sources, 'cut');
      await fs.writeFile(path, Buffer.alloc(300_000, 1));
      await server.create(
        planOf('Cut', [sourceOf(path)], [fileOf(['c'], [{ length: 300_000, source: 0, sourceOffset: 0 }])]),
      );
      const open = await fs.open(join(mnt, 'Cut', 'c'));
      try {
        truncateSync(path, 10);
        await assert.rejects(open.read(Buffer.alloc(1000), 0, 1000, 290_000), EIO);
      } finally {
        await open.close();
      }
      await server.remove(planOf('Cut', [], []).infoHash);
      await fs.unlink(path);
    });

    it('refuses sources on a mount of its own kind', async () => {
      const source = { ...sourceOf(join(sources, 'data')), path: Buffer.from(at('T', 'data.bin')) };
      const plan = planOf('Loop', [source], [fileOf(['l'], [{ length: 5, source: 0, sourceOffset: 0 }])]);
      await assert.rejects(server.create(plan), /lies on a mount of autotorrent/);
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
    });

    it('refuses a second server, and the first one goes on', async () => {
      const second = { mountPoint: mnt, statePath: join(base, 'state2') };
      await assert.rejects(Server.start(second), /another server of autotorrent serves/);
      assert.equal((await fs.stat(at('T', 'data.bin'))).size, bytes.length);
    });

    it('has touched no source', async () => {
      assert.equal(await hashTree(sources), hashBefore);
    });

    it('unmounts cleanly on SIGTERM, keeps what it showed, and leaves no writable folder', async () => {
      const stat = await fs.stat(at('T', 'data.bin'));
      assert.equal(await server.signal('SIGTERM'), 0);
      assert.deepEqual(await mountLines(mnt), []);
      assert.equal((await fs.stat(mnt)).mode & 0o777, 0o555);
      server = await Server.start(options());
      const again = await fs.stat(at('T', 'data.bin'));
      assert.deepEqual([again.ino, again.mtimeMs, again.size], [stat.ino, stat.mtimeMs, stat.size]);
      assert.ok(bytes.equals(await fs.readFile(at('T', 'data.bin'))));
    });

    it('replaces the mount that kill -9 left', async () => {
      assert.equal(await server.signal('SIGKILL'), 'SIGKILL');
      await assert.rejects(fs.readdir(mnt), { code: 'ENOTCONN' });
      server = await Server.start(options());
      assert.ok(mixed.equals(await fs.readFile(at('T', 'mixed.bin'))));
    });

    it('ends when the mount is removed from outside', async () => {
      await run('umount', [mnt]);
      assert.equal(await server.ended(), 0);
      server = await Server.start(options());
    });

    it('unmounts while another program holds a file open', async () => {
      const holder = spawn('tail', ['-f', at('T', 'data.bin')], { stdio: ['ignore', 'pipe', 'ignore'] });
      try {
        await new Promise((resolve) => holder.stdout.once('data', resolve));
        assert.equal(await server.unmount(), 0);
        assert.deepEqual(await mountLines(mnt), []);
      } finally {
        holder.kill();
      }
    });

    it('ends without a crash while programs read', async () => {
      for (let round = 0; round < 5; round++) {
        server = await Server.start(options());
        const script = 'while cat "$0" >/dev/null 2>&1; do :; done';
        const readers = [1, 2, 3].map(() => spawn('sh', ['-c', script, at('T', 'data.bin')], { stdio: 'ignore' }));
        try {
          await until(async () => (await server.status()).reads > 100);
          assert.equal(await server.unmount(), 0);
        } finally {
          for (const reader of readers) reader.kill();
        }
      }
    });

    it('refuses a mount point with something in it, and changes nothing', async () => {
      const full = join(base, 'full');
      await fs.mkdir(full);
      writeFileSync(join(full, 'old link tree'), '');
      await assert.rejects(Server.start({ mountPoint: full, statePath: join(base, 'state3') }), /is not empty/);
      assert.equal((await fs.stat(full)).mode & 0o777, 0o755);
      await assert.rejects(
        Server.start({ mountPoint: join(full, 'old link tree'), statePath: join(base, 'state3') }),
        /is not a directory/,
      );
    });

    it('refuses a mount point on which something else is mounted', async () => {
      const other = join(base, 'other');
      await fs.mkdir(other);
      await run('mount', ['-t', 'tmpfs', 'tmpfs', other]);
      try {
        await assert.rejects(
          Server.start({ mountPoint: other, statePath: join(base, 'state3') }),
          /something else \(tmpfs\)/,
        );
      } finally {
        await run('umount', [other]);
      }
    });

    it('mounts read-only when asked to, and refuses every change with EROFS then', async () => {
      await server.stop();
      server = await Server.start({ ...options(), readOnly: true });
      assert.match((await mountLines(mnt))[0] ?? '', / ro,/);
      const file = at('T', 'data.bin');
      await assert.rejects(fs.open(file, 'r+'), EROFS);
      await assert.rejects(fs.open(file, 'w'), EROFS);
      await assert.rejects(fs.open(file, 'a'), EROFS);
      await assert.rejects(fs.open(file, constants.O_RDONLY | constants.O_TRUNC), EROFS);
      await assert.rejects(fs.open(at('new'), 'w'), EROFS);
      await assert.rejects(fs.open(at('new'), constants.O_RDONLY | constants.O_CREAT), EROFS);
      await assert.rejects(fs.truncate(file, 1), EROFS);
      await assert.rejects(fs.unlink(file), EROFS);
      await assert.rejects(fs.rename(file, at('T', 'other')), EROFS);
      await assert.rejects(fs.link(file, at('T', 'other')), EROFS);
      await assert.rejects(fs.symlink('x', at('T', 'other')), EROFS);
      await assert.rejects(fs.mkdir(at('T', 'other')), EROFS);
      await assert.rejects(fs.rmdir(at('T', 'sub')), EROFS);
      await assert.rejects(fs.chmod(file, 0o600), EROFS);
      await assert.rejects(fs.chown(file, 1, 1), EROFS);
      await assert.rejects(fs.utimes(file, 1, 1), EROFS);
      await assert.rejects(fs.mkdir(at('T')), { code: 'EEXIST' });
      await assert.rejects(run('mkfifo', [at('T', 'fifo')]), /Read-only/);
    });
  });
}
