/** Identity on real file systems: what they show of a file that changed, that moved, and after they were mounted again. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadStatx } from '../../src/native/statx.ts';
import { openFileSystems } from '../../src/source/file-system.ts';
import { Looks } from '../../src/source/looks.ts';
import { lookAtSource, openSource } from '../../src/source/open-source.ts';
import { Placing } from '../../src/source/placing.ts';
import { anywhere } from '../harness/anywhere.ts';
import { FILE_SYSTEM_KINDS, makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { guardMount } from '../harness/mount-guard.ts';
import { AS_OTHER_USER, NEEDS_ROOT } from '../harness/other-user.ts';
import { identityAt } from '../harness/plans.ts';

const library = openCLibrary(silentLogger);
const UUID = /^uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The kernel believes for a second what a FUSE file system has told it. */
async function within(ms: number, holds: () => boolean): Promise<void> {
  const began = performance.now();
  while (!holds()) {
    assert.ok(performance.now() - began < ms, 'it does not come');
    await sleep(20);
  }
}

const placing = (): Placing => new Placing(openFileSystems(library), library);

for (const kind of FILE_SYSTEM_KINDS) {
  describe(`a source on ${kind}`, { skip: NEEDS_ROOT }, () => {
    const hasHandles = kind !== 'mergerfs' && kind !== 'fuse';
    let system: TestFileSystem;
    let path: string;
    before(async () => {
      system = await makeFileSystem(kind, temporaryFolder(`identity-${kind}`));
      mkdirSync(join(system.path, 'a', 'b'), { recursive: true });
      path = join(system.path, 'a', 'b', 'film');
    });
    after(async () => await system.close());

    const made = (): string => {
      for (const name of ['film', 'film2', 'other']) rmSync(join(system.path, 'a', 'b', name), { force: true });
      writeFileSync(path, 'x'.repeat(5000));
      utimesSync(path, 1000, 1000);
      return path;
    };

    it('is on a disk that has one name, wherever it is mounted', async () => {
      made();
      const first = placing();
      const { dev } = statSync(path);
      const disk = await first.fileSystems.diskOf(Buffer.from(path));
      assert.match(disk ?? '', hasHandles ? UUID : /^mount:fuse/);
      assert.equal(first.fileSystems.diskOfSync(Buffer.from(path)), disk);
      assert.equal(await first.fileSystems.diskOf(Buffer.from(`${path}/not/there`)), disk);
      const kindOf = await first.fileSystems.kindOf(Buffer.from(path), dev);
      assert.deepEqual(kindOf, {
        local: hasHandles,
        trueCtime: kind !== 'fuse',
        handles: hasHandles,
        leases: hasHandles,
        union: kind === 'mergerfs',
        ...(kind === 'xfs' || kind === 'btrfs' ? { shares: true } : {}),
      });
      const mounted = async (): Promise<string[] | undefined> =>
        (await placing().fileSystems.disksMounted()).get(disk ?? '')?.map(String);
      assert.deepEqual(await mounted(), [system.path]);
      const elsewhere = `${system.path}-elsewhere`;
      await system.umount();
      assert.equal(await mounted(), undefined);
      await system.mount(elsewhere);
      assert.deepEqual(await mounted(), [elsewhere]);
      await system.umount();
      await system.mount();
    });

    it('is as recorded after a remount, whatever its inode number', async () => {
      made();
      for (const name of ['x1', 'x2', 'x3']) writeFileSync(join(system.path, 'a', 'b', name), '');
      const recorded = identityAt(path);
      await system.remount();
      const now = identityAt(path);
      const question = { path: Buffer.from(path), recorded: { ...recorded, dev: -1 } };
      const opened = await openSource(question, anywhere());
      if ('fd' in opened) closeSync(opened.fd);
      const looked = lookAtSource(question, anywhere());
      assert.equal(looked.state, opened.state);
      if (kind === 'fuse') {
        assert.notEqual(now.ino, recorded.ino);
        assert.ok(opened.state === 'suspect' && opened.why.code === 'replaced');
      } else {
        if (kind === 'mergerfs') assert.notEqual(now.ino, recorded.ino);
        assert.equal(opened.state, 'as recorded');
      }
    });

    it('is noticed when it was written to and its mtime was set back', async () => {
      made();
      const recorded = identityAt(path);
      const looks = new Looks(loadStatx(library));
      const fd = openSync(path, 'r+');
      try {
        assert.ok(looks.sameAs(fd, recorded));
        // More than a tick of the kernel's clock.
        await sleep(20);
        writeSync(fd, 'y', 0);
        utimesSync(path, 1000, 1000);
        assert.deepEqual(identityAt(path).mtimeNs, recorded.mtimeNs);
        await within(3000, () => !looks.sameAs(fd, recorded));
        assert.ok(looks.sameAs(fd, { ...recorded, ctimeNs: undefined }), 'an unknown ctime may be any');
      } finally {
        closeSync(fd);
      }
      const answer = await openSource({ path: Buffer.from(path), recorded }, anywhere());
      assert.ok(answer.state === 'suspect' && answer.why.code === 'ctime');
      assert.deepEqual(answer.found, identityAt(path));
    });

    it('has a handle that leads to its new path, also after a remount', { skip: !hasHandles }, async () => {
      made();
      const disk = Buffer.from(system.path);
      const { dev } = statSync(path);
      const { handle } = placing().placeOf(Buffer.from(path), dev);
      assert.ok(handle !== undefined);
      const fd = openSync(path, 'r');
      assert.deepEqual(placing().handleOf(fd), handle);
      assert.deepEqual((await placing().placeAt(Buffer.from(path), dev)).handle, handle);
      closeSync(fd);
      const found = async (): Promise<string | undefined> => (await placing().pathOfHandle(handle, disk))?.toString();
      assert.equal(await found(), path);
      const moved = join(system.path, 'film moved');
      renameSync(path, moved);
      assert.equal(await found(), moved);
      renameSync(moved, path);
      // The kernel then knows no name of the file, and finds its folder.
      renameSync(join(system.path, 'a'), join(system.path, 'a2'));
      renameSync(join(system.path, 'a2', 'b', 'film'), join(system.path, 'a2', 'b', 'film2'));
      await system.remount();
      assert.equal(await found(), join(system.path, 'a2', 'b', 'film2'));
      renameSync(join(system.path, 'a2'), join(system.path, 'a'));
      rmSync(join(system.path, 'a', 'b', 'film2'));
      assert.equal(await found(), undefined);
    });

    it('has no handle', { skip: hasHandles }, () => {
      made();
      const place = placing().placeOf(Buffer.from(path), statSync(path).dev);
      assert.equal(place.handle, undefined);
      assert.match(place.disk ?? '', /^mount:fuse/);
    });

    it('has another ctime after a link, and the same mtime', async () => {
      made();
      const recorded = identityAt(path);
      await sleep(20);
      linkSync(path, join(system.path, 'a', 'b', 'other'));
      await within(3000, () => (identityAt(path).ctimeNs ?? 0n) > (recorded.ctimeNs ?? 0n));
      assert.equal(identityAt(path).mtimeNs, recorded.mtimeNs);
    });
  });
}

describe('a file system', { skip: NEEDS_ROOT }, () => {
  it('of mergerfs with use_ino has inode numbers of 64 bits, which are not rounded', async (t) => {
    const base = temporaryFolder('use-ino');
    const [branch, pool] = [join(base, 'branch'), join(base, 'pool')];
    mkdirSync(branch);
    mkdirSync(pool);
    guardMount(pool);
    execFileSync('mergerfs', ['-o', 'use_ino', branch, pool]);
    t.after(() => execFileSync('umount', [pool]));
    const numbers = Array.from({ length: 8 }, (_, i) => {
      const path = join(pool, `${i}`);
      writeFileSync(path, '');
      const opened = lookAtSource({ path: Buffer.from(path) }, anywhere());
      assert.ok(opened.state === 'as recorded');
      assert.equal(opened.identity.ino, statSync(path, { bigint: true }).ino);
      return opened.identity.ino;
    });
    assert.ok(numbers.some((ino) => BigInt(Number(ino)) !== ino));
  });

  it('of memory is local, and has a ctime', async (t) => {
    const folder = temporaryFolder('tmpfs');
    guardMount(folder);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
    t.after(() => execFileSync('umount', [folder]));
    const { dev } = statSync(folder);
    const kind = await placing().fileSystems.kindOf(Buffer.from(folder), dev);
    assert.deepEqual(kind, { local: true, trueCtime: true, handles: false, leases: false, union: false });
  });

  it('of btrfs is known in its subvolumes, whose device numbers the mount table does not have', async (t) => {
    const system = await makeFileSystem('btrfs', temporaryFolder('subvolume'));
    t.after(async () => await system.close());
    const path = join(system.path, 'sub');
    execFileSync('btrfs', ['subvolume', 'create', path]);
    const { dev } = statSync(path);
    assert.notEqual(dev, statSync(system.path).dev);
    const { fileSystems } = placing();
    assert.deepEqual(await fileSystems.kindOf(Buffer.from(path), dev), {
      local: true,
      trueCtime: true,
      handles: true,
      leases: true,
      union: false,
      shares: true,
    });
    assert.equal(await fileSystems.diskOf(Buffer.from(path)), await fileSystems.diskOf(Buffer.from(system.path)));
  });

  it('tells its name to an ordinary user, and opens nothing by a handle for him', async (t) => {
    const base = temporaryFolder('ordinary');
    chmodSync(base, 0o755);
    const system = await makeFileSystem('ext4', base);
    t.after(async () => await system.close());
    const path = join(system.path, 'film');
    writeFileSync(path, 'x');
    const program = `
      const [library, fileSystem, placing, logger, path, folder] = process.argv.slice(1);
      const lib = (await import(library)).openCLibrary((await import(logger)).silentLogger);
      const { Placing } = await import(placing);
      const found = new Placing((await import(fileSystem)).openFileSystems(lib), lib);
      const place = found.placeOf(Buffer.from(path), (await import('node:fs')).statSync(path).dev);
      const at = await found.pathOfHandle(place.handle, Buffer.from(folder));
      console.log(JSON.stringify([place.disk, place.handle?.type, at === undefined]));
    `;
    const modules = ['native/c-library', 'source/file-system', 'source/placing', 'logger'].map(
      (name) => new URL(`../../src/${name}.js`, import.meta.url).href,
    );
    const [setpriv, ...become] = AS_OTHER_USER;
    const args = [...become, process.execPath, '--input-type=module', '-e', program, ...modules, path, system.path];
    const [disk, type, refused] = JSON.parse(execFileSync(setpriv, args, { encoding: 'utf8', cwd: '/' })) as unknown[];
    assert.match(String(disk), UUID);
    assert.equal(disk, await placing().fileSystems.diskOf(Buffer.from(path)));
    assert.deepEqual([type, refused], [1, true]);
  });
});
