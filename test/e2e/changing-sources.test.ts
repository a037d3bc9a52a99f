/** Sources that are written to in place while many read them through the mount: no wrong byte reaches a reader. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { content } from '../vfs/proving/library.ts';

const PIECE = 16_384;
const PIECES = 128;
const FILM = content(7, PIECES * PIECE);
/** The storm lasts until it has had this many: some seconds, and longer on a busy machine. */
const WRITES = 80;
const RIGHT = 80;
const LIMIT_MS = 120_000;
/** Two changes within one tick of the kernel's clock have one ctime: that is the window, and no test of it. */
const TICK_MS = 25;

const pieceOf = (piece: number): Buffer => FILM.subarray(piece * PIECE, (piece + 1) * PIECE);
const anyPiece = (): number => Math.floor(Math.random() * PIECES);

it('serves right bytes or none in a storm of writes and reads', async () => {
  const folder = temporaryFolder('storm');
  await mkdir(join(folder, 'disk'));
  const source = join(folder, 'disk', 'film');
  await writeFile(source, FILM);
  await writeFile(join(folder, 'film.torrent'), makeTorrent({ name: 'film', content: FILM }).raw);
  const autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
  const server = await autotorrent.mount();
  try {
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const added = await autotorrent.run('add', join(folder, 'film.torrent'));
    assert.equal(added.code, 0, added.stdout + added.stderr);
    const shown = join(autotorrent.storePath, 'film', 'film');
    const counts = { right: 0, wrong: 0, failed: 0, writes: 0 };
    const limit = performance.now() + LIMIT_MS;
    const goesOn = (): boolean => (counts.writes < WRITES || counts.right < RIGHT) && performance.now() < limit;
    const write = async (): Promise<void> => {
      const fd = fs.openSync(source, 'r+');
      for (; goesOn(); counts.writes++) {
        const piece = anyPiece();
        const { atime, mtime } = fs.fstatSync(fd);
        fs.writeSync(fd, Buffer.alloc(PIECE, 'wrong'), 0, PIECE, piece * PIECE);
        if (counts.writes % 2 === 0) fs.futimesSync(fd, atime, mtime);
        await sleep(TICK_MS + 50 * Math.random());
        fs.writeSync(fd, pieceOf(piece), 0, PIECE, piece * PIECE);
        if (counts.writes % 2 === 0) fs.futimesSync(fd, atime, mtime);
        await sleep(TICK_MS);
      }
      fs.closeSync(fd);
    };
    const read = async (): Promise<void> => {
      const buffer = Buffer.alloc(PIECE);
      while (goesOn()) {
        const piece = anyPiece();
        const handle = await open(shown, 'r').catch(() => undefined);
        const got = await handle?.read(buffer, 0, PIECE, piece * PIECE).catch(() => undefined);
        await handle?.close();
        counts[got === undefined ? 'failed' : buffer.equals(pieceOf(piece)) ? 'right' : 'wrong']++;
      }
    };
    await Promise.all([write(), read(), read(), read()]);
    assert.equal(counts.wrong, 0, JSON.stringify(counts));
    assert.ok(counts.writes >= WRITES && counts.right >= RIGHT, JSON.stringify(counts));
  } finally {
    await server.stop();
  }
});
