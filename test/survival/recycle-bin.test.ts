/**
 * Films that are moved to a recycle bin in no disk of the configuration: nothing is served from there, and what would be lost is kept
 * within the limits of rescue.
 */
import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { makeFilm, PIECES } from './films.ts';
import { moveAcross, moveTo } from './happenings.ts';
import { isKept } from './kept-on-disk.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

const SETTLED = { limitMs: 120_000 };

describe('a film in a recycle bin outside of the disks', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  for (const kind of WHOLE ? (['ext4', 'xfs', 'btrfs'] as const) : (['ext4'] as const)) {
    it(`on ${kind}: is kept at the end of the server, before it is known where it went`, async () => {
      const scene = await Scene.make({ kind, person: 'root', general: ['on_loss = tell'], libraryAlone: true });
      try {
        const film = makeFilm('film.mkv', 0);
        const path = join(scene.library, film.name);
        scene.write(path, film.bytes);
        await scene.run('rebuild');
        await scene.mount();
        await scene.add([film]);
        assert.equal((await scene.read(film)).good, PIECES);
        moveTo(path, join(scene.fileSystem.path, '#recycle', film.name));
        // It is noticed by the watch or by a reader.
        await waitUntil('its case', async () => (await scene.health(film)) !== 'ok');
        await scene.unmount();
        await scene.mount();
        await waitUntil('what was kept', async () => (await scene.read(film)).good === PIECES);
        assert.ok((await scene.sourcesOf(film)).every((source) => !source.includes('#recycle')));
      } finally {
        await scene.end();
      }
    });

    it(`on ${kind}: is kept while clients have it open, wherever the bin is, and served from what was kept`, {
      skip: WHOLE ? false : 'only in npm run test:survival',
    }, async () => {
      const scene = await Scene.make({
        kind,
        person: 'root',
        general: ['on_loss = tell', 'scrub = off'],
        libraryAlone: true,
      });
      try {
        const bins = [join(scene.fileSystem.path, '#recycle'), join(scene.outside, 'bin')] as const;
        const films = bins.map((bin, i) => ({ film: makeFilm(`film ${i}.mkv`, i), bin }));
        // So that not all of the disk is gone.
        const others = Array.from({ length: 10 }, (_, i) => makeFilm(`other ${i}.mkv`, 10 + i));
        const all = [...films.map(({ film }) => film), ...others];
        for (const { name, bytes } of all) scene.write(join(scene.library, name), bytes);
        await scene.run('rebuild');
        await scene.mount();
        await scene.add(all);
        const fds: number[] = [];
        for (const { film } of films) {
          fds.push(await scene.reader.open(scene.pathOf(film)));
          assert.equal((await scene.read(film)).good, PIECES);
        }
        for (const { film, bin } of films) {
          const move = bin.startsWith(scene.fileSystem.path) ? moveTo : moveAcross;
          move(join(scene.library, film.name), join(bin, film.name));
        }
        const goOn = async (): Promise<boolean> => {
          for (const [i, { film }] of films.entries()) {
            assert.equal((await scene.reader.pieces([fds[i]!], film)).good, PIECES, film.name);
          }
          const sources = await Promise.all(films.map(async ({ film }) => await scene.sourcesOf(film)));
          return sources.every(([source = '', ...more]) => more.length === 0 && isKept(source));
        };
        await waitUntil('what was kept', goOn, SETTLED).catch((cause: unknown) => {
          throw new Error(scene.output(), { cause });
        });
        for (const fd of fds) await scene.reader.close(fd);
        for (const { film, bin } of films) {
          assert.ok(existsSync(join(bin, film.name)));
          rmSync(join(bin, film.name));
        }
        await scene.unmount('SIGKILL');
        await scene.mount();
        for (const { film } of films) {
          const { good, wrong } = await scene.read(film);
          assert.deepEqual([good, wrong], [PIECES, []], film.name);
        }
      } finally {
        await scene.end();
      }
    });
  }
});
