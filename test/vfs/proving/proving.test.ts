/** Reads of sources that changed: what is served, what is not, and how often it is hashed. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { identityOf } from '../../../src/source/identity.ts';
import { sourceOf } from '../../harness/plans.ts';
import { content, Library, type LibraryOptions } from './library.ts';

const PIECE = 16_384;
const LENGTH = 10 * PIECE + 1234;
const FILM = content(1, LENGTH);

async function library(t: TestContext, options: Partial<LibraryOptions> = {}): Promise<Library> {
  const made = await Library.make({ files: { film: FILM }, ...options });
  t.after(async () => await made.close());
  return made;
}

/** Reads a file piece by piece. Returns the numbers of good, wrong and failed pieces. */
async function pieces(
  lib: Library,
  name: string,
  piece = PIECE,
): Promise<[good: number, wrong: number, failed: number]> {
  const original = lib.original(name);
  const counts: [number, number, number] = [0, 0, 0];
  const handle = await lib.openFile(name).catch(() => undefined);
  for (let at = 0; at < original.length; at += piece) {
    const wanted = original.subarray(at, at + piece);
    const got =
      handle === undefined ? undefined : await lib.readHandle(handle, wanted.length, at).catch(() => undefined);
    counts[got === undefined ? 2 : got.equals(wanted) ? 0 : 1]++;
  }
  if (handle !== undefined) await lib.volume.fileSystem.release(handle);
  return counts;
}

function overwrite(path: string, bytes: string | Buffer, position: number): void {
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, Buffer.from(bytes), 0, undefined, position);
  fs.closeSync(fd);
}

/** Each changes the source of a file; `good`: the pieces of 11 that lie in it still. */
const EVENTS: readonly { what: string; good: number; change: (path: string) => void }[] = [
  { what: 'touched', good: 11, change: (path) => fs.utimesSync(path, 1e9, 1e9) },
  { what: 'copied over itself', good: 11, change: (path) => fs.writeFileSync(path, FILM) },
  {
    what: 'replaced by a copy with the same mtime',
    good: 11,
    change: (path) => {
      const { atimeMs, mtimeMs } = fs.statSync(path);
      fs.writeFileSync(`${path}.new`, FILM);
      fs.utimesSync(`${path}.new`, atimeMs / 1000, mtimeMs / 1000);
      fs.renameSync(`${path}.new`, path);
    },
  },
  { what: 'made longer', good: 11, change: (path) => fs.appendFileSync(path, 'more') },
  { what: 'changed in the middle', good: 10, change: (path) => overwrite(path, 'changed', 5 * PIECE) },
  {
    what: 'changed in the middle, its mtime set back',
    good: 10,
    change: (path) => {
      const { atime, mtime } = fs.statSync(path);
      overwrite(path, 'changed', 5 * PIECE);
      fs.utimesSync(path, atime, mtime);
    },
  },
  { what: 'cut in the middle', good: 5, change: (path) => fs.truncateSync(path, 5 * PIECE + 7) },
  {
    what: 'moved by 100 bytes',
    good: 0,
    change: (path) => fs.writeFileSync(path, Buffer.concat([Buffer.alloc(100), FILM])),
  },
];

describe('a source that changed', () => {
  for (const { what, good, change } of EVENTS) {
    it(`is served as far as its pieces are right, and no further: ${what}`, async (t) => {
      const lib = await library(t);
      assert.deepEqual(await pieces(lib, 'film'), [11, 0, 0]);
      assert.equal(lib.hashed, 0);
      const held = await lib.openFile('film');
      change(lib.source('film'));
      // By a fresh open, by a handle from before, and after a restart.
      assert.deepEqual(await pieces(lib, 'film'), [good, 0, 11 - good]);
      for (let piece = 0; piece < 11; piece++) {
        const wanted = FILM.subarray(piece * PIECE, (piece + 1) * PIECE);
        const got = await lib.readHandle(held, wanted.length, piece * PIECE).catch(() => undefined);
        assert.ok(got === undefined || got.equals(wanted), `piece ${piece}`);
      }
      await lib.volume.fileSystem.release(held);
      // The file that was replaced is held, and another one is at its path.
      assert.equal(lib.state('film'), good === 11 && !what.startsWith('replaced') ? 'doubted' : 'healing');
      await lib.close();
      await lib.open();
      assert.deepEqual(await pieces(lib, 'film'), [good, 0, 11 - good]);
      // What was proven before the restart is not hashed again.
      if (good === 11 && !what.startsWith('replaced')) assert.equal(lib.hashed, 0);
    });
  }

  it('proves nothing of the file at its path by one that was replaced and is still open', async (t) => {
    const lib = await library(t);
    const path = lib.source('film');
    const held = await lib.openFile('film');
    assert.ok((await lib.readHandle(held, PIECE)).equals(FILM.subarray(0, PIECE)));
    const { atime, mtime } = fs.statSync(path);
    fs.writeFileSync(`${path}.new`, Buffer.alloc(LENGTH, 'garbage '));
    fs.utimesSync(`${path}.new`, atime, mtime);
    fs.renameSync(`${path}.new`, path);
    const { living } = lib.volume.store;
    const id = lib.id('film');
    // The watch sees the file that lies there now while a piece is hashed by the descriptor.
    const observed = identityOf(fs.statSync(path, { bigint: true }));
    const reading = lib.readHandle(held, PIECE, 5 * PIECE);
    while (living.condition(id) === undefined) await immediate();
    living.setCondition(id, { state: 'doubted', reason: 'was replaced', observed });
    assert.ok((await reading).equals(FILM.subarray(5 * PIECE, 6 * PIECE)), 'by the descriptor');
    await lib.volume.fileSystem.release(held);
    await lib.close();
    await lib.open();
    assert.deepEqual(await pieces(lib, 'film'), [0, 0, 11]);
  });

  it('is not hashed while a further write may leave its ctime as it is', async (t) => {
    const lib = await library(t);
    const path = lib.source('film');
    fs.utimesSync(path, 1, 1);
    const { ctimeMs } = fs.statSync(path);
    const clock = t.mock.method(Date, 'now', () => Math.floor(ctimeMs) + 5);
    const reading = pieces(lib, 'film');
    while (clock.mock.callCount() < 20) await sleep(5);
    assert.equal(lib.hashed, 0);
    clock.mock.restore();
    assert.deepEqual(await reading, [11, 0, 0]);
    assert.equal(lib.hashed, 11);
  });

  it('is hashed once for many readers at once, and not again', async (t) => {
    const lib = await library(t);
    fs.utimesSync(lib.source('film'), 1e9, 1e9);
    const readers = Array.from({ length: 20 }, async () => assert.ok((await lib.read('film')).equals(FILM)));
    await Promise.all(readers);
    assert.equal(lib.hashed, 11);
    assert.ok((await lib.read('film')).equals(FILM));
    assert.equal(lib.hashed, 11);
    // Another change takes all proofs back.
    fs.utimesSync(lib.source('film'), 2e9, 2e9);
    const handle = await lib.openFile('film');
    assert.ok((await lib.readHandle(handle, LENGTH)).equals(FILM));
    await lib.volume.fileSystem.release(handle);
  });

  it('is proven together with its neighbours in a piece, pads and all', async (t) => {
    for (const version of ['v1', 'v2', 'hybrid'] as const) {
      const files = {
        a: content(2, 3 * PIECE + 5),
        b: content(3, 700),
        c: content(4, PIECE),
        d: content(5, 2 * PIECE + 9),
      };
      const lib = await library(t, { files, version });
      for (const name of ['a', 'b', 'c', 'd'] as const) {
        assert.ok((await lib.read(name)).equals(files[name]), `${version} ${name}`);
        fs.utimesSync(lib.source(name), 1e9, 1e9);
        assert.ok((await lib.read(name)).equals(files[name]), `${version} ${name}, touched`);
      }
      // A neighbour is wrong: in v1 they share a piece. (Without the restart, the bytes that were hashed are at hand.)
      overwrite(lib.source('b'), 'x', 0);
      fs.utimesSync(lib.source('a'), 2e9, 2e9);
      await lib.close();
      await lib.open();
      const [last] = await Promise.allSettled([lib.read('a', 3 * PIECE)]);
      assert.equal(last.status, version === 'v1' ? 'rejected' : 'fulfilled', version);
      assert.ok((await lib.read('a', 0, 3 * PIECE)).equals(files.a.subarray(0, 3 * PIECE)));
      await assert.rejects(lib.read('b'), { code: 'EIO' });
      await lib.close();
    }
  });

  it('is served as it is where a piece has a gap', async (t) => {
    const lib = await library(t, { gaps: { film: [2 * PIECE + 100, 50] } });
    const expected = Buffer.from(FILM);
    expected.fill(0, 2 * PIECE + 100, 2 * PIECE + 150);
    assert.ok((await lib.read('film')).equals(expected));
    fs.utimesSync(lib.source('film'), 1e9, 1e9);
    assert.ok((await lib.read('film')).equals(expected));
    assert.equal(lib.hashed, 10);
  });

  it('is proven though a client has written over a part of the piece', async (t) => {
    const lib = await library(t);
    const { fileSystem } = lib.volume;
    const film = fileSystem.paths.find(fileSystem.paths.find(fileSystem.paths.find(1, 'E'), 'T'), 'film');
    const handle = await fileSystem.open(film, fs.constants.O_RDWR);
    await fileSystem.write(handle, Buffer.alloc(4096, 'w'), PIECE);
    fs.utimesSync(lib.source('film'), 1e9, 1e9);
    const expected = Buffer.from(FILM);
    expected.fill('w', PIECE, PIECE + 4096);
    assert.ok((await lib.readHandle(handle, LENGTH)).equals(expected));
    // The right bytes: now the piece is that of the torrent again.
    await fileSystem.write(handle, FILM.subarray(PIECE, PIECE + 4096), PIECE);
    assert.ok((await lib.readHandle(handle, LENGTH)).equals(FILM));
    await fileSystem.release(handle);
    overwrite(lib.source('film'), 'x', PIECE + 5000);
    await lib.close();
    await lib.open();
    await assert.rejects(lib.read('film', PIECE + 4096, 4096), { code: 'EIO' });
    assert.ok((await lib.read('film', PIECE, 4096)).equals(FILM.subarray(PIECE, PIECE + 4096)));
  });

  it('supplies no byte for a write that fills up its block, if its piece is wrong', async (t) => {
    const lib = await library(t);
    overwrite(lib.source('film'), 'x', PIECE + 100);
    const { fileSystem } = lib.volume;
    const film = fileSystem.paths.find(fileSystem.paths.find(fileSystem.paths.find(1, 'E'), 'T'), 'film');
    const handle = await fileSystem.open(film, fs.constants.O_RDWR);
    await assert.rejects(async () => await fileSystem.write(handle, Buffer.from('w'), PIECE + 50), { code: 'EIO' });
    await fileSystem.write(handle, Buffer.from('w'), 3 * PIECE + 50);
    await fileSystem.release(handle);
  });

  it('comes from a spare where its own bytes are wrong', async (t) => {
    const lib = await library(t, { spares: true });
    overwrite(lib.source('film'), 'x', 4 * PIECE);
    assert.deepEqual(await pieces(lib, 'film'), [11, 0, 0]);
    assert.equal(lib.state('film'), 'healing');
    // Nothing was recorded of the piece: its own bytes are still wrong without the spare.
    fs.rmSync(lib.spare('film'));
    await lib.close();
    await lib.open();
    assert.deepEqual(await pieces(lib, 'film'), [10, 0, 1]);
  });

  it('waits for its case to be settled, and goes on when it is', async (t) => {
    const urgent: number[] = [];
    const lib = await library(t, { queue: { note() {}, urgent: (id) => void urgent.push(id) } });
    overwrite(lib.source('film'), 'x', 4 * PIECE);
    const reading = lib.read('film', 4 * PIECE, PIECE);
    while (urgent.length === 0) await sleep(10);
    assert.deepEqual(urgent, [lib.id('film')]);
    overwrite(lib.source('film'), FILM.subarray(4 * PIECE, 4 * PIECE + 1), 4 * PIECE);
    lib.volume.store.living.trust(lib.id('film'));
    assert.ok((await reading).equals(FILM.subarray(4 * PIECE, 5 * PIECE)));
  });

  it('stays lost however often it is read, until another file is there', async (t) => {
    const noted: number[] = [];
    const lib = await library(t, { queue: { note: (id) => void noted.push(id), urgent() {} } });
    const { living } = lib.volume.store;
    const id = lib.id('film');
    fs.writeFileSync(lib.source('film'), Buffer.alloc(FILM.length, 'garbage'));
    await assert.rejects(lib.read('film', 4 * PIECE, PIECE), { code: 'EIO' });
    living.setCondition(id, { state: 'lost', reason: 'has other bytes now' });
    const lost = living.condition(id);
    noted.length = 0;
    await assert.rejects(lib.read('film', 5 * PIECE, PIECE), { code: 'EIO' });
    await lib.close();
    await lib.open();
    await assert.rejects(lib.read('film', 6 * PIECE, PIECE), { code: 'EIO' });
    assert.deepEqual([lib.volume.store.living.condition(id), noted], [lost, []]);
    fs.writeFileSync(lib.source('film'), FILM);
    assert.ok((await lib.read('film')).equals(FILM));
    assert.deepEqual([lib.state('film'), noted], ['doubted', [id]]);
  });

  for (const [what, change] of [
    ['that is gone', (path: string) => fs.rmSync(path)],
    ['with a wrong piece', (path: string) => overwrite(path, 'x', 4 * PIECE)],
  ] as const) {
    it(`fails as soon as a file ${what} is known to be lost`, async (t) => {
      const urgent: number[] = [];
      const lib = await library(t, { queue: { note() {}, urgent: (id) => void urgent.push(id) } });
      change(lib.source('film'));
      const reading = assert.rejects(lib.read('film', 4 * PIECE, PIECE), { code: 'EIO' });
      while (urgent.length === 0) await sleep(10);
      const begun = performance.now();
      lib.volume.store.living.setCondition(lib.id('film'), { state: 'lost', reason: 'is nowhere' });
      await reading;
      assert.ok(performance.now() - begun < 4000, 'the reader waited on');
    });
  }

  it('waits for the cases of all sources of a piece', async (t) => {
    const urgent = new Set<number>();
    const [one, other] = [content(11, 10_000), content(12, 10_000)];
    const files = { one, other };
    const lib = await Library.make({ files, queue: { note() {}, urgent: (id) => void urgent.add(id) } });
    t.after(() => lib.close());
    for (const name of Object.keys(files)) overwrite(lib.source(name), 'x', 0);
    const reading = lib.read('one');
    for (const [name, bytes] of Object.entries(files)) {
      while (!urgent.has(lib.id(name))) await sleep(10);
      overwrite(lib.source(name), bytes.subarray(0, 1), 0);
      urgent.clear();
      lib.volume.store.living.trust(lib.id(name));
    }
    assert.ok((await reading).equals(one));
  });

  it('is read where it is mapped by now, if that changes while a reader waits', async (t) => {
    const urgent: number[] = [];
    const lib = await library(t, { queue: { note() {}, urgent: (id) => void urgent.push(id) } });
    const tag = 233;
    fs.writeFileSync(lib.source('film'), Buffer.concat([Buffer.alloc(tag), FILM]));
    const reading = lib.read('film', 4 * PIECE, 3 * PIECE);
    while (urgent.length === 0) await sleep(10);
    const { store } = lib.volume;
    const { infoHash } = store.entry('E') ?? assert.fail();
    const remapped = await store.living.remapFile(infoHash, 0, {
      was: (await store.file(infoHash, 0))?.version ?? assert.fail(),
      extents: [{ offset: 0, length: LENGTH, source: 0, sourceOffset: tag }],
      sources: [sourceOf(lib.source('film'))],
      proven: Array.from({ length: 11 }, (_, piece) => piece),
      since: await store.verificationBegun(infoHash),
      epoch: store.living.epoch,
      how: 'changed',
    });
    assert.ok(remapped);
    assert.ok((await reading).equals(FILM.subarray(4 * PIECE, 7 * PIECE)));
  });

  it('fails after five seconds of waiting, once', async (t) => {
    const lib = await library(t, { queue: { note() {}, urgent() {} } });
    fs.renameSync(lib.source('film'), `${lib.source('film')}.moved`);
    const begun = performance.now();
    await assert.rejects(lib.read('film'), { code: 'EIO' });
    const waited = performance.now() - begun;
    assert.ok(waited > 4500 && waited < 8000, `${waited} ms`);
    await assert.rejects(lib.read('film'), { code: 'EIO' });
    assert.ok(performance.now() - begun - waited < 1000, 'it waits again');
  });
});
