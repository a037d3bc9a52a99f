/** Pins that are made anew, or later: what stood in the way is gone. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, makeFilm } from './films.ts';
import { isWhole, pinned, pinsOn } from './pinned-films.ts';
import { Scene } from './scene.ts';

describe('a pin', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  it('is made anew when somebody has deleted it: as its film is read, by protect, and at the start', async () => {
    await pinned('btrfs', 'reflink', 2, async ({ scene, films, pathOf }) => {
      const [film] = films as [Film];
      const own = join(scene.fileSystem.path, '.autotorrent');
      const isMade = async (): Promise<void> => await waitUntil('new pins', async () => pinsOn(scene).length === 2);
      rmSync(pinsOn(scene).find((path) => path.endsWith(film.name)) ?? '');
      await isWhole(scene, film);
      await isMade();
      rmSync(own, { recursive: true });
      assert.match((await scene.run('protect', film.name)).stdout, /1 source\(s\) pinned, .*, 1 of them now/);
      assert.equal(pinsOn(scene).length, 1);
      await scene.run('protect');
      assert.equal(pinsOn(scene).length, 2);
      const { pins } = (await scene.autotorrent.json('status')) as { pins: { files: number }[] };
      assert.deepEqual(
        pins.map(({ files }) => files),
        [2],
      );
      await scene.unmount();
      rmSync(own, { recursive: true });
      await scene.mount();
      await isMade();
      rmSync(pathOf(film));
      await isWhole(scene, film);
      // A read that the pin serves notices as well that the film is gone.
      const isInPlace = async (): Promise<boolean> => (await scene.sourcesOf(film))[0]?.includes('/pins-') === true;
      await waitUntil('the pin in its place', isInPlace);
    });
  });

  it('comes when nobody has its film open for writing any more, and when that is trusted again', async () => {
    const scene = await Scene.make({ kind: 'xfs', person: 'root', general: ['protect = reflink'] });
    try {
      const [film, touched] = [makeFilm('Film.mkv', 0), makeFilm('Touched.mkv', 1)];
      for (const one of [film, touched]) scene.write(join(scene.library, one.name), one.bytes);
      const file = await open(join(scene.library, film.name), 'r+');
      const other = await open(join(scene.library, touched.name), 'r+');
      await scene.run('rebuild');
      await scene.mount();
      await scene.add([film, touched]);
      await sleep(2500);
      assert.deepEqual(pinsOn(scene), []);
      await file.close();
      await other.utimes(1e9, 1e9);
      await other.close();
      await waitUntil('the pin', async () => pinsOn(scene).length === 1);
      await waitUntil('the doubt', async () => (await scene.health(touched)) === 'checking');
      await isWhole(scene, touched);
      await waitUntil('the second pin', async () => pinsOn(scene).length === 2);
    } finally {
      await scene.end();
    }
  });
});
