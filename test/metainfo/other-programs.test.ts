/** Torrents that other programs made, compared with those programs' own reading of them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { pieceSpans } from '../../src/metainfo/piece-layout.ts';
import { withTopLevelKey } from '../../src/metainfo/top-level-key.ts';
import { temporaryFolder } from '../harness/folder.ts';

/** Makes v1, v2 and hybrid torrents of each path, and prints libtorrent's reading of them. */
const LIBTORRENT = `
import base64, json, os, sys
import libtorrent as lt
made = []
for path in sys.argv[1:]:
    for version, flags in (('v1', lt.create_torrent.v1_only), ('v2', lt.create_torrent.v2_only), ('hybrid', 0)):
        storage = lt.file_storage()
        lt.add_files(storage, path)
        torrent = lt.create_torrent(storage, 16384, flags)
        torrent.add_tracker('http://127.0.0.1/a', 0)
        torrent.set_comment('made by libtorrent')
        torrent.set_priv(True)
        lt.set_piece_hashes(torrent, os.path.dirname(path))
        raw = lt.bencode(torrent.generate())
        info = lt.torrent_info(lt.bdecode(raw))
        files = info.files()
        made.append({
            'version': version, 'raw': base64.b64encode(raw).decode(), 'name': info.name(), 'pieces': info.num_pieces(),
            'v1': str(info.info_hashes().v1), 'v2': str(info.info_hashes().v2), 'hash': str(info.info_hash()),
            'files': [[files.file_path(i), files.file_size(i), files.file_offset(i),
                       bool(files.file_flags(i) & lt.file_flags_t.flag_pad_file)] for i in range(info.num_files())],
        })
print(json.dumps(made))
`;

interface Told {
  readonly version: Metainfo['version'];
  readonly raw: string;
  readonly name: string;
  readonly pieces: number;
  readonly v1: string;
  readonly v2: string;
  readonly hash: string;
  readonly files: readonly (readonly [path: string, size: number, offset: number, pad: boolean])[];
}

const SIZES: Readonly<Record<string, number>> = {
  'a.bin': 5,
  'b é.bin': 100_000,
  empty: 0,
  'sub/c': 16_384,
  'sub/deeper/d': 70_001,
};

describe('torrents of other programs', () => {
  let root: string;
  before(() => {
    root = temporaryFolder('metainfo');
    for (const [name, size] of Object.entries(SIZES)) {
      mkdirSync(join(root, 'folder', name, '..'), { recursive: true });
      writeFileSync(join(root, 'folder', name), randomBytes(size));
    }
    writeFileSync(join(root, 'one.bin'), randomBytes(50_000));
  });

  /** A torrent's file as it lies below `root`. */
  const onDisk = (meta: Metainfo, file: number): Buffer => {
    const { path, pad, length } = meta.files[file]!;
    if (pad) return Buffer.alloc(length);
    return readFileSync(join(root, ...(meta.multi ? [meta.name] : []), ...path));
  };

  /** Checks every SHA-1, and every digest of a piece layer that stands for one block, against the files. */
  const checkPieces = (meta: Metainfo): void => {
    for (let piece = 0; piece < meta.pieceCount; piece++) {
      const spans = pieceSpans(meta, piece);
      const bytes = Buffer.concat(
        spans.map(({ file, offset, length }) => onDisk(meta, file).subarray(offset, offset + length)),
      );
      if (meta.version !== 'v2') {
        const expected = meta.pieces.subarray(piece * 20, piece * 20 + 20);
        assert.ok(createHash('sha1').update(bytes).digest().equals(expected), `piece ${piece}`);
        continue;
      }
      assert.equal(spans.length, 1);
      const file = meta.files[spans[0]!.file]!;
      const layer = meta.pieceLayers.get(file.piecesRoot!.toString('hex')) ?? file.piecesRoot!;
      const at = (spans[0]!.offset / meta.pieceLength) * 32;
      assert.ok(
        createHash('sha256')
          .update(bytes)
          .digest()
          .equals(layer.subarray(at, at + 32)),
        `piece ${piece}`,
      );
    }
  };

  it('of libtorrent are read as libtorrent reads them', () => {
    const paths = [join(root, 'folder'), join(root, 'one.bin')];
    const output = execFileSync('/usr/bin/python3', ['-W', 'ignore', '-c', LIBTORRENT, ...paths], { encoding: 'utf8' });
    const made: readonly Told[] = JSON.parse(output);
    assert.equal(made.length, 6);
    for (const told of made) {
      const meta = parseMetainfo(Buffer.from(told.raw, 'base64'));
      assert.equal(meta.version, told.version);
      assert.equal(meta.name, told.name);
      assert.equal(meta.pieceCount, told.pieces);
      if (told.version !== 'v2') assert.equal(meta.infoHash, told.v1);
      else assert.equal(meta.infoHash, told.hash);
      if (told.version !== 'v1') assert.equal(meta.infoHashV2, told.v2);
      // In v2-only torrents the pad files are libtorrent's own.
      const expected = told.files.filter((file) => told.version !== 'v2' || !file[3]);
      assert.deepEqual(
        meta.files.map((f) => [[...(meta.multi ? [meta.name] : []), ...f.path].join('/'), f.length, f.pad]),
        expected.map(([path, size, , pad]) => [path, size, pad]),
      );
      const withBytes = meta.files.filter((f) => f.length > 0);
      assert.deepEqual(
        withBytes.map((f) => f.offset),
        expected.filter((file) => file[1] > 0).map((file) => file[2]),
      );
      assert.deepEqual(
        [meta.private, meta.comment, meta.announce],
        [true, 'made by libtorrent', [['http://127.0.0.1/a']]],
      );
      checkPieces(meta);
    }
  });

  it('of mktorrent are read as they were made', () => {
    const target = join(root, 'made.torrent');
    const tell = [
      '-l',
      '15',
      '-p',
      '-s',
      'SRC',
      '-a',
      'http://127.0.0.1/a,http://127.0.0.1/b',
      '-a',
      'http://127.0.0.1/c',
    ];
    execFileSync('mktorrent', [...tell, '-o', target, join(root, 'folder')], { stdio: 'ignore' });
    const meta = parseMetainfo(readFileSync(target));
    assert.deepEqual([meta.version, meta.name, meta.multi, meta.pieceLength], ['v1', 'folder', true, 32768]);
    assert.deepEqual([meta.private, meta.source], [true, 'SRC']);
    assert.deepEqual(meta.announce, [['http://127.0.0.1/a', 'http://127.0.0.1/b'], ['http://127.0.0.1/c']]);
    const sizes = Object.fromEntries(meta.files.map((f) => [f.path.join('/'), f.length]));
    assert.deepEqual(sizes, SIZES);
    checkPieces(meta);
  });

  it('keep their hash, for libtorrent too, when a key is added', () => {
    const target = join(root, 'one.torrent');
    execFileSync('mktorrent', ['-o', target, join(root, 'one.bin')], { stdio: 'ignore' });
    const raw = readFileSync(target);
    writeFileSync(target, withTopLevelKey(raw, 'libtorrent_resume', { bitfield: 1, files: [{ mtime: -1 }] }));
    const script = 'import libtorrent as lt, sys; print(lt.torrent_info(sys.argv[1]).info_hash())';
    const told = execFileSync('/usr/bin/python3', ['-W', 'ignore', '-c', script, target], { encoding: 'utf8' });
    assert.equal(told.trim(), parseMetainfo(raw).infoHash);
  });
});
