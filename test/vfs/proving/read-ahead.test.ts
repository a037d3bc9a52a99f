/** Pieces that are hashed before their reader gets there. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { content, Library, type LibraryOptions } from './library.ts';

const PIECE = 16_384;
const COUNT = 100;
const FILM = content(1, COUNT * PIECE);

async function library(t: TestContext, options: Partial<LibraryOptions> = {}): Promise<Library> {
  const made = await Library.make({ files: { film: FILM }, ...options });
  t.after(async () => await made.close());
  return made;
}

function overwrite(path: string, bytes: Buffer, position: number): void {
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, bytes, 0, bytes.length, position);
  fs.closeSync(fd);
}

describe('reading one piece after the other', () => {
  it('has the next pieces hashed all the way, also while it reads those that are proven', async (t) => {
    const lib = await library(t);
    fs.utimesSync(lib.source('film'), 1e9, 1e9);
    const handle = await lib.openFile('film');
    for (let piece = 0; piece < COUNT; piece++) {
      // From the third on, each piece was hashed before it is asked for.
      if (piece >= 2) while (lib.hashed <= piece) await sleep(1);
      const wanted = FILM.subarray(piece * PIECE, (piece + 1) * PIECE);
      assert.ok((await lib.readHandle(handle, PIECE, piece * PIECE)).equals(wanted), `piece ${piece}`);
    }
    assert.equal(lib.hashed, COUNT);
    await lib.volume.fileSystem.release(handle);
  });

  it('waits for the case of a source of which a piece failed that was being hashed ahead', async (t) => {
    const urgent: number[] = [];
    const lib = await library(t, { queue: { note() {}, urgent: (id) => void urgent.push(id) } });
    const wrong = 2;
    overwrite(lib.source('film'), Buffer.from('wrong'), wrong * PIECE);
    const handle = await lib.openFile('film');
    for (const piece of [0, 1]) await lib.readHandle(handle, PIECE, piece * PIECE);
    const reading = lib.readHandle(handle, PIECE, wrong * PIECE);
    while (urgent.length === 0) await sleep(10);
    const right = FILM.subarray(wrong * PIECE, (wrong + 1) * PIECE);
    overwrite(lib.source('film'), right.subarray(0, 5), wrong * PIECE);
    lib.volume.store.living.trust(lib.id('film'));
    assert.ok((await reading).equals(right));
    await lib.volume.fileSystem.release(handle);
  });

  it('serves every right piece of a file of which some are wrong, and none of these', async (t) => {
    const lib = await library(t);
    const wrong = new Set([3, 4, 17, 50, 99]);
    for (const piece of wrong) overwrite(lib.source('film'), Buffer.from('wrong'), piece * PIECE + 77);
    const handle = await lib.openFile('film');
    const failed: number[] = [];
    for (let piece = 0; piece < COUNT; piece++) {
      const got = await lib.readHandle(handle, PIECE, piece * PIECE).catch(() => undefined);
      if (got === undefined) failed.push(piece);
      else assert.ok(got.equals(FILM.subarray(piece * PIECE, (piece + 1) * PIECE)), `piece ${piece}`);
    }
    assert.deepEqual(failed, [...wrong]);
    await lib.volume.fileSystem.release(handle);
  });
});
