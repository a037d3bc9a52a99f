import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { OUR_TYPE } from '../../src/native/mountinfo.ts';
import { loadStatx } from '../../src/native/statx.ts';
import { loadStrictCalls, type StrictCalls } from '../../src/native/strict-paths.ts';
import type { FileIdentity, Recorded } from '../../src/source/identity.ts';
import { Looks } from '../../src/source/looks.ts';
import {
  lookAtSource,
  openSource,
  openSourceAsIs,
  openSourceSync,
  openUnchangedSync,
  type SourceQuestion,
} from '../../src/source/open-source.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { SourceAccess } from '../../src/source/source-access.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';
import { ownMountOn } from './own-mount.ts';

type Answer = Awaited<ReturnType<typeof openSource>> | ReturnType<typeof lookAtSource>;

type Way = (question: SourceQuestion, access: SourceAccess) => Answer | Promise<Answer>;

const calls = loadStrictCalls(openCLibrary(silentLogger));

const looks = new Looks(loadStatx(openCLibrary(silentLogger)));

/** Opens as the threads do that hash. */
const openUnchangedFirst: Way = ({ path, recorded }, access) => {
  const { dev, ino, size, mtimeNs, ctimeNs } = recorded ?? {};
  const isWhole = dev !== undefined && ino !== undefined && size !== undefined && mtimeNs !== undefined;
  const identity = isWhole ? { dev, ino, size, mtimeNs, ctimeNs } : undefined;
  const again = identity === undefined ? undefined : openUnchangedSync(path, identity, access, looks);
  if (identity === undefined || again === undefined)
    return openSourceSync(recorded ? { path, recorded } : { path }, access);
  return { state: 'as recorded', fd: again.fd, identity, stats: fstatSync(again.fd, { bigint: true }) };
};

/** Each way with openat2, and without it. */
const WAYS: readonly (readonly [string, Way, StrictCalls])[] = [
  ['opened', openSource, calls],
  ['opened synchronously', openSourceSync, calls],
  ['opened as it was', openUnchangedFirst, calls],
  ['opened without openat2', openSource, {}],
  ['opened synchronously without openat2', openSourceSync, {}],
  ['looked at', lookAtSource, calls],
];

describe('a source', () => {
  let folder: string;
  let next = 0;
  before(() => {
    folder = temporaryFolder('source');
  });

  const recorded = (): { readonly path: string; readonly recorded: FileIdentity } => {
    const path = join(folder, `file-${next++}`);
    writeFileSync(path, 'bytes');
    utimesSync(path, 1000, 1000);
    return { path, recorded: identityAt(path) };
  };

  it('is opened as it is, for those who hash it, and nothing else than a regular file', async () => {
    const file = recorded();
    const opened = await openSourceAsIs(Buffer.from(file.path), anywhere());
    assert.ok(opened.state === 'as recorded');
    closeSync(opened.fd);
    assert.deepEqual(opened.identity, file.recorded);
    assert.equal((await openSourceAsIs(Buffer.from(folder), anywhere())).state, 'absent');
    truncateSync(file.path, 3);
    const question = { path: Buffer.from(file.path), recorded: file.recorded };
    const suspect = await openSource(question, anywhere());
    assert.ok(suspect.state === 'suspect');
    assert.deepEqual(suspect.found, identityAt(file.path));
  });

  it('is opened with few calls only if it is the very file, in the very state', () => {
    const again = (path: string, was: FileIdentity): number | undefined => {
      const opened = openUnchangedSync(Buffer.from(path), was, anywhere(), looks);
      if (opened !== undefined) closeSync(opened.fd);
      return opened?.blocks;
    };
    const { path, recorded: was } = recorded();
    assert.equal(again(path, was), statSync(path).blocks);
    assert.notEqual(again(path, { ...was, ctimeNs: undefined }), undefined);
    for (const other of [
      { size: was.size + 1 },
      { ino: was.ino + 1n },
      { dev: was.dev + 1 },
      { mtimeNs: was.mtimeNs + 1n },
      { ctimeNs: (was.ctimeNs ?? 0n) + 1n },
    ]) {
      assert.equal(again(path, { ...was, ...other }), undefined, Object.keys(other).join());
    }
    symlinkSync(path, `${path}-link`);
    assert.equal(again(`${path}-link`, was), undefined);
    assert.equal(again(folder, identityAt(folder)), undefined);
  });

  it('is seen with one call as with lstat', () => {
    const { path, recorded: is } = recorded();
    assert.deepEqual(calls.regularFile?.(Buffer.from(path)), is);
    utimesSync(path, -1.5, -2.25);
    assert.deepEqual(calls.regularFile?.(Buffer.from(path)), identityAt(path));
    symlinkSync(path, `${path}-link`);
    for (const other of [`${path}-link`, `${path}-none`, folder]) {
      assert.equal(calls.regularFile?.(Buffer.from(other)), undefined);
    }
  });

  for (const [name, ask, calls] of WAYS) {
    describe(name, () => {
      const answer = async (
        file: { readonly path: string; readonly recorded?: Recorded },
        more: Partial<SourceQuestion> = {},
        access: SourceAccess = anywhere({ calls }),
      ): Promise<readonly [string, string?, string?]> => {
        const found = await ask({ ...file, path: Buffer.from(file.path), ...more }, access);
        if ('fd' in found) closeSync(found.fd);
        return found.state === 'as recorded' ? [found.state] : [found.state, found.why.code, found.why.says];
      };

      it('is as recorded while nothing of it changed', async () => {
        const file = recorded();
        assert.deepEqual(await answer(file), ['as recorded']);
        assert.deepEqual(await answer({ path: file.path }), ['as recorded']);
      });

      it('is suspect when another size, mtime or ctime is there, or another inode where the ctime is not known', async () => {
        const [cut, touched, replaced, moved] = [recorded(), recorded(), recorded(), recorded()];
        truncateSync(cut.path, 3);
        utimesSync(touched.path, 1000, 1001);
        const other = recorded();
        renameSync(other.path, replaced.path);
        const { ino, size, mtimeNs } = moved.recorded;
        const older = { ino: ino + 1n, size, mtimeNs };
        assert.deepEqual(await answer(cut), ['suspect', 'size', 'has 3 bytes now, not 5']);
        assert.deepEqual(await answer(touched), ['suspect', 'modified', 'was modified']);
        assert.deepEqual((await answer(replaced)).slice(0, 2), ['suspect', 'ctime']);
        const another = ['suspect', 'replaced', 'was replaced by another file'];
        assert.deepEqual(await answer({ ...moved, recorded: older }), another);
      });

      it('is absent when it is gone, or no regular file, and nothing waits for a FIFO', async () => {
        const [gone, fifo, directory] = [recorded(), recorded(), recorded()];
        for (const { path } of [gone, fifo, directory]) rmSync(path);
        execFileSync('mkfifo', [fifo.path]);
        mkdirSync(directory.path);
        assert.deepEqual(await answer(gone), ['absent', 'gone', 'is not there any more']);
        assert.deepEqual((await answer({ path: `${recorded().path}/below` })).slice(0, 2), ['absent', 'gone']);
        assert.deepEqual((await answer(fifo)).slice(0, 2), ['absent', 'not-regular']);
        assert.deepEqual((await answer(directory)).slice(0, 2), ['absent', 'not-regular']);
      });

      it('is absent when a symbolic link has its name, wherever that leads', async () => {
        const [file, loop] = [recorded(), recorded()];
        const link = `${file.path}-link`;
        symlinkSync(file.path, link);
        rmSync(loop.path);
        symlinkSync(loop.path, loop.path);
        for (const path of [link, loop.path]) {
          assert.deepEqual(await answer({ path }), ['absent', 'not-regular', 'is a symbolic link now']);
        }
        assert.deepEqual((await answer({ ...file, path: link })).slice(0, 2), ['absent', 'not-regular']);
      });

      it('is absent below a symbolic link, at any depth', async () => {
        const top = join(folder, `top-${next++}`);
        mkdirSync(join(top, 'a/b'), { recursive: true });
        writeFileSync(join(top, 'a/b/file'), 'bytes');
        symlinkSync('a', join(top, 'link'));
        symlinkSync('/proc/self', join(top, 'magic'));
        assert.deepEqual(await answer({ path: join(top, 'a/b/file') }), ['as recorded']);
        for (const path of [join(top, 'link/b/file'), join(top, 'magic/exe'), join(top, 'link/b/none')]) {
          assert.deepEqual((await answer({ path })).slice(0, 2), ['absent', 'redirected']);
        }
      });

      it('is a file under a folder that is a link itself, whatever name it has', async () => {
        const [real, name] = [join(folder, `real-${next++}`), join(folder, `name-${next++}`)];
        mkdirSync(real);
        writeFileSync(join(real, 'file'), 'bytes');
        symlinkSync(real, name);
        const access = new SourceAccess({ disks: [name] }, { calls });
        assert.deepEqual(await answer({ path: join(name, 'file') }, {}, access), ['as recorded']);
        assert.deepEqual(await answer({ path: join(real, 'file') }, {}, access), ['as recorded']);
        assert.equal((await answer({ path: join(folder, 'file-0') }, {}, access))[1], 'outside');
      });

      it('lies on a disk, in a path without detours', async () => {
        const file = recorded();
        const disk = join(folder, `disk-${next++}`);
        mkdirSync(disk);
        const access = new SourceAccess({ disks: [disk] }, { calls });
        const named = file.path.slice(folder.length + 1);
        for (const path of [
          file.path,
          `${disk}/../${named}`,
          `${disk}/./${named}`,
          `${disk}//${named}`,
          `${disk}x`,
          'relative',
          '',
        ]) {
          assert.deepEqual((await answer({ path }, {}, access)).slice(0, 2), ['absent', 'outside'], path);
        }
        assert.equal((await answer({ path: `${disk}/a\0b` }, {}, access))[1], 'outside');
      });

      it('is absent on a mount of autotorrent, by its path and by its device', async () => {
        const file = recorded();
        const { dev } = statSync(file.path);
        const here = [{ id: 0, path: Buffer.from(folder), type: OUR_TYPE, dev: -1, source: '' }];
        const byPath = new OwnMounts({ read: async () => here, readSync: () => here });
        for (const mounts of [byPath, ownMountOn(dev)]) {
          assert.deepEqual((await answer(file, {}, anywhere({ ownMounts: mounts, calls }))).slice(0, 2), [
            'absent',
            'own-mount',
          ]);
        }
      });
    });
  }

  it('keeps its access time, and is closed in child processes', async () => {
    const { path } = recorded();
    for (const [, ask, calls] of WAYS) {
      const opened = await ask({ path: Buffer.from(path) }, anywhere({ calls }));
      if (ask === lookAtSource) continue;
      assert.ok('fd' in opened);
      readSync(opened.fd, Buffer.alloc(5), 0, 5, 0);
      assert.equal(fstatSync(opened.fd).atimeMs, 1_000_000);
      const flags = Number.parseInt(
        /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${opened.fd}`, 'utf8'))?.[1] ?? '',
        8,
      );
      // O_CLOEXEC and O_NONBLOCK, and neither O_WRONLY nor O_RDWR.
      assert.equal(flags & 0o2000000, 0o2000000);
      assert.equal(flags & 0o4000, 0o4000);
      assert.equal(flags & 3, 0);
      closeSync(opened.fd);
    }
  });
});
