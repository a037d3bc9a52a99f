/**
 * A hundred films on a disk without reflinks, of which more would be kept than `rescue_total` allows: what no torrent needs goes
 * first, the oldest before the others; what is needed stays; that no more is kept is said once; and the next server counts on.
 */
import assert from 'node:assert/strict';
import { appendFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusJson } from '../../src/cli/json.ts';
import { waitUntil } from '../harness/daemon.ts';
import { EditsAtOnce } from '../harness/edits-at-once.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { type Film, filmOf, PIECE_LENGTH, randomBytesOf } from './films.ts';
import { changedSources, keptIn, keptSaid, roomOfKept } from './kept-on-disk.ts';
import { Scene } from './scene.ts';
import { WHOLE } from './setting.ts';

const LONG = WHOLE ? false : 'only in npm run test:survival';
const PIECES = 7;
const LENGTH = PIECES * PIECE_LENGTH - 4096;
/** `rescue_total` has room for so many films. */
const MOST = 20;
const TOTAL = MOST * LENGTH + 1000;
const SETTLED = { limitMs: 60_000 };
/** Milliseconds for which it is watched that nothing more is kept. */
const WATCHED_MS = 2000;

describe('more than rescue_total', { skip: NEEDS_ROOT, timeout: 600_000 }, () => {
  let scene: Scene;
  let films: Film[];
  /** Of these nothing is lost; of these a piece; these are deleted. */
  let [appended, written, deleted]: [Film[], Film[], Film[]] = [[], [], []];
  let whole: Film[] = [];
  const path = ({ name }: Film): string => join(scene.library, name);
  const names = (some: readonly Film[]): string[] => some.map(({ name }) => name);

  before(async () => {
    const general = ['on_loss = tell', 'scrub = off', `rescue_total = ${TOTAL}`];
    scene = await Scene.make({ kind: 'ext4', person: 'root', general });
    films = Array.from({ length: 100 }, (_, i) => {
      const name = `film ${String(i).padStart(2, '0')}.mkv`;
      return filmOf(name, randomBytesOf(name, LENGTH));
    });
    [appended, written, deleted] = [films.slice(0, MOST + 3), films.slice(MOST + 3, 70), films.slice(70)];
    for (const film of films) scene.write(path(film), film.bytes);
    await scene.run('rebuild');
    await scene.mount();
    await scene.add(films);
    for (const film of films) assert.equal((await scene.read(film)).good, PIECES, film.name);
    await waitUntil('the leases', async () => (await status()).leases.held === films.length);
  });
  after(async () => await scene?.end());

  const status = async (): Promise<StatusJson> => (await scene.autotorrent.json('status')) as StatusJson;
  const keptFilms = (): string[] =>
    keptIn(scene)
      .map((kept) => basename(kept))
      .toSorted();

  /** No more is kept than may be, and `status` says what the disk has. */
  async function counted(): Promise<void> {
    assert.ok(roomOfKept(scene) <= TOTAL, `${roomOfKept(scene)} bytes of ${TOTAL}`);
    await waitUntil('the same room', async () => {
      const { files, bytes } = await keptSaid(scene);
      return files === keptIn(scene).length && bytes === roomOfKept(scene);
    });
  }

  /** Waits until films have so many pieces, and no more. None is wrong meanwhile. */
  async function served(some: readonly Film[], pieces: (film: Film) => number): Promise<void> {
    let others: string[] = [];
    const isServed = async (): Promise<boolean> => {
      others = [];
      const reading = some.map(async (film) => {
        const { good, wrong } = await scene.read(film);
        assert.deepEqual(wrong, [], film.name);
        if (good !== pieces(film)) others.push(`${film.name}: ${good} of ${pieces(film)}`);
      });
      await Promise.all(reading);
      return others.length === 0;
    };
    await waitUntil('the pieces', isServed, SETTLED).catch((cause: unknown) => {
      throw new Error(`${others.join('; ')}\n${scene.output()}`, { cause });
    });
  }

  /** Waits until the healer has decided what became of films. */
  async function healed(some: readonly Film[]): Promise<void> {
    await waitUntil(
      'the healer',
      async () => {
        const changed = new Set(await changedSources(scene));
        return some.every((film) => changed.has(path(film)));
      },
      SETTLED,
    );
  }

  async function settled(): Promise<void> {
    await waitUntil('the cases', async () => (await status()).healer.open === 0, SETTLED);
  }

  it('deletes what no torrent needs, the oldest first', { skip: LONG }, async () => {
    for (const film of appended.slice(0, MOST)) appendFileSync(path(film), 'tag');
    assert.deepEqual(keptFilms(), names(appended.slice(0, MOST)));
    await healed(appended.slice(0, MOST));
    for (const [i, film] of appended.slice(MOST).entries()) {
      appendFileSync(path(film), 'tag');
      assert.deepEqual(keptFilms(), names(appended.slice(i + 1, MOST + i + 1)));
    }
    await healed(appended);
    await counted();
    assert.equal(scene.output().includes('rescue_total'), false);
  });

  it('keeps what torrents need, and says once that the rest is not kept', async () => {
    const edits = await EditsAtOnce.start(
      written.map((film) => ({ path: path(film), kind: 'write', offset: 3 * PIECE_LENGTH })),
    );
    edits.go();
    await edits.ended();
    whole = written.filter(({ name }) => keptFilms().includes(name));
    assert.equal(whole.length, MOST);
    await settled();
    await counted();
    await served(written, (film) => (whole.includes(film) ? PIECES : PIECES - 1));
    for (const film of appended) assert.equal((await scene.read(film)).good, PIECES, film.name);
    assert.equal(scene.output().split('rescue_total').length - 1, 1, scene.output());
  });

  it('keeps no more of films that are deleted: they are read as long as they are open', async () => {
    for (const film of deleted) rmSync(path(film));
    const began = performance.now();
    while (performance.now() - began < WATCHED_MS) {
      assert.ok(roomOfKept(scene) <= TOTAL);
      await sleep(20);
    }
    for (const film of deleted) assert.equal((await scene.read(film)).good, PIECES, film.name);
    for (const film of whole) assert.equal((await scene.read(film)).good, PIECES, film.name);
    await counted();
    assert.equal(scene.output().split('rescue_total').length - 1, 1);
  });

  it('is counted by the next server as well', { skip: LONG }, async () => {
    await scene.unmount();
    const room = roomOfKept(scene);
    assert.ok(room <= TOTAL, `${room} bytes of ${TOTAL}`);
    await scene.mount();
    await counted();
    for (const film of whole) assert.equal((await scene.read(film)).good, PIECES, film.name);
    // Those that have their bytes from their own files.
    for (const film of appended) assert.equal((await scene.read(film)).good, PIECES, film.name);
    await waitUntil('the leases', async () => (await status()).leases.held >= appended.length);
    const edits = await EditsAtOnce.start(appended.map((film) => ({ path: path(film), kind: 'write', offset: 0 })));
    edits.go();
    await edits.ended();
    for (const film of whole) assert.ok(keptFilms().includes(film.name), film.name);
    const anew = appended.filter(({ name }) => keptFilms().includes(name));
    await settled();
    await counted();
    await served([...whole, ...anew], () => PIECES);
  });
});
