/**
 * `autotorrent release DISK` and umount(8) while the mount serves: a real server, a real disk, and readers who have its files
 * open.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { openFileSystems } from '../../src/source/file-system.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const SIZE = 3_000_000;

describe('a disk that is released', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let autotorrent: Autotorrent;
  let server: Daemon;
  let folder: string;
  const bytes = { away: randomBytes(SIZE), here: randomBytes(SIZE) };
  const held = new Map<string, FileHandle>();

  before(async () => {
    folder = temporaryFolder('release');
    await mkdir(join(folder, 'disk'));
    disk = await makeFileSystem('ext4', join(folder, 'disk'));
    const plain = join(folder, 'plain');
    await mkdir(plain);
    await writeFile(join(disk.path, 'away.mkv'), bytes.away);
    await writeFile(join(plain, 'here.mkv'), bytes.here);
    // The disk by a link: its sources may be recorded under either name.
    symlinkSync(disk.path, join(folder, 'link'));
    autotorrent = await autotorrentIn({ folder, disks: [disk.path, plain] });
    const torrents = Object.entries(bytes).map(([name, content]) => {
      const { raw } = makeTorrent({ name: `${name}.mkv`, content, pieceLength: 65_536 });
      return { path: join(folder, `${name}.torrent`), raw };
    });
    for (const { path, raw } of torrents) await writeFile(path, raw);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
    const added = await autotorrent.run('add', '--verify', 'full', ...torrents.map(({ path }) => path));
    assert.equal(added.code, 0, added.stdout + added.stderr);
    for (const name of Object.keys(bytes)) {
      const file = await open(join(autotorrent.storePath, name, `${name}.mkv`), 'r');
      held.set(name, file);
      assert.ok(await isRead(name, 0));
    }
  });
  after(async () => {
    for (const file of held.values()) await file.close();
    await server?.stop();
    await disk?.close();
  });

  /** Reads through the handle that is held, past what the kernel has read ahead. */
  const isRead = async (name: string, at: number): Promise<boolean> => {
    const buffer = Buffer.alloc(4096);
    const { bytesRead } = await (held.get(name) ?? assert.fail()).read(buffer, 0, buffer.length, at);
    const wanted = bytes[name as keyof typeof bytes].subarray(at, at + bytesRead);
    return bytesRead > 0 && buffer.subarray(0, bytesRead).equals(wanted);
  };
  /** The kernel keeps what it has read. */
  const forget = (): Promise<void> => writeFile('/proc/sys/vm/drop_caches', '1');

  const isTrusted = async (): Promise<boolean> => {
    const { sources } = (await autotorrent.json('status')) as { sources: { waiting: unknown[]; doubted: number } };
    return sources.waiting.length === 0 && sources.doubted === 0;
  };

  it('is in use before', async () => {
    await assert.rejects(disk.umount(), /busy/);
  });

  it('can be unmounted while files of it are open in the mount, and others are read', async () => {
    const failures: unknown[] = [];
    const done = new AbortController();
    const reading = (async () => {
      for (let at = 0; !done.signal.aborted; at = (at + 65_536) % SIZE) {
        await isRead('here', at).then(
          (right) => right || failures.push(`wrong bytes at ${at}`),
          (error: unknown) => failures.push(error),
        );
        await sleep(5);
      }
    })();
    try {
      assert.deepEqual(await autotorrent.json('release', 'Disk1'), {
        mount_points: [disk.path],
        sources: 1,
        open: 0,
      });
      await disk.umount();
      await forget();
      await assert.rejects(isRead('away', 2_000_000), { code: 'EIO' });
      await sleep(300);
    } finally {
      done.abort();
      await reading;
    }
    assert.deepEqual(failures, []);
  });

  it('is read again, also by the handle that was held, once it is mounted', async () => {
    await disk.mount();
    await waitUntil('it is read', () => isRead('away', 2_000_000).catch(() => false), { limitMs: 20_000 });
    await assert.rejects(promisify(execFile)('umount', [disk.path]), /busy/);
  });

  it('is not opened again while it is mounted still', async () => {
    const released = await autotorrent.run('release', join(disk.path, 'away.mkv'));
    assert.equal(released.code, 0, released.stderr);
    assert.match(released.stdout, /^Released \S+: 1 source\(s\) wait until it is mounted again\n$/);
    await forget();
    await assert.rejects(isRead('away', 1_000_000), { code: 'EIO' });
    await sleep(4000);
    await disk.remount();
    await waitUntil('it is trusted without being read', isTrusted, { limitMs: 20_000 });
    assert.ok(await isRead('away', 1_000_000));
  });

  it('has nothing of other disks given up while it is released: that may lie there', async () => {
    assert.equal((await autotorrent.run('release', 'disk1')).code, 0);
    const here = join(folder, 'plain', 'here.mkv');
    await rm(here);
    const conditionOf = async (): Promise<string> => {
      const { changed_sources: sources } = (await autotorrent.json('show', 'here')) as {
        changed_sources: readonly { readonly state: string; readonly reason?: string }[];
      };
      return sources.map(({ state, reason }) => `${state}: ${reason}`).join();
    };
    const waits = `waiting: was not found, and may lie on ${disk.path}, which was released`;
    const isSettled = async (): Promise<boolean> => {
      assert.equal(await conditionOf(), waits);
      return true;
    };
    await waitUntil('its case is settled', isSettled, { limitMs: 60_000 });
    await writeFile(here, bytes.here);
    await disk.remount();
    // It is another file.
    await waitUntil('both are there', async () => (await conditionOf()).startsWith('doubted'), { limitMs: 60_000 });
    assert.equal((await autotorrent.run('verify', 'here')).code, 0);
    await waitUntil('both are trusted', isTrusted, { limitMs: 60_000 });
  });

  it('is said to be released by commands that would read it', async () => {
    assert.equal((await autotorrent.run('release', 'disk1')).code, 0);
    const verified = await autotorrent.run('verify', 'away');
    assert.match(verified.stdout + verified.stderr, /away\.mkv .*lies on a disk that was released/);
    const rebuilt = await autotorrent.run('rebuild');
    assert.match(rebuilt.stderr, /\S+ was released, and cannot be unmounted before this rebuild has ended/);
    const film = join(folder, 'again.torrent');
    await writeFile(film, makeTorrent({ name: 'away.mkv', content: bytes.away, pieceLength: 131_072 }).raw);
    for (const args of [['add'], ['add', '--dry-run']]) {
      const added = await autotorrent.run(...args, film);
      assert.match(added.stdout + added.stderr, /^ \[Missing\] .*0\.00% found/m);
      assert.match(added.stderr, /\S+ was released: nothing on it is used/);
    }
    await disk.remount();
    await waitUntil('it is trusted', isTrusted, { limitMs: 20_000 });
  });

  it('may be named by its id', async () => {
    const disks = await openFileSystems(openCLibrary(silentLogger)).disksMounted();
    const [id = ''] = [...disks].find(([, places]) => places.some((place) => place.toString() === disk.path)) ?? [];
    assert.match(id, /^uuid:/);
    assert.equal((await autotorrent.run('release', id)).code, 0);
    await disk.remount();
    await waitUntil('it is read', () => isRead('away', 700_000).catch(() => false), { limitMs: 20_000 });
    const none = await autotorrent.run('release', 'uuid:0');
    assert.match(none.stderr, /there is no disk uuid:0 now/);
  });

  it('may be named by a link to it', async () => {
    assert.equal((await autotorrent.run('release', 'link')).code, 0);
    await disk.remount();
    await waitUntil('it is read', () => isRead('away', 500_000).catch(() => false), { limitMs: 20_000 });
  });

  it('must be a disk of its own, without the state', async () => {
    const root = await autotorrent.run('release', '/');
    assert.deepEqual([root.code, /cannot be unmounted/.test(root.stderr)], [2, true], root.stderr);
    const none = await autotorrent.run('release', 'disk9');
    assert.deepEqual([none.code, /there is no disk disk9/.test(none.stderr)], [2, true], none.stderr);
  });

  it('is refused if the state lies on it', async () => {
    const state = join(disk.path, 'state');
    mkdirSync(state);
    const other = await autotorrentIn({ folder: state, disks: [disk.path] });
    const second = await other.mount();
    try {
      const refused = await other.run('release', disk.path);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /state_path \(\S+\) lies on this disk, and the server needs it/);
    } finally {
      await second.stop();
    }
  });
});

/** The walk takes some seconds. */
const SLOW_MS = 200;
/** A call that has begun ends while `release` waits. */
const LATE_MS = 1500;

describe('a disk that the index process reads for a command that was killed', { skip: NEEDS_ROOT }, () => {
  it('is released when the index process has left it', async (t) => {
    const folder = temporaryFolder('release-walked');
    await mkdir(join(folder, 'disk'));
    const disk = await makeFileSystem('fuse', join(folder, 'disk'));
    t.after(async () => await disk.close());
    for (let i = 0; i < 20; i++) mkdirSync(join(disk.path, `Season ${i}`));
    const autotorrent = await autotorrentIn({ folder, disks: [disk.path] });
    const server = await autotorrent.mount();
    t.after(async () => await server.stop());
    disk.answerAfter(SLOW_MS);
    const program = resolve('dist/src/main.js');
    const rebuild = execFile(process.execPath, [program, '-c', autotorrent.config, 'rebuild']);
    const killed = once(rebuild, 'exit');
    // The walk has two threads at least, and nothing else asks for two things at once for long.
    const isWalked = async (): Promise<boolean> => (await disk.waiting()) > 1;
    // The server looks at its own folder there when it starts.
    await waitUntil('it is walked for a while', async () => {
      if (!(await isWalked())) return false;
      await sleep(2 * SLOW_MS);
      return await isWalked();
    });
    disk.answerAfter(LATE_MS);
    await sleep(2 * SLOW_MS);
    assert.ok(await isWalked());
    rebuild.kill('SIGKILL');
    await killed;
    const released = await autotorrent.json('release', disk.path);
    assert.deepEqual(released, { mount_points: [disk.path], sources: 0, open: 0 });
    await disk.umount();
  });
});
