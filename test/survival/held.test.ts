/** Sources that stay open when their last reader has closed them: what is read again of those that are deleted or replaced. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, PIECES } from './films.ts';
import { replace, retagged } from './happenings.ts';
import { descriptors, servedFilms } from './held-films.ts';
import type { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

/** A client has closed the file for so long. */
const CLOSED_MS = 5000;

describe('a source that no reader has open any more', { skip: NEEDS_ROOT, timeout: 120_000 }, () => {
  let scene: Scene;
  let films: Film[];
  const path = (film: Film): string => join(scene.library, film.name);

  before(async () => {
    if (WHOLE) process.env['AUTOTORRENT_HOLD_IDLE_MS'] = '20000';
    [scene, films] = await servedFilms({ kind: 'ext4', person: 'root' }, 'Deleted', 'Replaced');
  });
  after(async () => {
    delete process.env['AUTOTORRENT_HOLD_IDLE_MS'];
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

  it('is closed after its time, so that the room on the disk is free', { skip: !WHOLE }, async () => {
    await waitUntil('nothing is held', async () => (await descriptors(scene)).sources === 0, { limitMs: 60_000 });
    assert.equal((await descriptors(scene)).hanging_bytes, 0);
    for (const film of films) assert.deepEqual((await scene.read(film)).wrong, [], film.name);
  });
});
