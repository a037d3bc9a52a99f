/** The handlers of fuse-native as libfuse calls them, without a mount. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FuseHandlers, FuseStat } from 'fuse-native';
import { createHandlers } from '../../src/fuse/native/handlers.ts';
import { ThreadTimes } from '../../src/fuse/native/thread-times.ts';
import { silentLogger } from '../../src/logger.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { planOf } from '../harness/plans.ts';
import { BASE, Volume } from '../vfs/volume.ts';

const O_RDWR = 2;
const HIDDEN = '.fuse_hidden0000002a00000001';

describe('the handlers', () => {
  let volume: Volume;
  let handlers: FuseHandlers;
  beforeEach(async () => {
    volume = await Volume.open(temporaryFolder('handlers'));
    handlers = createHandlers(volume.files, silentLogger, new ThreadTimes());
  });
  afterEach(async () => {
    await volume.close();
  });

  /** The result, or the handle, or the bytes: negative for an errno. */
  const call = async (work: (reply: (result: number, value?: unknown) => void) => void): Promise<number> =>
    await new Promise((resolve) => work((result, value) => resolve(typeof value === 'number' ? value : result)));
  const stat = async (path: string): Promise<FuseStat> =>
    await new Promise((resolve, reject) =>
      handlers.getattr(path, (errno, found) =>
        found === undefined ? reject(new Error(`errno ${errno}`)) : resolve(found),
      ),
    );
  const list = async (path: string): Promise<string[]> =>
    await new Promise((resolve) => handlers.readdir(path, (_, names = []) => resolve(names)));
  const open = async (path: string): Promise<number> => await call((reply) => handlers.open(path, O_RDWR, reply));

  describe('of a file that has a name of a client', () => {
    const EBUSY = -constants.errno.EBUSY;
    const RDONLY = 0;
    const opening = async (path: string, flags: number): Promise<number> =>
      await call((reply) => handlers.open(path, flags, reply));
    const close = async (handle: number): Promise<void> => {
      assert.equal(await call((reply) => handlers.release('', handle, reply)), 0);
    };
    const named = async (): Promise<void> => {
      await volume.store.addNames(planOf('E', [], []).infoHash, [['T_', 'whole_']]);
    };

    it('open it under one name at a time where one of both writes', async () => {
      await named();
      for (const [first, second] of [
        ['/E/T/whole', '/E/T_/whole_'],
        ['/E/T_/whole_', '/E/T/whole'],
      ] as const) {
        const writer = await opening(first, O_RDWR);
        assert.ok(writer > 0);
        assert.equal(await opening(second, RDONLY), EBUSY);
        assert.equal(await opening(second, O_RDWR), EBUSY);
        const again = await opening(first, RDONLY);
        assert.ok(again > 0, 'the same name may be open several times');
        await close(writer);
        const reader = await opening(second, RDONLY);
        assert.ok(reader > 0, 'two readers may have two names');
        assert.equal(await opening(second, O_RDWR), EBUSY);
        await close(again);
        await close(await opening(second, O_RDWR));
        await close(reader);
      }
    });

    it('know it after a restart, and under the name that it was given while it was open', async () => {
      await named();
      await volume.restart();
      await volume.store.recovered;
      handlers = createHandlers(volume.files, silentLogger, new ThreadTimes());
      const writer = await opening('/E/T_/whole_', O_RDWR);
      assert.equal(await call((reply) => handlers.rename('/E/T_/whole_', '/E/T_/whole', reply)), 0);
      const same = await opening('/E/T_/whole', O_RDWR);
      assert.ok(same > 0);
      assert.equal(await opening('/E/T/whole', RDONLY), EBUSY);
      await close(writer);
      await close(same);
      await close(await opening('/E/T/whole', O_RDWR));
    });

    it('leave files alone that have but one name, and those of other entries', async () => {
      await named();
      const handles = [await opening('/E/T/gap', O_RDWR), await opening('/E/T/gap', O_RDWR)];
      assert.ok(handles.every((handle) => handle > 0));
      for (const handle of handles) await close(handle);
    });
  });

  it('take a rename of an open file to a hidden name as its deletion, and go on with it under that name', async () => {
    const handle = await open('/E/T/whole');
    assert.ok(handle > 0);
    const { ino } = await stat('/E/T/whole');
    assert.equal(await call((reply) => handlers.rename('/E/T/whole', `/E/T/${HIDDEN}`, reply)), 0);
    assert.deepEqual(
      (await list('/E/T')).filter((name) => name.startsWith('.fuse') || name === 'whole'),
      [],
    );
    assert.deepEqual([(await stat(`/E/T/${HIDDEN}`)).ino, (await stat(`/E/T/${HIDDEN}`)).nlink], [ino, 0]);
    // Its folder moves, and so does the name that libfuse has for it.
    assert.equal(await call((reply) => handlers.rename('/E/T', '/E/U', reply)), 0);
    const now = `/E/U/${HIDDEN}`;
    assert.equal((await stat(now)).size, 40_000);
    assert.equal(await call((reply) => handlers.write(now, handle, Buffer.from('still'), 5, 10, reply)), 5);
    assert.equal(await call((reply) => handlers.ftruncate(now, handle, 12, reply)), 0);
    assert.equal(await call((reply) => handlers.truncate(now, 20, reply)), 0);
    assert.equal(await call((reply) => handlers.chmod(now, 0o600, reply)), 0);
    assert.equal(await call((reply) => handlers.utimens(now, 1e12, 1e12, reply)), 0);
    const { size, mode, mtime } = await stat(now);
    assert.deepEqual([size, mode & 0o777, mtime], [20, 0o600, 1e12]);
    const bytes = Buffer.alloc(40);
    assert.equal(await call((reply) => handlers.read(now, handle, bytes, 40, 0, reply)), 20);
    assert.ok(bytes.subarray(0, 10).equals(BASE['T/whole']!.subarray(0, 10)));
    assert.equal(bytes.toString('latin1', 10, 13), 'st\0');
    assert.equal(await call((reply) => handlers.release(now, handle, reply)), 0);
    assert.equal(await call((reply) => handlers.unlink(now, reply)), 0);
    assert.equal(await call((reply) => handlers.getattr(now, reply)), -constants.errno.ENOENT);
    await volume.store.overlayFilesGone();
    assert.equal(volume.overlay(ino), undefined);
  });

  it('take one of a file that nobody has open for what it is', async () => {
    assert.equal(await call((reply) => handlers.rename('/E/T/whole', `/E/T/${HIDDEN}`, reply)), 0);
    assert.ok((await list('/E/T')).includes(HIDDEN));
    assert.ok((await volume.read(`T/${HIDDEN}`)).equals(BASE['T/whole']!));
    assert.equal(await call((reply) => handlers.rename(`/E/T/${HIDDEN}`, '/E/T/back', reply)), 0);
    assert.equal(await call((reply) => handlers.rename('/E/T/back', `/E/T/${HIDDEN}`, reply)), 0);
    assert.equal(await call((reply) => handlers.unlink(`/E/T/${HIDDEN}`, reply)), 0);
    assert.equal(await call((reply) => handlers.getattr(`/E/T/${HIDDEN}`, reply)), -constants.errno.ENOENT);
  });

  it('refuse names that cannot be told apart, only where one is to be made', async () => {
    const bad = '/E/T/\ufffd';
    assert.equal(await call((reply) => handlers.create(bad, 0o644, reply)), -constants.errno.EILSEQ);
    assert.equal(await call((reply) => handlers.mkdir(bad, 0o755, reply)), -constants.errno.EILSEQ);
    assert.equal(await call((reply) => handlers.symlink('x', bad, reply)), -constants.errno.EILSEQ);
    assert.equal(await call((reply) => handlers.rename('/E/T/last', bad, reply)), -constants.errno.EILSEQ);
    assert.equal(await call((reply) => handlers.link('/E/T/last', bad, reply)), -constants.errno.EILSEQ);
    assert.equal(await call((reply) => handlers.getattr(bad, reply)), -constants.errno.ENOENT);
    assert.equal(await call((reply) => handlers.unlink(bad, reply)), -constants.errno.ENOENT);
  });

  it('leave the ids that chown does not name', async () => {
    const none = 0xffff_ffff;
    assert.equal(await call((reply) => handlers.chown('/E/T/last', 11, none, reply)), 0);
    assert.equal(await call((reply) => handlers.chown('/E/T/last', none, 22, reply)), 0);
    const { uid, gid } = await stat('/E/T/last');
    assert.deepEqual([uid, gid], [11, 22]);
  });
});
