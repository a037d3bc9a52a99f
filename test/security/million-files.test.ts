/**
 * Torrents of very many files, added together: the command aborted when their memory was not there, and added nothing else.
 * Here the memory is small instead of the torrents large: what is bounded is bounded in proportion.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { roomForTorrents, weightOf } from '../../src/app/weight.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn, type Result } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { writeLargeTorrent } from '../harness/large-torrents.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

/** MiB of the heap of the command: four of the torrents took more than twice of it together. */
const HEAP = 64;
const FILES = 15_000;
const LARGE = ['large1', 'large2', 'large3', 'large4'];

interface Document {
  readonly torrent: string;
  readonly status: string;
  readonly reason: string;
  readonly files: readonly object[];
}

describe('torrents of very many files', () => {
  const folder = temporaryFolder('million-files');
  const torrents = join(folder, 'torrents');
  let autotorrent: Autotorrent;

  before(async () => {
    await mkdir(join(folder, 'disk'));
    await mkdir(torrents);
    const data = Buffer.alloc(30_000, 'found');
    await writeFile(join(folder, 'disk', 'ordinary.bin'), data);
    // By name the ordinary ones are first, in the middle and last.
    for (const name of ['first', 'large3 and', 'last']) {
      const { raw } = makeTorrent({ name: 'ordinary.bin', content: data, info: { source: name } });
      await writeFile(join(torrents, `${name}.torrent`), raw);
    }
    for (const name of LARGE) writeLargeTorrent(join(torrents, `${name}.torrent`), name, { files: FILES });
    writeLargeTorrent(join(torrents, 'larger.torrent'), 'larger', { files: 6 * FILES });
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });

  const withSmallHeap = async (...args: readonly string[]): Promise<Result> => {
    const before = process.env['NODE_OPTIONS'];
    process.env['NODE_OPTIONS'] = `--max-old-space-size=${HEAP}`;
    try {
      return await autotorrent.run(...args);
    } finally {
      if (before === undefined) delete process.env['NODE_OPTIONS'];
      else process.env['NODE_OPTIONS'] = before;
    }
  };

  it('are looked up one after the other, and the one that cannot fit is refused by name', async () => {
    const { code, stdout, stderr } = await withSmallHeap('add', '--dry-run', 'txt', torrents);
    assert.equal(code, 3, stderr);
    for (const name of ['first', 'large3 and', 'last']) assert.match(stdout, new RegExp(`\\[OK\\] +'${name}'`));
    for (const name of LARGE) assert.match(stdout, new RegExp(`\\[Missing\\] +'${name}' .*only 0\\.00% found`));
    assert.match(
      stdout,
      /\[Failed\] +'larger' It is too large for this process: .*NODE_OPTIONS=--max-old-space-size=\d+/,
    );
  });

  it('are printed as JSON with all their files', async () => {
    const { code, stdout, stderr } = await withSmallHeap('add', '--dry-run', 'json', torrents);
    assert.equal(code, 3, stderr);
    const documents = JSON.parse(stdout) as Document[];
    assert.deepEqual(
      documents.map(({ status, files }) => [status, files.length]),
      [
        ['OK', 1],
        ['Missing', FILES],
        ['Missing', FILES],
        ['OK', 1],
        ['Missing', FILES],
        ['Missing', FILES],
        ['Failed', 0],
        ['OK', 1],
      ],
    );
  });

  it('weigh more than what goes together, and less than what fits', () => {
    const raw = readFileSync(join(torrents, 'large1.torrent'));
    const weight = weightOf(parseMetainfo(raw));
    const heap = roomForTorrents(HEAP * 2 ** 20);
    assert.ok(weight > heap.all && weight < heap.one, `${weight} of ${heap.all} to ${heap.one}`);
  });
});
