/** `verify` of v2 and hybrid torrents (BEP 52), as libtorrent makes them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { cp, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { VerifiedJson } from '../../src/cli/json.ts';
import { merklePiece } from '../../src/metainfo/merkle-pieces.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { libtorrentOf } from '../harness/libtorrent.ts';

const PIECE = 65_536;
const FILES: Readonly<Record<string, Buffer>> = {
  'a.nfo': randomBytes(5),
  'b.bin': randomBytes(300_000),
  'c.bin': randomBytes(2 * PIECE),
  'sub/d.bin': randomBytes(20_000),
};
/** 1 + 5 + 2 + 1: each file begins a piece. */
const PIECES = 9;

describe('verify of v2 and hybrid torrents', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;

  before(async () => {
    folder = temporaryFolder('verify-v2');
    for (const [path, data] of Object.entries(FILES)) {
      await mkdir(join(folder, 'disk', 'Album', path, '..'), { recursive: true });
      await writeFile(join(folder, 'disk', 'Album', path), data);
    }
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
  });
  after(async () => {
    await server.stop();
  });

  /** Takes names and sizes for a match: what is hashed is `verify`'s to say. */
  const add = async (name: string, raw: Buffer): Promise<void> => {
    const path = join(folder, `${name}.torrent`);
    await writeFile(path, raw);
    const { code, stdout, stderr } = await autotorrent.run('add', '--verify', 'none', path);
    assert.equal(code, 0, stdout + stderr);
  };
  const verify = async (name: string): Promise<VerifiedJson & { readonly code: number }> => {
    const { code, stdout, stderr } = await autotorrent.run('--json', 'verify', name);
    const [entry] = JSON.parse(stdout) as VerifiedJson[];
    assert.ok(entry !== undefined, stderr);
    return { ...entry, code };
  };
  const write = async (path: string, position: number): Promise<void> => {
    const file = await open(join(autotorrent.storePath, path), 'r+');
    await file.write(Buffer.from('changed'), 0, 7, position);
    await file.close();
  };

  for (const version of ['v2', 'hybrid'] as const) {
    it(`hashes ${version} torrents of libtorrent, and tells the wrong piece`, async () => {
      await add(version, libtorrentOf(join(folder, 'disk', 'Album'), version, PIECE));
      const whole = await verify(version);
      assert.deepEqual(
        [whole.pieces, whole.verified_pieces, whole.bad_pieces, whole.broken, whole.skipped, whole.code],
        [PIECES, PIECES, [], false, undefined, 0],
      );
      // The pieces of a file are counted from the piece boundary at which it begins.
      await write(`${version}/Album/c.bin`, PIECE + 5);
      const changed = await verify(version);
      assert.deepEqual([changed.verified_pieces, changed.bad_pieces, changed.code], [PIECES - 1, [7], 3]);
      assert.deepEqual(changed.contradictory_pieces, []);
    });
  }

  it('takes back what is verified when a client writes, piece by piece, in v2', async () => {
    await add('written', libtorrentOf(join(folder, 'disk', 'Album'), 'v2', 2 * PIECE));
    const { pieces } = await verify('written');
    assert.equal(pieces, 6);
    await write('written/Album/sub/d.bin', 0);
    const shown = (await autotorrent.json('show', 'written')) as { readonly verified_pieces: number };
    assert.equal(shown.verified_pieces, 5);
    assert.deepEqual((await verify('written')).bad_pieces, [5]);
  });

  it('refuses pieces on which the two sides of a hybrid torrent disagree', async () => {
    const raw = Buffer.from(libtorrentOf(join(folder, 'disk', 'Album'), 'hybrid', PIECE));
    const { pieces } = parseMetainfo(raw); // a view
    // Piece 2 has another SHA-1; piece 6 agrees with the disk by its SHA-1, and with the original by its merkle tree.
    createHash('sha1').update('other').digest().copy(pieces, 40);
    const other = join(folder, 'disk', 'Other');
    await cp(join(folder, 'disk', 'Album'), other, { recursive: true });
    const data = Buffer.from(FILES['c.bin'] ?? []);
    data.fill(1, 0, 10);
    createHash('sha1').update(data.subarray(0, PIECE)).digest().copy(pieces, 120);
    await writeFile(join(other, 'c.bin'), data);
    await rm(join(folder, 'disk', 'Album', 'c.bin'));
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const meta = parseMetainfo(raw);
    assert.deepEqual(
      [merklePiece(meta, 2)?.span.offset, merklePiece(meta, 6)?.span],
      [PIECE, { file: meta.files.findIndex(({ path }) => path[0] === 'c.bin'), offset: 0, length: PIECE }],
    );

    await add('hybrid-bad', raw);
    const result = await verify('hybrid-bad');
    assert.deepEqual([result.bad_pieces, result.contradictory_pieces, result.broken], [[2, 6], [2, 6], true]);
    assert.equal(result.verified_pieces, PIECES - 2);
    const { code, stdout } = await autotorrent.run('verify', 'hybrid-bad');
    assert.equal(code, 3);
    assert.match(stdout, /2 of these match one of their two hashes.*contradicts itself \(2, 6\)/);
    assert.ok(data.equals(await readFile(join(other, 'c.bin'))));
  });
});
