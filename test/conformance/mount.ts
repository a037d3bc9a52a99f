/**
 * The rules for a mount beyond its file system, as any program sees it: its start and end, its refusals, and the bytes that
 * programs read from it. This process is only a user of the mount.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { ConformanceEntry } from './entry.ts';
import { Server } from './server.ts';

const run = promisify(execFile);
const EROFS = { code: 'EROFS' };

async function mountLines(mountPoint: string): Promise<string[]> {
  const escaped = ` ${mountPoint.replaceAll(' ', String.raw`\040`)} `;
  return (await fs.readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(escaped));
}

export function runMount(driver: string): void {
  describe(`a mount's life, driver ${driver}`, () => {
    let base: string;
    let mnt: string;
    let server: Server;
    let entry: ConformanceEntry;
    const options = () => ({ driver, mountPoint: mnt, statePath: join(base, 'state') });
    const at = (...path: readonly string[]) => join(mnt, 'Entry', ...path);
    const until = async (holds: () => Promise<boolean>): Promise<void> => await waitUntil('the server', holds);

    before(async () => {
      base = temporaryFolder('conformance');
      mnt = join(base, "store $HOME `id` 'x");
      entry = await ConformanceEntry.in(base);
      server = await Server.start(options());
      await server.create(entry.plan());
    });

    after(async () => {
      await server?.stop();
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
      assert.ok(entry.bytes.equals(await fs.readFile(join(base, 'copied'))));
    });

    it('can be mapped into memory', async () => {
      const script =
        'import mmap,sys,hashlib\nwith open(sys.argv[1],"rb") as f:\n m=mmap.mmap(f.fileno(),0,mmap.MAP_SHARED,mmap.PROT_READ)\n print(hashlib.sha256(m).hexdigest())';
      const { stdout } = await run('python3', ['-c', script, at('T', 'mixed.bin')]);
      assert.equal(stdout.trim(), createHash('sha256').update(entry.mixed).digest('hex'));
    });

    it('reports the space of the disk that holds its state', async () => {
      const [ours, disk] = [await fs.statfs(mnt), await fs.statfs(base)];
      const { stdout: longest } = await run('python3', [
        '-c',
        'import os,sys; print(os.statvfs(sys.argv[1]).f_namemax)',
        mnt,
      ]);
      // That of the root, which lists entries.
      assert.equal(longest, driver === 'kernel' ? '255\n' : '1023\n');
      const [total, expected] = [ours.blocks * ours.bsize, disk.blocks * disk.bsize];
      assert.ok(Math.abs(total - expected) <= 2 ** 20, `${total} is not ${expected}`);
    });

    it('shows the new bytes of a file that is mapped anew, to a program that has it open and to the next', async () => {
      const [length, half] = [600_000, 300_000];
      const [before, tag] = [Buffer.alloc(length, 'before '), Buffer.from('a tag')];
      const after = Buffer.alloc(length, 'after ');
      const [old, tagged] = [join(base, 'old'), join(base, 'tagged')];
      await fs.writeFile(old, before);
      await fs.writeFile(tagged, Buffer.concat([tag, after]));
      const plan = planOf('Remapped', [sourceOf(old)], [fileOf(['r'], [{ length, source: 0, sourceOffset: 0 }])]);
      const pieceCount = Math.ceil(length / plan.pieceLength);
      await server.create({ ...plan, pieceCount, verified: Buffer.alloc(Math.ceil(pieceCount / 8)) });
      const path = join(mnt, 'Remapped', 'r');
      const held = await fs.open(path, 'r+');
      try {
        const read = async (position: number): Promise<string> =>
          (await held.read(Buffer.alloc(10), 0, 10, position)).buffer.toString();
        assert.equal(await read(0), before.toString('latin1', 0, 10));
        await held.write('written', 500_000);
        const all = Array.from({ length: pieceCount }, (_, piece) => piece);
        const extents = [
          { offset: 0, length: half, source: 0, sourceOffset: tag.length },
          { offset: half, length: length - half, source: 0, sourceOffset: tag.length + half },
        ];
        await server.remap(plan.infoHash, 0, { extents, sources: [sourceOf(tagged)], proven: all });
        // Nobody has read here yet: the kernel has no page of it.
        assert.equal(await read(590_000), after.toString('latin1', 590_000, 590_010));
        // The block that was written was filled up with the bytes before.
        const [from, to] = [Math.floor(500_000 / 4096) * 4096, Math.ceil(500_000 / 4096) * 4096];
        before.copy(after, from, from, to);
        after.write('written', 500_000);
        assert.ok((await fs.readFile(path)).equals(after));
      } finally {
        await held.close();
      }
      await server.remove(plan.infoHash);
    });

    it('refuses sources on a mount of its own kind', async () => {
      const source = { ...sourceOf(join(entry.sources, 'data')), path: Buffer.from(at('T', 'data.bin')) };
      const plan = planOf('Loop', [source], [fileOf(['l'], [{ length: 5, source: 0, sourceOffset: 0 }])]);
      await assert.rejects(server.create(plan), /lies on a mount of autotorrent/);
      assert.deepEqual(await fs.readdir(mnt), ['Entry']);
    });

    it('refuses a second server, and the first one goes on', async () => {
      const second = { driver, mountPoint: mnt, statePath: join(base, 'state2') };
      await assert.rejects(Server.start(second), /another server of autotorrent serves/);
      assert.equal((await fs.stat(at('T', 'data.bin'))).size, entry.bytes.length);
    });

    it('unmounts cleanly on SIGTERM, keeps what it showed, and leaves no writable folder', async () => {
      const stat = await fs.stat(at('T', 'data.bin'));
      assert.equal(await server.signal('SIGTERM'), 0);
      assert.deepEqual(await mountLines(mnt), []);
      assert.equal((await fs.stat(mnt)).mode & 0o777, 0o555);
      server = await Server.start(options());
      const again = await fs.stat(at('T', 'data.bin'));
      assert.deepEqual([again.ino, again.mtimeMs, again.size], [stat.ino, stat.mtimeMs, stat.size]);
      assert.ok(entry.bytes.equals(await fs.readFile(at('T', 'data.bin'))));
    });

    it('replaces the mount that kill -9 left', async () => {
      assert.equal(await server.signal('SIGKILL'), 'SIGKILL');
      await assert.rejects(fs.readdir(mnt), { code: 'ENOTCONN' });
      server = await Server.start(options());
      assert.ok(entry.mixed.equals(await fs.readFile(at('T', 'mixed.bin'))));
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
      await assert.rejects(Server.start({ driver, mountPoint: full, statePath: join(base, 'state3') }), /is not empty/);
      assert.equal((await fs.stat(full)).mode & 0o777, 0o755);
      await assert.rejects(
        Server.start({ driver, mountPoint: join(full, 'old link tree'), statePath: join(base, 'state3') }),
        /is not a directory/,
      );
    });

    it('mounts on a file system of its own where it can, and goes without a trace', async () => {
      const other = join(base, 'other');
      await fs.mkdir(other);
      await run('mount', ['-t', 'tmpfs', 'tmpfs', other]);
      const second = { driver, mountPoint: other, statePath: join(base, 'state3') };
      try {
        if (driver === 'fuse-native') {
          await assert.rejects(Server.start(second), /something else \(tmpfs\)/);
          return;
        }
        for (const end of ['unmount', 'kill'] as const) {
          const volume = await Server.start(second);
          assert.equal((await mountLines(other)).length, 2);
          assert.deepEqual(await fs.readdir(other), []);
          if (end === 'kill') await volume.signal('SIGKILL');
          else assert.equal(await volume.unmount(), 0);
        }
        // What the killed one left is replaced.
        const volume = await Server.start(second);
        assert.equal((await mountLines(other)).length, 2);
        assert.equal(await volume.unmount(), 0);
        const [left, ...others] = await mountLines(other);
        assert.match(left ?? '', / - tmpfs /);
        assert.deepEqual(others, []);
        assert.equal((await fs.stat(other)).mode & 0o777, 0o555);
        await fs.chmod(other, 0o755);
        await fs.writeFile(join(other, 'file'), '');
        await assert.rejects(Server.start(second), /is not empty/);
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
