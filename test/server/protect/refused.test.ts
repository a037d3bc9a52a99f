/** What cannot be pinned is said, in words that fit, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { chmod, chown, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PinKind } from '../../../src/rescue/kept-files.ts';
import { type FileSystemKind, makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../../harness/other-user.ts';
import { keepFile, kept, MIB } from '../../rescue/keeping.ts';
import { pinsOn } from './pins-on.ts';

const run = promisify(execFile);
const BYTES = Buffer.alloc(100_000, 'film');
/** The links that ext4 allows a file. */
const EXT4_LINKS = 65_000;
const NOT_PERMITTED =
  readFileSync('/proc/sys/fs/protected_hardlinks', 'utf8').trim() === '0' ? 'hard links are not protected here' : false;

interface Disk {
  readonly base: string;
  readonly disk: TestFileSystem;
  readonly film: string;
  /** Pins the film: the path of its pin, or why it has none. Nothing that is unfinished is left. */
  readonly pin: (kind: PinKind) => Promise<string>;
  /** The same as another user. */
  readonly pinAsOther: (kind: PinKind) => Promise<string>;
}

async function diskOf(t: TestContext, kind: FileSystemKind): Promise<Disk> {
  const base = temporaryFolder('refused');
  await chmod(base, 0o755);
  const disk = await makeFileSystem(kind, base);
  t.after(async () => await disk.close());
  const film = join(disk.path, 'Film.mkv');
  writeFileSync(film, BYTES);
  const isClean = async (): Promise<void> => {
    const names = await readdir(join(disk.path, '.autotorrent'), { recursive: true }).catch(() => []);
    for (const name of names.filter((one) => /\/[0-9a-f]{16}$/.test(one))) {
      assert.deepEqual(await readdir(join(disk.path, '.autotorrent', name)), ['Film.mkv']);
    }
  };
  return {
    base,
    disk,
    film,
    async pin(pin) {
      const pins = pinsOn(disk.path, base);
      try {
        const found = await keepFile(pins, film, { ranges: [], pin });
        await isClean();
        return found.kind === 'kept' ? found.path.toString() : `${found.why}: ${found.says}`;
      } finally {
        await pins.close();
      }
    },
    async pinAsOther(pin) {
      const script = fileURLToPath(new URL('pin-one.js', import.meta.url));
      const home = join(base, 'home');
      mkdirSync(home, { recursive: true });
      await chown(home, OTHER_USER.uid, OTHER_USER.gid);
      const ran = await asOtherUser('exec "$@"', process.execPath, script, disk.path, home, film, pin);
      assert.equal(ran.code, 0, ran.stderr);
      await isClean();
      const found = JSON.parse(ran.stdout) as { at?: string; why?: string; says?: string };
      return found.at ?? `${found.why}: ${found.says}`;
    },
  };
}

/** Leaves no room on a disk. */
async function fill(folder: string): Promise<void> {
  const file = await open(join(folder, 'filler'), 'w');
  try {
    for (const chunk of [Buffer.alloc(MIB, 1), Buffer.alloc(4096, 1)]) {
      for (;;) {
        const full = await file.write(chunk).then(
          ({ bytesWritten }) => bytesWritten === 0,
          () => true,
        );
        if (full) break;
      }
      await file.sync().catch(() => {});
    }
  } finally {
    await file.close().catch(() => {});
  }
}

describe('what cannot be pinned', { skip: NEEDS_ROOT }, () => {
  it('is a film with as many names as its file system allows', async (t) => {
    const { disk, film, pin } = await diskOf(t, 'ext4');
    const names = join(disk.path, 'names');
    mkdirSync(names);
    for (let i = statSync(film).nlink; i < EXT4_LINKS; i++) linkSync(film, join(names, `${i}`));
    assert.equal(await pin('hardlink'), 'file: cannot be pinned: it has as many names as its file system allows');
    rmSync(join(names, '1000'));
    assert.deepEqual(await readFile(await pin('hardlink')), BYTES);
  });

  it('is a film of a subvolume, by a hard link', async (t) => {
    const { disk, base } = await diskOf(t, 'btrfs');
    await run('btrfs', ['subvolume', 'create', join(disk.path, 'sub')]);
    const film = join(disk.path, 'sub', 'Film.mkv');
    writeFileSync(film, BYTES);
    const pins = pinsOn(disk.path, base);
    t.after(async () => await pins.close());
    const found = await keepFile(pins, film, { ranges: [], pin: 'hardlink' });
    assert.ok(found.kind === 'not kept');
    assert.deepEqual(
      [found.why, found.says],
      ['file system', 'cannot be pinned: no folder of ours is on its file system'],
    );
    assert.deepEqual(await readFile((await kept(pins, film, { ranges: [], pin: 'reflink' })).at), BYTES);
  });

  it('is a film on a read-only file system', async (t) => {
    for (const kind of ['ext4', 'xfs'] as const) {
      const { disk, pin } = await diskOf(t, kind);
      const by = kind === 'ext4' ? 'hardlink' : 'reflink';
      const first = await pin(by);
      await run('mount', ['-o', 'remount,ro', disk.path]);
      assert.equal(await pin(by), 'file system: cannot be pinned: its file system is read-only');
      assert.deepEqual(await readFile(first), BYTES);
      await run('mount', ['-o', 'remount,rw', disk.path]);
      rmSync(join(disk.path, '.autotorrent'), { recursive: true });
      await run('mount', ['-o', 'remount,ro', disk.path]);
      assert.equal(await pin(by), 'file system: cannot be pinned: its file system is read-only');
    }
  });

  it('is a film on a full disk', async (t) => {
    for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
      const { disk, pin } = await diskOf(t, kind);
      await fill(disk.path);
      const by = kind === 'ext4' ? 'hardlink' : 'reflink';
      const said = await pin(by);
      // btrfs and XFS keep room for what is small.
      if (!said.startsWith('/'))
        assert.match(said, /^room: (cannot be pinned: the disk is full|does not fit on the disk: ENOSPC)/);
      rmSync(join(disk.path, 'filler'));
      assert.deepEqual(await readFile(await pin(by)), BYTES);
    }
  });

  it('is a film of somebody else, by a hard link of an ordinary user', { skip: NOT_PERMITTED }, async (t) => {
    const { disk, film, pinAsOther } = await diskOf(t, 'ext4');
    await chmod(disk.path, 0o777);
    assert.match(await pinAsOther('hardlink'), /^file: cannot be pinned: only its owner may do that/);
    await chown(film, OTHER_USER.uid, OTHER_USER.gid);
    assert.deepEqual(await readFile(await pinAsOther('hardlink')), BYTES);
  });

  it('is a film on a disk whose top an ordinary user may not write to', async (t) => {
    const { film, pinAsOther } = await diskOf(t, 'xfs');
    await chown(film, OTHER_USER.uid, OTHER_USER.gid);
    for (const kind of ['reflink', 'hardlink'] as const) {
      assert.equal(await pinAsOther(kind), 'file system: cannot be pinned: we may not write to the top of its disk');
    }
  });

  it('is a film whose disk has somebody else’s .autotorrent', async (t) => {
    const { disk, pin } = await diskOf(t, 'ext4');
    const own = join(disk.path, '.autotorrent');
    writeFileSync(own, '');
    assert.equal(
      await pin('hardlink'),
      'file system: cannot be pinned: .autotorrent at the top of its disk is no folder',
    );
    rmSync(own);
    mkdirSync(own);
    await chown(own, OTHER_USER.uid, OTHER_USER.gid);
    assert.equal(
      await pin('hardlink'),
      `file system: cannot be pinned: .autotorrent belongs to user ${OTHER_USER.uid}`,
    );
  });

  it('is a film that somebody has open for writing', async (t) => {
    const { film, pin } = await diskOf(t, 'xfs');
    const file = await open(film, constants.O_RDWR);
    assert.equal(await pin('reflink'), 'changed: is open for writing');
    await file.close();
    assert.deepEqual(await readFile(await pin('reflink')), BYTES);
  });

  it('is a film of mergerfs, by a reflink; a hard link lies beside it on its branch', async (t) => {
    const { disk, pin } = await diskOf(t, 'mergerfs');
    assert.equal(await pin('reflink'), 'file system: cannot be pinned: its file system has no shared extents');
    const made = await pin('hardlink');
    assert.deepEqual(await readFile(made), BYTES);
    const inBranch = disk.branches.flatMap((branch) => {
      try {
        return [statSync(join(branch, 'Film.mkv')).nlink];
      } catch {
        return [];
      }
    });
    assert.deepEqual(inBranch, [2]);
  });
});
