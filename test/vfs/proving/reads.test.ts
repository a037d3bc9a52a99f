/** Further reads that are hashed: `verify_reads`, pieces of many files, large pieces. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { it, type TestContext } from 'node:test';
import { content, Library, type LibraryOptions } from './library.ts';

const PIECE = 16_384;
const FILM = content(1, 10 * PIECE + 1234);

async function library(t: TestContext, options: Partial<LibraryOptions> = {}): Promise<Library> {
  const made = await Library.make({ files: { film: FILM }, ...options });
  t.after(async () => await made.close());
  return made;
}

/** Changes a byte, and nothing that stat shows: as a disk does that rots. */
function rot(lib: Library, name: string, position: number): void {
  const path = lib.source(name);
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, Buffer.from('rotten'), 0, 6, position);
  fs.closeSync(fd);
}

it('hashes every piece at its first read after a start, and finds what rotted, with verify_reads = first', async (t) => {
  const lib = await library(t, { verifyReads: 'first' });
  assert.ok((await lib.read('film')).equals(FILM));
  assert.equal(lib.hashed, 11);
  assert.ok((await lib.read('film')).equals(FILM));
  assert.equal(lib.hashed, 11);
  assert.equal(lib.state('film'), 'trusted');
  await lib.close();
  await lib.open();
  assert.ok((await lib.read('film')).equals(FILM));
  assert.equal(lib.hashed, 11);
  await lib.close();
  rot(lib, 'film', 3 * PIECE);
  await lib.open('suspect');
  await assert.rejects(lib.read('film', 3 * PIECE, 100), { code: 'EIO' });
  assert.equal(lib.state('film'), 'healing');
});

it('takes a piece that rotted from a spare', async (t) => {
  const lib = await library(t, { verifyReads: 'first', spares: true });
  rot(lib, 'film', 3 * PIECE);
  assert.ok((await lib.read('film')).equals(FILM));
  assert.equal(lib.state('film'), 'healing');
});

it('serves nothing of a source that changed with verify_reads = off, and hashes nothing', async (t) => {
  const lib = await library(t, { verifyReads: 'off' });
  assert.ok((await lib.read('film')).equals(FILM));
  fs.chmodSync(lib.source('film'), 0o664);
  assert.ok((await lib.read('film')).equals(FILM));
  fs.utimesSync(lib.source('film'), 1e9, 1e9);
  await assert.rejects(lib.read('film'), { code: 'EIO' });
  assert.equal(lib.hashed, 0);
});

it('proves a piece of two thousand files with a few descriptors', async (t) => {
  const names = Array.from({ length: 2000 }, (_, i) => `small/${String(i).padStart(4, '0')}`);
  const files = Object.fromEntries(names.map((name, i) => [name, content(i, 20)]));
  const lib = await library(t, { files, pieceLength: 65_536 });
  const [changed = ''] = names;
  fs.utimesSync(lib.source(changed), 1e9, 1e9);
  assert.ok((await lib.read(changed)).equals(files[changed]!));
  assert.equal(lib.hashed, 1);
  rot(lib, names.at(-1) ?? '', 0);
  fs.utimesSync(lib.source(changed), 2e9, 2e9);
  await lib.close();
  await lib.open();
  await assert.rejects(lib.read(changed), { code: 'EIO' });
});

it('proves a piece that is too large to be kept, and reads it then', async (t) => {
  const film = content(3, 72 * 1024 * 1024);
  const lib = await library(t, { files: { film }, pieceLength: 128 * 1024 * 1024 });
  fs.utimesSync(lib.source('film'), 1e9, 1e9);
  assert.ok((await lib.read('film', 70_000_000, 300_000)).equals(film.subarray(70_000_000, 70_300_000)));
  assert.ok((await lib.read('film', 0, 300_000)).equals(film.subarray(0, 300_000)));
  assert.equal(lib.hashed, 1);
  rot(lib, 'film', 1000);
  await assert.rejects(lib.read('film', 70_000_000, 1000), { code: 'EIO' });
});

it('is trusted again once all its pieces are proven, as it is now', async (t) => {
  const lib = await library(t, { gaps: { film: [2 * PIECE + 100, 50] } });
  lib.endDoubts();
  fs.utimesSync(lib.source('film'), 1e9, 1e9);
  await lib.read('film', 0, 100);
  await lib.proven?.look();
  assert.equal(lib.state('film'), 'doubted');
  await lib.read('film');
  await lib.proven?.look();
  assert.equal(lib.state('film'), 'trusted');
  const { hashed } = lib;
  await lib.read('film');
  assert.equal(lib.hashed, hashed);
  assert.equal(lib.volume.store.source(lib.id('film'))?.mtimeNs, 1_000_000_000n * 1_000_000_000n);
});

it('stays doubted when its record is made anew of what nobody has proven', async (t) => {
  const lib = await library(t);
  rot(lib, 'film', 3 * PIECE);
  await lib.read('film', 0, 100);
  const id = lib.id('film');
  const { store } = lib.volume;
  const [was, observed] = [store.source(id), store.living.condition(id)?.observed];
  assert.ok(was !== undefined && observed !== undefined);
  await store.living.changeSources([{ id, was, now: { ...observed, path: was.path }, trusted: false, how: 'touched' }]);
  await assert.rejects(lib.read('film', 3 * PIECE, 100), { code: 'EIO' });
  assert.ok((await lib.read('film', 5 * PIECE)).equals(FILM.subarray(5 * PIECE)));
});
