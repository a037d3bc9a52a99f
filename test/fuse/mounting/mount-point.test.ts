import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { prepareMountPoint, realMountPoint } from '../../../src/fuse/mounting/mount-point.ts';
import { unmount } from '../../../src/fuse/mounting/unmount.ts';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { loadMountCalls } from '../../../src/native/mounting.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const never = async (): Promise<void> => await Promise.reject(new Error('nothing is to be detached'));

const FUSE_NATIVES = { detach: never, onFileSystems: false, logger: silentLogger };

describe('the mount point', () => {
  let folder: string;
  before(async () => {
    folder = temporaryFolder('mount-point');
  });

  it('is made where it is missing, with the folders above it', async () => {
    const path = join(folder, 'a', 'b');
    await (await prepareMountPoint(await realMountPoint(path), FUSE_NATIVES)).close();
    assert.deepEqual(await fs.readdir(path), []);
  });

  it('is found behind symlinks, which may not lead in a circle', async () => {
    const real = join(await fs.realpath(folder), 'real');
    await fs.mkdir(real);
    await fs.symlink('real', join(folder, 'link'));
    await fs.symlink('link', join(folder, 'link2'));
    assert.equal(await realMountPoint(join(folder, 'link2')), real);
    assert.equal(await realMountPoint(join(folder, 'link2', 'below')), join(real, 'below'));
    await fs.symlink('circle', join(folder, 'circle'));
    await assert.rejects(realMountPoint(join(folder, 'circle')), { code: 'MOUNT', message: /circle/ });
  });

  it('is refused where it holds something or is no folder', async () => {
    await fs.mkdir(join(folder, 'full'));
    await fs.writeFile(join(folder, 'full', 'x'), '');
    const refused = async (name: string, message: RegExp): Promise<void> =>
      await assert.rejects(prepareMountPoint(join(folder, name), FUSE_NATIVES), { code: 'MOUNT', message });
    await refused('full', /not empty/);
    await refused(join('full', 'x'), /not a directory/);
    await assert.rejects(realMountPoint(join(folder, 'full', 'x', 'y')), {
      code: 'MOUNT',
      message: /cannot be made/,
    });
  });

  it('is left alone where another file system begins', async () => {
    await assert.rejects(prepareMountPoint('/proc', FUSE_NATIVES), {
      code: 'MOUNT',
      message: /something else \(proc\)/,
    });
  });

  it('may be unmounted where nothing is mounted', async () => {
    await unmount(join(folder, 'full'), loadMountCalls(openCLibrary(silentLogger)));
    assert.deepEqual(await fs.readdir(join(folder, 'full')), ['x']);
  });
});
