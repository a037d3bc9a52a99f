/**
 * A file has a wrong piece and is as it was recorded: it was wrong when the torrent was added. Whoever finds the piece, it is
 * never served again, and no look at the file and no restart of the server makes it right.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { EntryJson, ScrubbedJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const PIECE = 16_384;
const PIECES = 40;
/** No probe of a file of 40 pieces hashes it. */
const WRONG = 13;

describe('a wrong piece of a file that is as it was recorded', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon | undefined;
  let data: Buffer;
  const path = (name: string): string => join(folder, 'disk', name);

  beforeEach(async () => {
    folder = temporaryFolder('wrong-bytes');
    await mkdir(path(''));
    data = randomBytes(PIECES * PIECE);
    const wrong = Buffer.from(data);
    wrong.write('rotten', WRONG * PIECE + 100);
    await writeFile(path('film.bin'), wrong);
    const { raw } = makeTorrent({ name: 'film.bin', content: data, pieceLength: PIECE });
    await writeFile(join(folder, 'film.torrent'), raw);
  });
  afterEach(async () => {
    await server?.stop();
    server = undefined;
  });

  const add = async (general: readonly string[] = [], verify = 'probe'): Promise<void> => {
    autotorrent = await autotorrentIn({ folder, disks: [path('')], general: ['on_loss = tell', ...general] });
    server = await autotorrent.mount();
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const { code, stdout } = await autotorrent.run('add', '--verify', verify, join(folder, 'film.torrent'));
    assert.equal(code, 0, stdout);
  };
  const entry = async (): Promise<EntryJson> => {
    const [one] = (await autotorrent.json('list', '--no-client')) as EntryJson[];
    return one ?? assert.fail('the entry is not there');
  };
  /** Reads a piece from the mount; the name of the error if it cannot be read. */
  const read = async (piece: number): Promise<Buffer | string> => {
    const file = await open(join(autotorrent.storePath, 'film', 'film.bin'));
    try {
      const bytes = Buffer.alloc(PIECE);
      const { bytesRead } = await file.read(bytes, 0, PIECE, piece * PIECE);
      return bytes.subarray(0, bytesRead);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? 'no code';
    } finally {
      await file.close();
    }
  };
  const right = (piece: number): Buffer => data.subarray(piece * PIECE, (piece + 1) * PIECE);
  /** The others are read, too, so that the wrong one has good neighbours. */
  const expectServed = async (wrong: Buffer | string): Promise<void> => {
    for (const piece of [WRONG - 1, WRONG, WRONG + 1, 0, PIECES - 1]) {
      assert.deepEqual(await read(piece), piece === WRONG ? wrong : right(piece), `piece ${piece}`);
    }
  };
  const restart = async (): Promise<void> => {
    await server?.stop();
    server = await autotorrent.mount();
  };
  /** It is lost, it is said, and it stays so. */
  const expectLost = async (): Promise<void> => {
    const isLost = async (): Promise<boolean> => (await entry()).health_detail === 'lost 16.4 kB';
    await waitUntil('the piece is lost', isLost);
    assert.match((await autotorrent.run('show', 'film')).stdout, /212992–229376 ← .*film\.bin.* \(lost\)$/m);
    await expectServed('EIO');
    await restart();
    await expectServed('EIO');
    assert.ok(await isLost());
  };

  it('is lost when scrub finds it, and nothing is hashed again of what the healer has hashed', async () => {
    await add();
    assert.equal((await autotorrent.run('scrub')).code, 3);
    await expectLost();
    const { code, stdout } = await autotorrent.run('--json', 'scrub');
    assert.equal(code, 3);
    const [found] = JSON.parse(stdout) as ScrubbedJson[];
    assert.deepEqual([found?.proven_pieces, found?.bad_pieces], [0, [WRONG]]);
  });

  it('is lost when verify finds it, which says so', async () => {
    await add();
    const { code, stdout } = await autotorrent.run('verify', 'film');
    assert.equal(code, 3);
    assert.match(
      stdout,
      /39 of 40 pieces verified, 1 wrong \(13\)\n {2}.*film\.bin does not hold the bytes of a piece/,
    );
    await expectLost();
  });

  it('is lost when its first reader finds it, with verify_reads = first', async () => {
    await add(['verify_reads = first']);
    assert.equal(await read(WRONG), 'EIO');
    await expectLost();
  });

  it('comes from another copy, if there is one', async () => {
    await add();
    await mkdir(path('copy'));
    await writeFile(path('copy/film.bin'), data);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    assert.equal((await autotorrent.run('verify', 'film')).code, 3, 'it was wrong');
    await waitUntil('it is mapped', async () => (await entry()).health !== 'healing');
    await expectServed(right(WRONG));
    await restart();
    await expectServed(right(WRONG));
    assert.equal((await autotorrent.run('verify', 'film')).code, 0);
  });

  it('is missing when add finds it', async () => {
    await add(['add_limit_percent = 5'], 'full');
    assert.equal((await entry()).missing_bytes, PIECE);
    await expectServed(Buffer.alloc(PIECE));
    assert.equal((await autotorrent.run('verify', 'film')).code, 0);
    await restart();
    await expectServed(Buffer.alloc(PIECE));
  });
});
