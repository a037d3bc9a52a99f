/** Reads of sources of which something was kept. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf } from '../../../src/errors.ts';
import { content, Library, type LibraryOptions } from './library.ts';

const PIECE = 16_384;
const FILM = content(1, 10 * PIECE);

async function library(t: TestContext, options: Partial<LibraryOptions> = {}): Promise<Library> {
  const made = await Library.make({ files: { film: FILM }, ...options });
  t.after(async () => await made.close());
  return made;
}

/** Undefined if it cannot be read. An open may be refused once, as the kernel is told that others may not read it any more. */
async function readPiece(lib: Library, piece: number): Promise<Buffer | undefined> {
  for (;;) {
    try {
      return await lib.read('film', piece * PIECE, PIECE);
    } catch (error) {
      if (errnoOf(error) !== 'ESTALE') return undefined;
      await sleep(100);
    }
  }
}

/** Reads each piece by itself. `-`: it cannot be read; `!`: it has wrong bytes. */
async function pieces(lib: Library): Promise<string> {
  let found = '';
  for (let piece = 0; piece < 10; piece++) {
    const bytes = await readPiece(lib, piece);
    const right = bytes?.equals(FILM.subarray(piece * PIECE, (piece + 1) * PIECE));
    found += right === undefined ? '-' : right ? '.' : '!';
  }
  return found;
}

it('takes the pieces of a deleted source from what was kept, and no holes', async (t) => {
  const lib = await library(t);
  await lib.keep('film', [
    [0, 3 * PIECE],
    [8 * PIECE, 10 * PIECE],
  ]);
  fs.rmSync(lib.source('film'));
  assert.equal(await pieces(lib), '...-----..');
  // Hashed each time: the proofs of a source say nothing of its spare.
  assert.equal(await pieces(lib), '...-----..');
});

it('takes no hole for a piece that was proven of the source itself', async (t) => {
  const lib = await library(t);
  await lib.keep('film', [[0, 3 * PIECE]]);
  fs.utimesSync(lib.source('film'), 1e9, 1e9);
  assert.equal(await pieces(lib), '..........');
  assert.equal(lib.hashed, 10);
  await lib.close();
  await lib.open();
  fs.rmSync(lib.source('film'));
  assert.equal(await pieces(lib), '...-------');
});

it('takes no hole of a kept file that is trusted where it is mapped', async (t) => {
  const lib = await library(t);
  const kept = await lib.keep('film', [[0, 3 * PIECE]]);
  const { living } = lib.volume.store;
  const { spares: _, ...was } = lib.volume.store.source(kept)!;
  const { epoch } = living.condition(kept)!;
  await living.changeSources([{ id: kept, was, now: was, trusted: true, epoch }]);
  assert.equal(living.condition(kept), undefined);
  fs.rmSync(lib.source('film'));
  assert.equal(await pieces(lib), '...-------');
});

it('takes the pieces from it that the source no longer has', async (t) => {
  const lib = await library(t);
  const whole = [0, FILM.length] as const;
  await lib.keep('film', [whole]);
  const fd = fs.openSync(lib.source('film'), 'r+');
  fs.writeSync(fd, Buffer.alloc(PIECE), 0, PIECE, 4 * PIECE + 100);
  fs.closeSync(fd);
  assert.equal(await pieces(lib), '..........');
});

it('is proven where files name it, whatever happens to its ctime', async (t) => {
  const lib = await library(t);
  const kept = await lib.keep('film', [[0, FILM.length]]);
  const { store } = lib.volume;
  const [entry] = await store.living.usersOf(kept);
  const { infoHash } = (await store.entryById(entry!))!;
  const file = await store.file(infoHash, 0);
  await store.living.remapFile(infoHash, 0, {
    was: file!.version,
    extents: [{ offset: 0, length: FILM.length, source: 0, sourceOffset: 0 }],
    sources: [kept],
    proven: [],
    since: 0,
    epoch: store.living.epoch,
    how: 'is taken from what was kept',
  });
  fs.rmSync(lib.source('film'));
  lib.endDoubts();
  assert.equal(await pieces(lib), '..........');
  const { hashed } = lib;
  assert.equal(hashed, 10);
  fs.chmodSync(store.source(kept)!.path, 0o604);
  assert.equal(await pieces(lib), '..........');
  assert.equal(lib.hashed, hashed, 'proven once');
  await lib.proven!.look();
  assert.equal(store.living.condition(kept), undefined);
});
