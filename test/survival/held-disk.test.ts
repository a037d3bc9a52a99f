/** A disk of which sources are held: when it can be unmounted. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { PIECES } from './films.ts';
import { descriptors, servedFilms } from './held-films.ts';

const SOON = { limitMs: 30_000 };

describe('a disk with sources that are held', { skip: NEEDS_ROOT, timeout: 120_000, concurrency: 2 }, () => {
  it('is busy until it is released, and is not kept busy when it is unmounted lazily', async () => {
    const [scene, [film]] = await servedFilms({ kind: 'ext4', person: 'root' }, 'Film');
    try {
      await assert.rejects(scene.fileSystem.umount(), /busy/);
      await scene.run('release', scene.fileSystem.path);
      assert.equal((await descriptors(scene)).held, 0);
      await scene.fileSystem.remount();
      await waitUntil('it is read', async () => (await scene.read(film!)).good === PIECES, SOON);
      assert.equal((await descriptors(scene)).held, 1);
      execFileSync('umount', ['-l', scene.fileSystem.path]);
      await waitUntil('none is held', async () => (await descriptors(scene)).sources === 0, SOON);
      await scene.fileSystem.mount();
    } finally {
      await scene.end();
    }
  });

  it('is not busy where none is held', async () => {
    const [scene] = await servedFilms({ kind: 'xfs', person: 'root', general: ['hold_sources = 0'] }, 'Film', 'Other');
    try {
      await waitUntil('none is held', async () => (await descriptors(scene)).sources === 0, SOON);
      await scene.fileSystem.remount();
    } finally {
      await scene.end();
    }
  });
});
