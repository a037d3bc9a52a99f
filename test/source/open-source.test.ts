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
import { OUR_TYPE } from '../../src/native/mountinfo.ts';
import { identityOf, type Recorded } from '../../src/source/identity.ts';
import { lookAtSource, openSource, openSourceSync, type SourceQuestion } from '../../src/source/open-source.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { ownMountOn } from './own-mount.ts';

type Answer = Awaited<ReturnType<typeof openSource>> | ReturnType<typeof lookAtSource>;

const WAYS: readonly (readonly [string, (q: SourceQuestion, mounts: OwnMounts) => Answer | Promise<Answer>])[] = [
  ['opened', openSource],
  ['opened synchronously', openSourceSync],
  ['looked at', lookAtSource],
];

describe('a source', () => {
  let folder: string;
  let next = 0;
  before(() => {
    folder = temporaryFolder('source');
  });

  const recorded = (): { readonly path: string; readonly recorded: Recorded } => {
    const path = join(folder, `file-${next++}`);
    writeFileSync(path, 'bytes');
    utimesSync(path, 1000, 1000);
    return { path, recorded: identityOf(statSync(path)) };
  };

  for (const [name, ask] of WAYS) {
    describe(name, () => {
      const answer = async (
        file: { readonly path: string; readonly recorded?: Recorded },
        more: Partial<SourceQuestion> = {},
        mounts = new OwnMounts(),
      ): Promise<readonly [string, string?, string?]> => {
        const found = await ask({ ...file, path: Buffer.from(file.path), ...more }, mounts);
        if ('fd' in found) closeSync(found.fd);
        return found.state === 'as recorded' ? [found.state] : [found.state, found.why.code, found.why.says];
      };

      it('is as recorded while nothing of it changed', async () => {
        const file = recorded();
        assert.deepEqual(await answer(file), ['as recorded']);
        assert.deepEqual(await answer({ path: file.path }), ['as recorded']);
      });

      it('is suspect when another size, mtime, inode or device is there', async () => {
        const [cut, touched, replaced, moved] = [recorded(), recorded(), recorded(), recorded()];
        truncateSync(cut.path, 3);
        utimesSync(touched.path, 1000, 1001);
        const other = recorded();
        renameSync(other.path, replaced.path);
        const device = { ...moved.recorded, dev: -1 };
        assert.deepEqual(await answer(cut), ['suspect', 'size', 'has 3 bytes now, not 5']);
        assert.deepEqual(await answer(touched), ['suspect', 'modified', 'was modified']);
        assert.deepEqual(await answer(replaced), ['suspect', 'replaced', 'was replaced by another file']);
        assert.deepEqual((await answer({ ...moved, recorded: device })).slice(0, 2), ['suspect', 'replaced']);
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

      it('is absent when it cannot be reached', async () => {
        const { path } = recorded();
        rmSync(path);
        symlinkSync(path, path);
        assert.deepEqual((await answer({ path })).slice(0, 2), ['absent', 'unreadable']);
      });

      it('is found through a symlink, unless links are refused', async () => {
        const file = recorded();
        const link = `${file.path}-link`;
        symlinkSync(file.path, link);
        assert.deepEqual(await answer({ ...file, path: link }), ['as recorded']);
        assert.equal((await answer({ ...file, path: link }, { noFollow: true }))[0], 'absent');
      });

      it('is absent on a mount of autotorrent, by its path and by its device', async () => {
        const file = recorded();
        const { dev } = statSync(file.path);
        const here = [{ path: Buffer.from(folder), type: OUR_TYPE, dev: -1, source: '' }];
        const byPath = new OwnMounts({ read: async () => here, readSync: () => here });
        for (const mounts of [byPath, ownMountOn(dev)]) {
          assert.deepEqual((await answer(file, {}, mounts)).slice(0, 2), ['absent', 'own-mount']);
        }
      });
    });
  }

  it('keeps its access time, and is closed in child processes', async () => {
    const { path } = recorded();
    for (const ask of [openSource, openSourceSync]) {
      const opened = await ask({ path: Buffer.from(path) }, new OwnMounts());
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
