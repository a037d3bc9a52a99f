/** Sources that stay open when their last reader has closed them: what is read again of those that are deleted or replaced. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, makeFilm, PIECES } from './films.ts';
import { replace, retagged } from './happenings.ts';
import { Scene } from './scene.ts';

/** A client has closed the file for so long. */
const CLOSED_MS = 5000;

async function descriptors(scene: Scene): Promise<StatusJson['descriptors']> {
  return ((await scene.autotorrent.json('status')) as StatusJson).descriptors;
}

/** Serves films on a file system of their own, each read once. */
async function served(names: readonly string[], general: readonly string[]): Promise<[Scene, Film[]]> {
  const scene = await Scene.make({
    kind: 'ext4',
    person: 'root',
    general: ['on_loss = tell', 'scrub = off', ...general],
  });
  const films = names.map((name, i) => makeFilm(`${name}.mkv`, i));
  for (const { name, bytes } of films) scene.write(join(scene.library, name), bytes);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add(films);
  for (const film of films) assert.equal((await scene.read(film)).good, PIECES);
  return [scene, films];
}

describe('a source that no reader has open any more', { skip: NEEDS_ROOT, timeout: 120_000 }, () => {
  let scene: Scene;
  let films: Film[];
  const path = (film: Film): string => join(scene.library, film.name);
  const idleMs = process.env['AUTOTORRENT_HOLD_IDLE_MS'];

  before(async () => {
    process.env['AUTOTORRENT_HOLD_IDLE_MS'] = '8000';
    [scene, films] = await served(['Deleted', 'Replaced'], []);
  });
  after(async () => {
    if (idleMs === undefined) delete process.env['AUTOTORRENT_HOLD_IDLE_MS'];
    else process.env['AUTOTORRENT_HOLD_IDLE_MS'] = idleMs;
    await scene.end();
  });

  it('is read right through the mount when it was deleted or replaced a while later', async () => {
    await sleep(CLOSED_MS);
    const { sources, held } = await descriptors(scene);
    assert.deepEqual([sources, held], [2, 2]);
    const [deleted, replaced] = films as [Film, Film];
    rmSync(path(deleted));
    replace(path(replaced), retagged(replaced.bytes));
    for (const film of films) {
      const { good, wrong, failed } = await scene.read(film);
      assert.deepEqual([good, wrong, failed], [PIECES, [], {}], film.name);
    }
    const bytes = deleted.bytes.length + replaced.bytes.length;
    await waitUntil('both hang on descriptors', async () => (await descriptors(scene)).hanging_bytes === bytes);
  });

  it('is closed after its time, so that the room on the disk is free', async () => {
    await waitUntil('nothing is held', async () => (await descriptors(scene)).sources === 0, { limitMs: 60_000 });
    assert.equal((await descriptors(scene)).hanging_bytes, 0);
    for (const film of films) assert.deepEqual((await scene.read(film)).wrong, [], film.name);
  });
});

describe('a disk with sources that are held', { skip: NEEDS_ROOT, timeout: 120_000 }, () => {
  it('is busy until it is released', async () => {
    const [scene, [film]] = await served(['Film'], []);
    try {
      await assert.rejects(scene.fileSystem.umount(), /busy/);
      await scene.run('release', scene.fileSystem.path);
      assert.equal((await descriptors(scene)).held, 0);
      await scene.fileSystem.remount();
      await waitUntil('it is read', async () => (await scene.read(film!)).good === PIECES, { limitMs: 30_000 });
    } finally {
      await scene.end();
    }
  });

  it('is not busy where none is held', async () => {
    const [scene] = await served(['Film', 'Other'], ['hold_sources = 0']);
    try {
      await waitUntil('none is held', async () => (await descriptors(scene)).sources === 0, { limitMs: 5000 });
      await scene.fileSystem.remount();
    } finally {
      await scene.end();
    }
  });

  it('is not kept busy when it is unmounted lazily', async () => {
    const [scene] = await served(['Film'], []);
    try {
      assert.equal((await descriptors(scene)).held, 1);
      execFileSync('umount', ['-l', scene.fileSystem.path]);
      await waitUntil('none is held', async () => (await descriptors(scene)).sources === 0, { limitMs: 30_000 });
      await scene.fileSystem.mount();
    } finally {
      await scene.end();
    }
  });
});
