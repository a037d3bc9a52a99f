/** A disk that does not answer: its readers wait, and nobody else does. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { PieceReader, type Pieces } from '../harness/piece-reader.ts';
import { hashesOf, PIECE_LENGTH, randomBytesOf } from './films.ts';
import { Scene } from './scene.ts';

/** Longer than any test: no answer comes before the test asks for it. */
const NEVER_MS = 3_600_000;
const READERS = 16;
/** As many calls as libuv has threads for by itself. */
const THREADS = 4;
const PIECES = 4;

interface SmallFilm {
  readonly name: string;
  readonly bytes: Buffer;
  readonly torrent: Buffer;
  readonly lengths: readonly number[];
  readonly pieceLength: number;
  readonly hashes: readonly string[];
}

function filmOf(name: string): SmallFilm {
  const bytes = randomBytesOf(name, PIECES * PIECE_LENGTH);
  const { raw } = makeTorrent({ name, content: bytes, pieceLength: PIECE_LENGTH });
  return { name, bytes, torrent: raw, lengths: [bytes.length], pieceLength: PIECE_LENGTH, hashes: hashesOf(bytes) };
}

describe('a disk that does not answer', { skip: NEEDS_ROOT, timeout: 120_000 }, () => {
  it('keeps nobody waiting who reads from another', async () => {
    const scene = await Scene.make({ kind: 'fuse', person: 'root' });
    const other = PieceReader.start(scene.person);
    try {
      await waiting(scene, other);
    } finally {
      scene.fileSystem.answerAfter(0);
      await other.end();
      await scene.end();
    }
  });
});

async function waiting(scene: Scene, other: PieceReader): Promise<void> {
  const { fileSystem, reader } = scene;
  // Some are read before the disk falls asleep, and some are opened then.
  const slow = Array.from({ length: READERS + THREADS }, (_, i) => filmOf(`Slow ${i}.mkv`));
  const [quick, held] = [filmOf('Quick.mkv'), filmOf('Held.mkv')];
  for (const { name, bytes } of slow) scene.write(join(scene.library, name), bytes);
  mkdirSync(join(scene.elsewhere, 'films'));
  for (const { name, bytes } of [quick, held]) writeFileSync(join(scene.elsewhere, 'films', name), bytes);
  await scene.run('rebuild');
  await scene.mount();
  await scene.add([...slow, quick, held]);
  const pathOf = ({ name }: SmallFilm): string => join(scene.autotorrent.storePath, name, name);
  const fds = await Promise.all(
    slow.slice(0, READERS).map(async (film) => await reader.open(pathOf(film), { cached: true })),
  );
  const heldFd = await other.open(pathOf(held), { cached: true });
  // So that the server looks at what it has open again.
  await sleep(1100);
  for (const { name } of [quick, held]) forgetPages(join(scene.elsewhere, 'films', name));

  fileSystem.answerAfter(NEVER_MS);
  let ended = 0;
  const note = (pieces: Pieces): Pieces => {
    ended++;
    return pieces;
  };
  const reads = slow.map(async (film, i) =>
    note(await (i < READERS ? reader.pieces([fds[i]!], film) : reader.piecesOf([pathOf(film)], film))),
  );
  while ((await fileSystem.waiting()) < THREADS) await sleep(20);

  const whole: Pieces = { good: PIECES, wrong: [], failed: {}, unread: [] };
  assert.deepEqual(await other.pieces([heldFd], held), whole, 'a file that was open before');
  assert.deepEqual(await other.piecesOf([pathOf(quick)], quick), whole, 'a file that is opened now');
  assert.equal((await scene.run('status')).code, 0);
  assert.equal(ended, 0, 'no reader of the slow disk has an answer yet');

  fileSystem.answerAfter(0);
  for (const read of await Promise.all(reads)) assert.deepEqual(read, whole);
}

/** Drops a file's pages from the kernel's cache, so that it is read from the disk. */
function forgetPages(path: string): void {
  execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}
