/** A disk that is nearly full gets back the room of pins whose films are gone, and no more than it takes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import type { Film } from './films.ts';
import { isWhole, pinned, pinsOn } from './pinned-films.ts';
import { WHOLE } from './setting.ts';

const LACKING = 300_000;

describe('a disk that is nearly full', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  it('loses the pin of the film that is gone the longest, and its room is free', { skip: !WHOLE }, async () => {
    await pinned('xfs', 'reflink', 3, async ({ scene, films, pathOf }) => {
      const [first, second, there] = films as [Film, Film, Film];
      const disk = scene.fileSystem.path;
      const isInPlace = async (film: Film): Promise<boolean> =>
        (await scene.sourcesOf(film))[0]?.includes('/pins-') === true;
      for (const film of [first, second]) {
        rmSync(pathOf(film));
        // Nothing is watched before the first read, which the pin serves.
        await isWhole(scene, film);
        await waitUntil('its pin in its place', async () => await isInPlace(film));
        // The record of the film goes some seconds later; then a server notes since when it is gone.
        await scene.unmount();
        await scene.mount();
      }
      await scene.unmount();
      const free = (): number => statfsSync(disk).bavail * statfsSync(disk).bsize;
      const wanted = statfsSync(disk).blocks * statfsSync(disk).bsize * 0.05;
      execFileSync('fallocate', ['-l', `${Math.floor(free() - wanted + LACKING)}`, join(disk, 'filler')]);
      execFileSync('sync', ['-f', disk]);
      const before = free();
      assert.ok(before < wanted);
      await scene.mount();
      await waitUntil('the loss', async () => (await scene.health(first)) === 'lost');
      assert.match(scene.output(), /is let go: its original is gone, and its disk is nearly full/);
      await waitUntil('the room', async () => free() > before + LACKING);
      await isWhole(scene, second);
      await isWhole(scene, there);
      assert.equal(pinsOn(scene).length, 2);
    });
  });
});
