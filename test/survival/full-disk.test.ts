/** The disk is full when something of it is to be kept: who writes goes on, nothing is left behind, and what is served is right. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { StatusJson } from '../../src/cli/json.ts';
import { errnoOf } from '../../src/errors.ts';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { Writer } from '../harness/writer.ts';
import { type Film, makeFilm, PIECES } from './films.ts';
import { keptIn, keptSaid } from './kept-on-disk.ts';
import { Scene } from './scene.ts';

const MIB = 1024 * 1024;
const ROOM = { bytes: 64 * MIB, files: 1000 };
/** Less than a film, and more than our folders. */
const HALF = 512 * 1024;
const SAYS = 'does not fit on the disk';

describe('a disk that is full', { skip: NEEDS_ROOT, timeout: 300_000, concurrency: 2 }, () => {
  for (const [left, what] of [
    [0, 'nothing'],
    [HALF, 'half of a film'],
  ] as const) {
    it(`keeps nothing where there is room for ${what}, which is said once, and keeps again when there is room`, async () => {
      const scene = await Scene.make({
        kind: 'ext4',
        person: 'root',
        general: ['on_loss = tell', 'scrub = off'],
        room: ROOM,
      });
      const writers: Writer[] = [];
      const write = async (film: Film): Promise<void> => {
        const writer = await Writer.start(join(scene.library, film.name));
        writers.push(writer);
        assert.ok('seconds' in (await writer.opened()), film.name);
        await writer.close();
      };
      const isAlmostWhole = async (film: Film): Promise<void> => {
        assert.ok((await good(scene, film)) >= PIECES - 1, film.name);
      };
      try {
        const films = Array.from({ length: 4 }, (_, i) => makeFilm(`film ${i}.mkv`, i));
        const [one, other, deleted, last] = films as [Film, Film, Film, Film];
        for (const film of films) scene.write(join(scene.library, film.name), film.bytes);
        await scene.run('rebuild');
        await scene.mount();
        await scene.add(films);
        for (const film of films) assert.equal(await good(scene, film), PIECES);
        const held = async (): Promise<number> => ((await scene.autotorrent.json('status')) as StatusJson).leases.held;
        await waitUntil('the leases', async () => (await held()) === films.length);
        const filler = fill(scene, left);
        const before = statfsSync(scene.fileSystem.path).bfree;

        for (const film of [one, other]) await write(film);
        await Promise.all([one, other].map(isAlmostWhole));
        assert.deepEqual([keptIn(scene), await keptSaid(scene)], [[], { files: 0, bytes: 0 }]);
        // What is copied is copied to the disk of the source, or not at all.
        assert.equal(existsSync(`${scene.autotorrent.statePath}/../index.pool/.autotorrent`), false);
        // Our own folders may have taken some blocks.
        assert.ok(before - statfsSync(scene.fileSystem.path).bfree <= 4);
        assert.equal(scene.output().split(SAYS).length - 1, 1, scene.output());
        // Its room is not free before its descriptor is closed.
        rmSync(join(scene.library, deleted.name));
        assert.equal(await good(scene, deleted), PIECES);

        rmSync(filler);
        await write(last);
        assert.equal(keptIn(scene).length, 1);
        assert.equal(await good(scene, last), PIECES);
        await scene.unmount('SIGKILL');
        await scene.mount();
        await waitUntil('what was kept', async () => (await good(scene, last)) === PIECES);
        await Promise.all([one, other].map(isAlmostWhole));
      } finally {
        for (const writer of writers) await writer.close();
        await scene.end();
      }
    });
  }
});

/** Fills the disk, and leaves so many bytes. Returns the path of the file that takes the room. */
function fill({ fileSystem }: Scene, left: number): string {
  const path = join(fileSystem.path, 'filler');
  const fd = openSync(path, 'w');
  let size = 0;
  for (let length = MIB; length >= 4096; ) {
    try {
      size += writeSync(fd, Buffer.alloc(length, 'x'));
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error;
      length /= 2;
    }
  }
  ftruncateSync(fd, size - left);
  closeSync(fd);
  return path;
}

async function good(scene: Scene, film: Film): Promise<number> {
  const { good: right, wrong } = await scene.read(film);
  assert.deepEqual(wrong, [], film.name);
  return right;
}
