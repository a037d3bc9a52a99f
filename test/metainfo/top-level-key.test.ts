import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import bencode from 'bencode';
import { AutotorrentError } from '../../src/errors.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type BencodeValue, withTopLevelKey } from '../../src/metainfo/top-level-key.ts';
import { single } from './torrent-bytes.ts';

const added = (raw: string, key: string, value: BencodeValue): string =>
  withTopLevelKey(Buffer.from(raw, 'latin1'), key, value).toString('latin1');

function decodedKey(raw: Buffer, key: string): unknown {
  const decoded: unknown = bencode.decode(raw);
  return typeof decoded === 'object' && decoded !== null ? Reflect.get(decoded, key) : undefined;
}

describe('a top-level key', () => {
  it('is put in its place', () => {
    assert.equal(added('de', 'a', 1), 'd1:ai1ee');
    assert.equal(added('d1:bi1ee', 'a', 'x'), 'd1:a1:x1:bi1ee');
    assert.equal(added('d1:bi1ee', 'c', []), 'd1:bi1e1:clee');
    assert.equal(added('d1:bi1e2:ddi1ee', 'c', {}), 'd1:bi1e1:cde2:ddi1ee');
    assert.equal(added('d1:zi1e1:ai1ee', 'm', 1), 'd1:mi1e1:zi1e1:ai1ee');
    assert.equal(added('d1:bi1ee\n', 'c', 1), 'd1:bi1e1:ci1ee\n');
  });

  it('replaces the one that is there', () => {
    assert.equal(added('d1:bl1:b1:ce1:di1ee', 'b', 7), 'd1:bi7e1:di1ee');
    assert.equal(added('d1:zi1e1:bi1ee', 'b', 7), 'd1:zi1e1:bi7ee');
  });

  it('leaves the info hash alone, keys out of order or not', () => {
    const raw = single({ aaa: 1 }, { announce: 'http://a/', zzz: 1 });
    const resume = {
      bitfield: Buffer.from([0xff, 0x80]),
      files: [
        { completed: 3, mtime: 1_700_000_000, priority: 1 },
        { completed: 0, mtime: -1, priority: 1 },
      ],
    };
    const made = withTopLevelKey(raw, 'libtorrent_resume', resume);
    assert.equal(parseMetainfo(made).infoHash, parseMetainfo(raw).infoHash);
    assert.deepEqual(decodedKey(made, 'libtorrent_resume'), {
      bitfield: new Uint8Array(resume.bitfield),
      files: resume.files,
    });
  });

  it('refuses what bencode cannot say, rather than dropping it', () => {
    const bad: unknown[] = [
      1.5,
      Number.NaN,
      2 ** 60,
      1n,
      null,
      undefined,
      true,
      { a: null },
      [undefined],
      new Map(),
      new Date(),
    ];
    for (const value of bad) {
      assert.throws(() => Reflect.apply(withTopLevelKey, undefined, [Buffer.from('de'), 'a', value]), TypeError);
    }
  });

  it('refuses what is no dictionary', () => {
    for (const raw of ['le', 'i1e', 'd', 'dex']) assert.throws(() => added(raw, 'a', 1), AutotorrentError);
  });
});
