/** Films with pins (`protect`): whatever is done to their files, each piece is served, and none is wrong. */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, makeFilm, randomBytesOf } from './films.ts';
import { isWhole, pinned, pinsOn } from './pinned-films.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

const EVENTS: readonly (readonly [what: string, happens: (path: string, film: Film) => Promise<void>])[] = [
  [
    'written to in place',
    async (path) => {
      const file = await open(path, 'r+');
      await file.write(randomBytesOf('other', 300_000), 0, 300_000, 100_000);
      await file.close();
    },
  ],
  [
    'replaced',
    async (path, { bytes }) => {
      writeFileSync(`${path}.new`, randomBytesOf('new', bytes.length));
      renameSync(`${path}.new`, path);
    },
  ],
  ['deleted', async (path) => rmSync(path)],
  ['truncated', async (path) => truncateSync(path, 1000)],
];

describe('pins', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  for (const kind of ['btrfs', 'xfs'] as const) {
    for (const person of ['root', 'user'] as const) {
      const skip = !WHOLE && (kind !== 'btrfs' || person === 'user');
      it(`by reflink on ${kind}, as ${person}, have all pieces of what is ${EVENTS.map(([what]) => what).join(', ')}`, {
        skip,
      }, async () => {
        await pinned(
          kind,
          'reflink',
          EVENTS.length,
          async ({ scene, films, pathOf }) => {
            const own = join(scene.fileSystem.path, '.autotorrent');
            assert.equal(statSync(own).mode & 0o777, 0o700);
            assert.equal(statSync(own).uid, scene.person.uid);
            for (const [i, [, happens]] of EVENTS.entries()) {
              const film = films[i]!;
              await happens(pathOf(film), film);
              await isWhole(scene, film);
            }
            await scene.unmount('SIGKILL');
            await scene.mount();
            for (const film of films) await isWhole(scene, film);
          },
          person,
        );
      });
    }
  }

  it('by hard link have all pieces of what is deleted or replaced, over restarts, and what is written is never served as right', {
    skip: !WHOLE,
  }, async () => {
    await pinned('ext4', 'hardlink', 3, async ({ scene, films, pathOf }) => {
      const [written, replaced, deleted] = films as [Film, Film, Film];
      // A link changes the ctime: that alone casts no doubt.
      for (const film of films) assert.equal(await scene.health(film), 'ok');
      await EVENTS[1]![1](pathOf(replaced), replaced);
      await EVENTS[2]![1](pathOf(deleted), deleted);
      await EVENTS[0]![1](pathOf(written), written);
      await isWhole(scene, replaced);
      await isWhole(scene, deleted);
      assert.deepEqual((await scene.read(written)).wrong, []);
      await scene.unmount('SIGKILL');
      await scene.mount();
      await isWhole(scene, replaced);
      await isWhole(scene, deleted);
      assert.deepEqual((await scene.read(written)).wrong, []);
    });
  });

  it('whose original is gone are let go after protect_days, and then their bytes are lost', {
    skip: !WHOLE,
  }, async () => {
    await pinned(
      'xfs',
      'reflink',
      2,
      async ({ scene, films, pathOf }) => {
        const [gone, there] = films as [Film, Film];
        rmSync(pathOf(gone));
        await waitUntil(
          'its pin in its place',
          async () => (await scene.sourcesOf(gone))[0]?.includes('/pins-') === true,
        );
        await isWhole(scene, gone);
        await scene.unmount();
        await scene.mount();
        await waitUntil('the loss', async () => (await scene.health(gone)) === 'lost');
        assert.match(scene.output(), /is let go: its original is gone for 0 day/);
        await isWhole(scene, there);
        assert.equal(pinsOn(scene).length, 1);
      },
      'root',
      ['protect_days = 0'],
    );
  });

  it('are made of what is there already, are told, and go with the last entry', async () => {
    const scene = await Scene.make({ kind: 'btrfs', person: 'root' });
    try {
      const film = makeFilm('Film.mkv', 0);
      scene.write(join(scene.library, film.name), film.bytes);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add([film]);
      assert.deepEqual(pinsOn(scene), []);
      await scene.unmount();
      const { config } = scene.autotorrent;
      writeFileSync(config, readFileSync(config, 'utf8').replace('[general]', '[general]\nprotect = reflink'));
      await scene.mount();
      await waitUntil('the pin', async () => pinsOn(scene).length === 1);
      await isWhole(scene, film);
      const { stdout } = await scene.run('protect', film.name);
      assert.match(stdout, /1 source\(s\) pinned, .*, 0 of them now/);
      const { pins } = (await scene.autotorrent.json('status')) as { pins: { folder: string; files: number }[] };
      assert.deepEqual(
        pins.map(({ folder, files }) => [folder, files]),
        [[scene.fileSystem.path, 1]],
      );
      assert.match((await scene.run('show', film.name)).stdout, /Film\.mkv \(pinned\)/);
      await scene.run('remove', film.name);
      await waitUntil('the end of the pin', async () => pinsOn(scene).length === 0);
    } finally {
      await scene.end();
    }
  });

  it('are as many as the films after kill -9 while they are made', { skip: !WHOLE }, async () => {
    const scene = await Scene.make({ kind: 'xfs', person: 'root', general: ['protect = reflink'] });
    try {
      const films = Array.from({ length: 60 }, (_, i) => makeFilm(`Film ${i}.mkv`, i));
      for (const film of films) scene.write(join(scene.library, film.name), film.bytes);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add(films);
      await waitUntil('the first pins', async () => pinsOn(scene).length > 0);
      await scene.unmount('SIGKILL');
      await scene.mount();
      // Those without a record go.
      await scene.run('protect');
      await waitUntil('a pin for each', async () => pinsOn(scene).length === films.length);
      for (const film of films) await isWhole(scene, film);
    } finally {
      await scene.end();
    }
  });

  it('by reflink are not to be had on ext4, which is said once', async () => {
    const scene = await Scene.make({ kind: 'ext4', person: 'root', general: ['protect = reflink'] });
    try {
      const films = [makeFilm('One.mkv', 0), makeFilm('Two.mkv', 1)];
      for (const film of films) scene.write(join(scene.library, film.name), film.bytes);
      await scene.run('rebuild');
      await scene.mount();
      await scene.add(films);
      await waitUntil('the line', async () => scene.output().includes('has no shared extents'));
      for (const film of films) await isWhole(scene, film);
      assert.equal(scene.output().split('has no shared extents').length, 2, scene.output());
      assert.deepEqual(pinsOn(scene), []);
      const { code, stdout } = await scene.autotorrent.run('protect', '--json');
      assert.equal(code, 3);
      const found = JSON.parse(stdout) as { sources: number; unpinned: { path: string; reason: string }[] }[];
      assert.deepEqual(
        found.map(({ sources, unpinned }) => [sources, unpinned.map(({ reason }) => reason).join()]),
        films.map(() => [0, 'cannot be pinned: its file system has no shared extents']),
      );
    } finally {
      await scene.end();
    }
  });
});
