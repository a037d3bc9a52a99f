/**
 * Damaged and changed files: no verified piece reads back wrong through the mount, missing bytes read as zeros and count as
 * missing, and neither the collection nor the room of the state changes. The built program, a real mount, and this process,
 * which does not serve it.
 *
 * MANGLED_SEEDS says how many torrents (24), MANGLED_FIRST which seed is the first (1).
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { EntryJson, FileJson, StatusJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { type Mangled, mangle } from './mangled/mangle.ts';

const COUNT = Number(process.env['MANGLED_SEEDS'] ?? 24);
const FIRST = Number(process.env['MANGLED_FIRST'] ?? 1);
/** Bytes that the store's records of one torrent may take. */
const ROOM_FOR_RECORDS = 64 * 1024;

type Shown = EntryJson & {
  readonly verified_ranges: readonly (readonly [first: number, end: number])[];
  readonly file_list: readonly FileJson[];
};

describe(`${COUNT} torrents of which the collection has mangled files`, () => {
  let folder: string;
  let disk: string;
  let autotorrent: Autotorrent;
  let server: Daemon | undefined;
  const torrents: Mangled[] = [];
  let collection: unknown;
  let room: number;
  before(async () => {
    folder = temporaryFolder('mangled');
    disk = join(folder, 'disk');
    await mkdir(join(folder, 'probe'));
    await mkdir(join(folder, 'full'));
    for (let i = 0; i < COUNT; i++) {
      const torrent = await mangle(FIRST + i, disk);
      await writeFile(join(folder, i % 2 === 0 ? 'probe' : 'full', `${torrent.name}.torrent`), torrent.raw);
      torrents.push(torrent);
    }
    collection = await snapshot(disk);
    autotorrent = await autotorrentIn({
      folder,
      disks: [disk],
      general: [
        'scan_mode = unsplitable,normal,hash_name,hash_size,hash_slow',
        'hash_size_varying = 60',
        'hash_limit = 8, 32 MiB',
        'add_limit_percent = 100',
        'add_limit_size = 1 TiB',
      ],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
    room = await roomOf(autotorrent.statePath);
  });
  after(async () => {
    await server?.stop();
  });

  it('are added', async () => {
    for (const verify of ['probe', 'full']) {
      const { code, stdout, stderr } = await autotorrent.run('add', '--no-client', '--verify', verify, verify);
      assert.equal(code, 0, stdout + stderr);
    }
  });

  it('read as their piece maps say', async (t: TestContext) => {
    const sum = { pieces: 0, verified: 0, right: 0 };
    for (const torrent of torrents) {
      const shown = (await autotorrent.json('show', torrent.name)) as Shown;
      const found = await check(torrent, shown);
      sum.pieces += shown.pieces;
      sum.verified += found.verified;
      sum.right += found.right;
    }
    t.diagnostic(`${sum.pieces} pieces, ${sum.verified} verified, ${sum.right} right`);
    // Most bytes that are there must be found: otherwise these checks would prove nothing.
    assert.ok(sum.verified > sum.pieces / 2, `${sum.verified} of ${sum.pieces} verified`);
  });

  it('cost no room but for records, and nothing was written', async () => {
    const status = (await autotorrent.json('status')) as StatusJson;
    assert.deepEqual([status.overlay_bytes, status.bytes_written, status.read_errors], [0, 0, 0]);
    const most = torrents.reduce((bytes, { raw }) => bytes + 2 * raw.length + ROOM_FOR_RECORDS, 0);
    const grown = (await roomOf(autotorrent.statePath)) - room;
    assert.ok(grown <= most, `the state has grown by ${grown} bytes`);
  });

  it('leave the collection as it was', async () => assert.deepEqual(await snapshot(disk), collection));
});

/** Reads an entry through the mount, and compares it with its torrent. */
async function check({ name, raw }: Mangled, shown: Shown): Promise<{ verified: number; right: number }> {
  const metainfo = parseMetainfo(raw);
  const read: Buffer[] = [];
  let missing = 0;
  for (const [i, file] of shown.file_list.entries()) {
    assert.equal(file.length, metainfo.files[i]?.length, file.path);
    const bytes = await readFile(join(shown.directory, file.path));
    assert.equal(bytes.length, file.length, file.path);
    read.push(bytes);
    let end = 0;
    for (const { offset, length, kind } of file.extents) {
      assert.equal(offset, end, `${file.path} is covered without overlaps`);
      end = offset + length;
      if (kind === 'source') continue;
      if (kind === 'gap') missing += length;
      assert.ok(isZero(bytes.subarray(offset, end)), `${file.path} has bytes where it has no source`);
    }
    assert.equal(end, file.length, file.path);
  }
  assert.equal(shown.missing_bytes, missing, `${name}: the gaps are what is missing`);
  const all = Buffer.concat(read);
  const isVerified = new Set(shown.verified_ranges.flatMap(([first, end]) => range(first, end)));
  assert.equal(isVerified.size, shown.verified_pieces);
  let right = 0;
  for (let piece = 0; piece < metainfo.pieceCount; piece++) {
    const from = piece * metainfo.pieceLength;
    const digest = createHash('sha1')
      .update(all.subarray(from, from + metainfo.pieceLength))
      .digest();
    const agrees = digest.equals(metainfo.pieces.subarray(piece * 20, piece * 20 + 20));
    if (agrees) right++;
    assert.ok(agrees || !isVerified.has(piece), `${name}: piece ${piece} is called verified, and reads back wrong`);
    // After hashing everything, all right pieces are known.
    if (shown.verify === 'full') assert.equal(isVerified.has(piece), agrees, `${name}: piece ${piece}`);
  }
  return { verified: isVerified.size, right };
}

async function snapshot(disk: string): Promise<unknown> {
  const hashes = await hashTree(disk);
  const files = [...hashes].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return await Promise.all(
    files.map(async ([path, hash]) => {
      const { mtimeNs, ctimeNs, ino, size } = await stat(join(disk, path), { bigint: true });
      return { path, hash, mtimeNs, ctimeNs, ino, size };
    }),
  );
}

/** Counts the bytes of all files below a folder, by their lengths. */
async function roomOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

const isZero = (bytes: Buffer): boolean => bytes.equals(Buffer.alloc(bytes.length));
const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);
