import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { AutotorrentError } from '../../src/errors.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { bencoded, type Dictionary, file, multi, pieces, Raw, single, type Value } from './torrent-bytes.ts';

const KIB16 = 16384;
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const pathsOf = (meta: Metainfo): string[] => meta.files.map((f) => f.path.join('/'));
const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');
const sha256 = (...bytes: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(bytes)).digest();

/** Checks that it is refused, with this reason. */
function refused(raw: Buffer, reason: RegExp, what = ''): void {
  assert.throws(
    () => parseMetainfo(raw),
    (error) => {
      assert.ok(error instanceof AutotorrentError, `${what}: ${String(error)}`);
      assert.equal(error.code, 'TORRENT');
      assert.match(error.message, reason, what);
      assert.ok(
        Array.from(error.message).every((letter) => letter >= ' '),
        what,
      );
      return true;
    },
    what,
  );
}

function hintOf(raw: Buffer): string | undefined {
  try {
    parseMetainfo(raw);
  } catch (error) {
    return error instanceof AutotorrentError ? error.hint : undefined;
  }
  return undefined;
}

describe('a v1 torrent', () => {
  it('of one file is read', () => {
    const raw = single(
      { private: 1, source: 'SRC' },
      { announce: ' http://127.0.0.1/a ', comment: 'a comment', 'creation date': 1 },
    );
    const meta = parseMetainfo(raw);
    assert.equal(meta.version, 'v1');
    assert.equal(meta.infoHashV2, undefined);
    assert.equal(meta.multi, false);
    assert.deepEqual(
      meta.files.map((file) => ({ ...file, rawPath: file.rawPath })),
      [{ index: 0, offset: 0, path: ['n'], rawPath: [latin1('n')], length: 5, pad: false, executable: false }],
    );
    assert.deepEqual([meta.name, meta.totalLength, meta.pieceLength, meta.pieceCount], ['n', 5, KIB16, 1]);
    assert.deepEqual([meta.private, meta.source, meta.comment], [true, 'SRC', 'a comment']);
    assert.deepEqual(meta.announce, [['http://127.0.0.1/a']]);
    assert.equal(meta.raw, raw);
    assert.ok(meta.pieces.equals(pieces(1)));
  });

  it('of several files is read', () => {
    const meta = parseMetainfo(
      multi([file('a/b', 16384), file('empty', 0), file('a/c', 1, { attr: 'x' })], { pieces: pieces(2) }),
    );
    assert.equal(meta.multi, true);
    assert.deepEqual(pathsOf(meta), ['a/b', 'empty', 'a/c']);
    assert.deepEqual(
      meta.files.map((f) => [f.index, f.offset, f.length, f.executable]),
      [
        [0, 0, 16384, false],
        [1, 16384, 0, false],
        [2, 16384, 1, true],
      ],
    );
    assert.deepEqual([meta.totalLength, meta.pieceCount], [16385, 2]);
  });

  it('is hashed over its bytes as they stand, also with keys out of order', () => {
    const info = bencoded({ pieces: pieces(1), 'piece length': KIB16, name: 'n', length: 5 });
    const meta = parseMetainfo(bencoded({ zebra: 'x', info: new Raw(info), announce: 'http://a/' }));
    assert.equal(meta.infoHash, sha1(info));
    assert.deepEqual(meta.announce, [['http://a/']]);
  });

  it('keeps tiers of trackers', () => {
    const tiers = ['http://a/', ['http://b/', ' ', 'http://c/\n'], [], [7, latin1('http://d/\xe9')]];
    const meta = parseMetainfo(single({}, { announce: 'http://x/', 'announce-list': tiers }));
    assert.deepEqual(meta.announce, [['http://b/', 'http://c/'], ['http://d/é']]);
    for (const list of [[], [[]], 'nothing', 7]) {
      const other = parseMetainfo(single({}, { announce: 'http://x/', 'announce-list': list }));
      assert.deepEqual(other.announce, [['http://x/']]);
    }
    assert.deepEqual(parseMetainfo(single()).announce, []);
  });

  it('shows the names of the utf-8 keys, and keeps the plain bytes', () => {
    const plain = [latin1('caf\xe9'), 'x'];
    const meta = parseMetainfo(
      multi([{ length: 5, path: plain, 'path.utf-8': ['café', 'y'] }], { name: latin1('n\xe9'), 'name.utf-8': 'né' }),
    );
    assert.deepEqual([meta.name, meta.rawName], ['né', latin1('n\xe9')]);
    assert.deepEqual(meta.files[0]?.path, ['café', 'y']);
    assert.deepEqual(meta.files[0]?.rawPath, [latin1('caf\xe9'), latin1('x')]);
  });

  it('reads names that are no UTF-8 as Latin-1', () => {
    const meta = parseMetainfo(multi([{ length: 5, path: [latin1('caf\xe9'), 'naïve'] }], { name: latin1('\xfc') }));
    assert.deepEqual([meta.name, meta.files[0]?.path], ['ü', ['café', 'naïve']]);
    assert.deepEqual(meta.files[0]?.rawPath, [latin1('caf\xe9'), Buffer.from('naïve')]);
  });

  it('does not believe a utf-8 key that is none (GBK)', () => {
    const gbk = latin1('\xd6\xd0\xb9\xfa');
    const meta = parseMetainfo(
      multi([{ length: 5, path: ['plain'], 'path.utf-8': [gbk] }], { name: 'plain', 'name.utf-8': gbk }),
    );
    assert.deepEqual([meta.name, pathsOf(meta)], ['plain', ['plain']]);
    const both = parseMetainfo(multi([{ length: 5, path: [gbk], 'path.utf-8': [gbk] }]));
    assert.deepEqual(pathsOf(both), ['ÖÐ¹ú']);
  });

  it('takes plain names that would be too long as Latin-1, where they are not shown', () => {
    const plain = Buffer.alloc(200, 0x83);
    const meta = parseMetainfo(
      multi([{ length: 5, path: [plain], 'path.utf-8': ['a'] }], { name: plain, 'name.utf-8': 'n' }),
    );
    assert.deepEqual(
      [meta.name, meta.rawName, meta.files[0]?.path, meta.files[0]?.rawPath],
      ['n', plain, ['a'], [plain]],
    );
  });

  it('does with the utf-8 keys alone', () => {
    const meta = parseMetainfo(multi([{ length: 5, 'path.utf-8': ['é'] }], { name: undefined, 'name.utf-8': 'n' }));
    assert.deepEqual([meta.name, meta.rawName, meta.files[0]?.rawPath], ['n', latin1('n'), [Buffer.from('é')]]);
  });

  it('keeps what Linux tells apart', () => {
    const names = [
      'A',
      'a',
      'é',
      'e\u0301',
      'back\\slash',
      'tab\t',
      'esc\x1b',
      '__proto__',
      'constructor',
      '\ufeffa',
      ' a',
      'a ',
      'a.',
      '...',
      '-rf',
      'a:b?',
    ];
    const meta = parseMetainfo(multi(names.map((name) => file(name, 1))));
    assert.deepEqual(pathsOf(meta), names);
  });

  it('drops empty parts of a path, and says where the last one is empty', () => {
    const empties = [
      [['', 'a', 'b'], 'a/b', undefined],
      [['a', '', 'b'], 'a/b', undefined],
      [['a', 'b', ''], 'a/b_', true],
      [['', 'a', '', 'b', '', ''], 'a/b_', true],
      [['é', ''], 'é_', true],
      [[''], '_', true],
      [['', ''], '_', true],
    ] as const;
    for (const [path, own, endsEmpty] of empties) {
      const [first] = parseMetainfo(multi([{ length: 5, path }])).files;
      const named = path.filter((name) => name !== '').join('/');
      assert.deepEqual(
        [first?.path.join('/'), first?.rawPath.join('/'), first?.endsEmpty],
        [own, named === '' ? '_' : named, endsEmpty],
      );
    }
    const long = parseMetainfo(multi([{ length: 5, path: ['x'.repeat(1023), ''] }])).files[0]?.path[0] ?? '';
    assert.match(long, /^x+~[0-9a-f]{8}$/);
    const [utf8] = parseMetainfo(multi([{ length: 5, path: [''], 'path.utf-8': ['a'] }])).files;
    assert.deepEqual([utf8?.path, utf8?.endsEmpty], [['a'], true]);
    const [both] = parseMetainfo(multi([{ length: 5, path: ['a', ''], 'path.utf-8': ['é'] }])).files;
    assert.deepEqual([both?.path, both?.rawPath.map(String), both?.endsEmpty], [['é'], ['a'], true]);
    const [plain] = parseMetainfo(multi([{ length: 5, path: ['a'], 'path.utf-8': [''] }])).files;
    assert.deepEqual([plain?.path, plain?.endsEmpty], [['a'], undefined]);
  });

  it('names a folder whose name is empty as libtorrent does', () => {
    const meta = parseMetainfo(multi([file('a')], { name: '' }));
    assert.deepEqual([meta.name, meta.rawName.length, pathsOf(meta)], ['_', 0, ['a']]);
    assert.equal(parseMetainfo(multi([file('a')], { name: '', 'name.utf-8': 'n' })).name, 'n');
    assert.equal(parseMetainfo(multi([file('a')], { name: 'n', 'name.utf-8': '' })).name, 'n');
  });

  it('shows names of up to 1,023 bytes as they are, in any script', () => {
    for (const name of [
      'x'.repeat(256),
      'x'.repeat(1023),
      'é'.repeat(511),
      '日'.repeat(341),
      `${'😀'.repeat(255)}abc`,
    ]) {
      const meta = parseMetainfo(multi([file(name), file(`below ${name.slice(0, 200)}/a`)], { name }));
      assert.deepEqual([meta.name, meta.files[0]?.path], [name, [name]]);
      assert.ok(meta.files[0]?.rawPath[0]?.equals(Buffer.from(name)) && meta.rawName.equals(Buffer.from(name)));
    }
    const latin = parseMetainfo(single({ name: Buffer.alloc(200, 0xe9) }));
    assert.deepEqual([latin.name, latin.rawName.length], ['é'.repeat(200), 200]);
  });

  it('has a shorter name for what no mount can show, and keeps its bytes', () => {
    const long = 'x'.repeat(1024);
    const names = [
      `${long}.mkv`,
      `${long}1.mkv`,
      `${long}.${'y'.repeat(20)}`,
      `.${long}`,
      '日'.repeat(400),
      `${long}😀.r00`,
    ];
    const paths = names.flatMap((name) => [name, `below ${name}/a`, `below ${name}/b`]);
    const meta = parseMetainfo(
      multi(
        paths.map((path) => file(path)),
        { name: names[0] },
      ),
    );
    assert.equal(new Set(pathsOf(meta)).size, paths.length);
    assert.equal(
      new Set(meta.files.map((one) => one.path[0])).size,
      2 * names.length,
      'files of a folder stay together',
    );
    for (const [i, one] of meta.files.entries()) {
      for (const name of one.path) assert.ok(Buffer.byteLength(name) <= 255, name);
      assert.equal(one.rawPath.join('/'), paths[i]);
    }
    assert.match(meta.name, /^x+~[0-9a-f]{8}\.mkv$/);
    assert.equal(meta.rawName.toString(), names[0]);
    assert.match(meta.files[15]?.path[0] ?? '', /^x+~[0-9a-f]{8}\.r00$/);
    assert.match(meta.files[6]?.path[0] ?? '', /^x+~[0-9a-f]{8}$/, 'what is no extension is cut');
  });

  it('has shorter names in a path that nobody could open', () => {
    const name = (i: number): string => `${i}${'x'.repeat(899)}.mkv`;
    const path = [0, 1, 2, 3, 4].map(name);
    const [deep, flat] = parseMetainfo(multi([file(path.join('/')), file(path.slice(0, 3).join('/'))])).files;
    assert.deepEqual(flat?.path, path.slice(0, 3));
    assert.ok(deep?.path.every((part, i) => part.startsWith(`${i}x`) && Buffer.byteLength(part) <= 255));
    assert.deepEqual(deep?.rawPath.map(String), path);
  });

  it('knows pad files by attribute and by name', () => {
    const bitcomet = '_____padding_file_0_if you see this file, please update to BitComet 0.85 or above____';
    const meta = parseMetainfo(
      multi([
        file('a', 1),
        file('.pad/9', 9, { attr: 'p' }),
        file('b', 1),
        file('.pad/9', 9, { attr: 'hp' }),
        file('.pad/7', 7),
        file('.pad/70', 8),
        file(bitcomet, 3),
        { attr: 'p', length: 11 },
        { attr: 'p', length: 11, path: [] },
      ]),
    );
    assert.deepEqual(
      meta.files.map((f) => f.pad),
      [false, true, false, true, true, false, true, true, true],
    );
    assert.deepEqual(meta.files.at(-1)?.path, ['.pad', '11']);
    assert.equal(meta.totalLength, 1 + 9 + 1 + 9 + 7 + 8 + 3 + 11 + 11);
  });

  it('has symlinks that stay inside', () => {
    const meta = parseMetainfo(
      multi([
        file('a', 5),
        { attr: 'l', path: ['b'], 'symlink path': ['sub', 'a'] },
        { attr: 'lx', length: 77, path: ['c'], 'symlink path': ['a'] },
        { attr: 'l', length: 0, path: ['d'] },
      ]),
    );
    assert.deepEqual(
      meta.files.map((f) => [f.symlink, f.length]),
      [
        [undefined, 5],
        [['sub', 'a'], 0],
        [['a'], 0],
        [undefined, 0],
      ],
    );
    refused(multi([{ attr: 'l', path: ['b'], 'symlink path': ['..', 'etc'] }, file('a')]), /lead out of/);
    refused(multi([{ attr: 'l', path: ['b'], 'symlink path': ['/etc'] }, file('a')]), /slash/);
    refused(multi([{ attr: 'l', path: ['b'], 'symlink path': 'a' }, file('a')]), /not a list/);
    refused(multi([{ attr: 'l', path: ['b'], 'symlink path': ['a'] }, file('b/a')]), /both a file and a folder/);
  });

  it('may end in white space, and in nothing else', () => {
    assert.equal(parseMetainfo(Buffer.concat([single(), Buffer.from('\r\n \n')])).name, 'n');
    refused(Buffer.concat([single(), Buffer.from('\nx')]), /follow after its end/);
    refused(Buffer.concat([single(), single()]), /follow after its end/);
    refused(Buffer.concat([single(), Buffer.alloc(1)]), /follow after its end/);
  });

  it('ignores what it does not need, whatever its type', () => {
    const meta = parseMetainfo(
      single(
        { private: 'yes', source: 7, attr: 7, zzz: [] },
        { comment: [], announce: 5, 'piece layers': 1, nodes: {} },
      ),
    );
    assert.deepEqual([meta.private, meta.source, meta.comment, meta.announce], [false, undefined, undefined, []]);
  });
});

describe('what is no torrent', () => {
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['nothing', Buffer.alloc(0), /empty/],
    ['a web page', Buffer.from('\n<!DOCTYPE html><html>'), /web page/],
    ['a magnet link', Buffer.from('magnet:?xt=urn:btih:0'), /magnet/],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0]), /compressed/],
    ['noise', Buffer.from('\x89PNG'), /byte 0/],
    ['a string', Buffer.from('4:spam'), /not a dictionary/],
    ['a list', Buffer.from('le'), /not a dictionary/],
    ['no info', Buffer.from('de'), /no info/],
    ['info alone', bencoded({ length: 5, name: 'n', 'piece length': KIB16, pieces: pieces(1) }), /no info/],
    ['info a string', Buffer.from('d4:info4:spame'), /info is not a dictionary/],
    ['info a list', Buffer.from('d4:infolee'), /info is not a dictionary/],
    ['no name', single({ name: undefined }), /no name/],
    ['an empty name', single({ name: '' }), /no name/],
    ['a number for a name', single({ name: 7 }), /no name/],
    ['a name that leads out', single({ name: '..' }), /lead out of/],
    ['a name that stays', multi([file('a')], { name: '.' }), /lead out of/],
    ['a slash in the name', single({ name: 'a/b' }), /slash/],
    ['a hidden slash in the plain name', single({ name: '../x', 'name.utf-8': 'x' }), /slash/],
    ['NUL in the name', single({ name: 'a\0b' }), /NUL/],
    ['..', multi([file('../../etc/passwd')]), /lead out of/],
    ['.', multi([file('./a')]), /lead out of/],
    ['.. in the plain path', multi([{ length: 5, path: ['..', 'a'], 'path.utf-8': ['b', 'a'] }]), /lead out of/],
    ['a slash', multi([{ length: 5, path: ['/etc/passwd'] }]), /slash/],
    ['NUL', multi([file('a\0')]), /NUL/],
    ['a path that cannot be opened', multi([file(`${'x'.repeat(200)}/`.repeat(18) + 'y')]), /longer than 3584/],
    ['a path of 101 folders', multi([file('x/'.repeat(100) + 'y')]), /over 100 folders/],
    ['an empty path', multi([{ length: 5, path: [] }]), /no name/],
    ['a single file with an empty name', single({ name: '', 'name.utf-8': '' }), /no name/],
    ['an empty path beside an empty one', multi([{ length: 5, path: [], 'path.utf-8': [] }]), /no name/],
    ['a name beside one that is the same without empty strings', multi([file('a/b'), file('a//b')]), /same path/],
    ['a slash in a name of 2,000 bytes', multi([{ length: 5, path: [`${'x'.repeat(2000)}/..`] }]), /slash/],
    ['a path that is a string', multi([{ length: 5, path: 'a' }]), /path of a file is not a list/],
    ['a path of numbers', multi([{ length: 5, path: ['a', 7] }]), /list of strings/],
    ['no path', multi([{ length: 5 }]), /no name/],
    ['one path twice', multi([file('a/b'), file('c'), file('a/b')]), /same path: "a\/b"/],
    ['one path twice after decoding', multi([file('é'), { length: 5, path: [latin1('\xe9')] }]), /same path/],
    ['a pad file over a file', multi([file('a'), file('a', 5, { attr: 'p' })]), /same path/],
    ['a file that is a folder', multi([file('a/b'), file('a!'), file('a')]), /"a" is both a file and a folder/],
    ['a folder that is a file, deep', multi([file('x/a'), file('x/a/b/c')]), /both a file and a folder/],
    ['no length', multi([{ path: ['a'] }]), /no length/],
    ['a length that is a string', single({ length: '5' }), /not a number/],
    ['a negative length', single({ length: -5 }), /negative/],
    ['a negative length of a file', multi([file('a', -1), file('b', 6)]), /negative/],
    ['an overflowing length', single({ length: new Raw('i9223372036854775807e') }), /too large/],
    ['an overflowing sum', multi([file('a', 2 ** 53 - 1), file('b', 1)]), /too large together/],
    ['neither length nor files', single({ length: undefined }), /no length/],
    ['both length and files', multi([file('a')], { length: 5 }), /both a length and a list/],
    ['no files', multi([]), /empty/],
    ['files that are a dictionary', single({ length: undefined, files: {} }), /not a list/],
    ['a file that is a list', multi([[]]), /not a dictionary/],
    ['no bytes', single({ length: 0, pieces: '' }), /all its files are empty/],
    ['files of no bytes', multi([file('a', 0), file('b', 0)], { pieces: '' }), /all its files are empty/],
    ['no piece length', single({ 'piece length': undefined }), /piece length is missing/],
    ['piece length 0', single({ 'piece length': 0 }), /piece length is 0/],
    ['a negative piece length', single({ 'piece length': -1 }), /piece length is -1/],
    ['a piece length of a string', single({ 'piece length': '16384' }), /piece length is missing/],
    ['an absurd piece length', single({ 'piece length': 2 ** 30 }), /over 512 MiB/],
    ['no piece hashes', single({ pieces: undefined }), /hashes are missing/],
    ['piece hashes in a list', single({ pieces: [] }), /hashes are missing/],
    ['a piece hash too few', single({ length: KIB16 + 1 }), /1 piece hashes for 2/],
    ['a piece hash too many', single({ pieces: pieces(2) }), /2 piece hashes for 1/],
    ['half a piece hash', single({ pieces: Buffer.alloc(30) }), /1.5 piece hashes for 1/],
    ['107 million pieces', single({ length: 107_000_000, 'piece length': 1 }), /107000000 pieces/],
    ['an unknown version', single({ 'meta version': 3 }), /version 3/],
    ['a v2 tree in a v1 torrent', single({ 'file tree': {} }), /does not say that it is a v2/],
    ['a v2 torrent without a tree', single({ 'meta version': 2 }), /no file tree/],
    ['a megabyte of trackers', single({}, { 'announce-list': [['x'.repeat(1 << 20)]] }), /trackers/],
  ];
  for (const [what, raw, reason] of cases) it(`refuses ${what}`, () => refused(raw, reason, what));

  it('refuses over 64 MiB, unread', () => {
    refused(Buffer.alloc(64 * 1024 * 1024 + 1), /64 MiB/);
  });

  it('says what to do where it can', () => {
    assert.match(hintOf(Buffer.from('<html>')) ?? '', /logged out/);
    assert.match(hintOf(single().subarray(0, 40)) ?? '', /[Dd]ownload/);
  });

  it('shortens what it quotes', () => {
    assert.throws(
      () => parseMetainfo(single({ name: `${'x'.repeat(5000)}/` })),
      (error) => error instanceof Error && error.message.length < 300,
    );
  });
});

/** A v2 file node. */
const leaf = (length: number, root?: Buffer, more: Dictionary = {}): Dictionary => ({
  '': { ...more, length, 'pieces root': root },
});
const ZERO_LEAF = Buffer.alloc(32);
const ROOT = sha256(latin1('a root'));

function v2(tree: Value, info: Dictionary = {}, top: Dictionary = {}): Buffer {
  const base = { 'file tree': tree, 'meta version': 2, name: 'n', 'piece length': KIB16 };
  return bencoded({ info: { ...base, ...info }, ...top });
}

describe('a v2 torrent', () => {
  // Three pieces of one block each: the fourth leaf is zeros.
  const layer = Buffer.concat([sha256(latin1('1')), sha256(latin1('2')), sha256(latin1('3'))]);
  const root3 = sha256(sha256(layer.subarray(0, 64)), sha256(layer.subarray(64), ZERO_LEAF));
  const layers = (entries: readonly (readonly [Buffer, Buffer])[]): Raw =>
    new Raw(Buffer.concat([latin1('d'), ...entries.flatMap(([k, v]) => [bencoded(k), bencoded(v)]), latin1('e')]));

  it('places each file at a piece of its own', () => {
    const raw = v2(
      { a: { b: leaf(5, ROOT), c: leaf(0) }, d: leaf(40_000, root3), e: leaf(KIB16, ROOT) },
      {},
      { 'piece layers': layers([[root3, layer]]) },
    );
    const meta = parseMetainfo(raw);
    const info = raw.subarray(raw.indexOf('4:info') + 6, raw.indexOf('12:piece layers'));
    assert.equal(meta.infoHashV2, sha256(info).toString('hex'));
    assert.equal(meta.infoHash, meta.infoHashV2?.slice(0, 40));
    assert.deepEqual([meta.version, meta.multi, meta.pieces.length], ['v2', true, 0]);
    assert.deepEqual(pathsOf(meta), ['a/b', 'a/c', 'd', 'e']);
    assert.deepEqual(
      meta.files.map((f) => f.offset / KIB16),
      [0, 1, 1, 4],
    );
    assert.deepEqual([meta.totalLength, meta.pieceCount], [5 + 40_000 + KIB16, 5]);
    assert.deepEqual(
      meta.files.map((f) => f.piecesRoot),
      [ROOT, undefined, root3, ROOT],
    );
    assert.deepEqual([...meta.pieceLayers.keys()], [root3.toString('hex')]);
    assert.ok(meta.pieceLayers.get(root3.toString('hex'))?.equals(layer));
  });

  it('pads layers of larger pieces with the root of as many zero blocks', () => {
    const two = layer.subarray(0, 64);
    const pad = sha256(ZERO_LEAF, ZERO_LEAF);
    const root = sha256(sha256(layer.subarray(0, 64)), sha256(layer.subarray(64), pad));
    const meta = parseMetainfo(
      v2(
        { d: leaf(70_000, root), e: leaf(65_536, sha256(two)) },
        { 'piece length': 32768 },
        {
          'piece layers': layers([
            [root, layer],
            [sha256(two), two],
          ]),
        },
      ),
    );
    assert.equal(meta.pieceLayers.size, 2);
  });

  it('of one file has the name in its tree', () => {
    const meta = parseMetainfo(v2({ 'the file': leaf(5, ROOT) }));
    assert.deepEqual([meta.name, meta.multi, pathsOf(meta)], ['the file', false, ['the file']]);
    assert.equal(parseMetainfo(v2({ n: { n: leaf(5, ROOT) } })).multi, true);
  });

  it('keeps names that JavaScript has other uses for', () => {
    const names = ['__proto__', 'a', '\ufeffa'];
    const tree = new Raw(
      Buffer.concat([latin1('d'), ...names.flatMap((n) => [bencoded(n), bencoded(leaf(1, ROOT))]), latin1('e')]),
    );
    assert.deepEqual(pathsOf(parseMetainfo(v2(tree))), names);
  });

  it('has symlinks and executables', () => {
    const meta = parseMetainfo(
      v2({ a: leaf(5, ROOT, { attr: 'x' }), b: { '': { attr: 'l', 'symlink path': ['a'] } } }),
    );
    assert.deepEqual(
      meta.files.map((f) => [f.executable, f.symlink, f.length]),
      [
        [true, undefined, 5],
        [false, ['a'], 0],
      ],
    );
  });

  it('may have a layer for a file of one piece', () => {
    const [one, other] = [ROOT, root3].toSorted((a, b) => a.compare(b));
    assert.ok(one !== undefined && other !== undefined);
    const of = (root: Buffer): Buffer => (root === ROOT ? ROOT : layer);
    const both = layers([
      [one, of(one)],
      [other, of(other)],
    ]);
    const meta = parseMetainfo(v2({ a: leaf(5, ROOT), d: leaf(40_000, root3) }, {}, { 'piece layers': both }));
    assert.equal(meta.pieceLayers.size, 1);
  });

  it('has names of any length', () => {
    const names = ['x'.repeat(300), 'y'.repeat(2000), 'é'.repeat(700)];
    const meta = parseMetainfo(v2(Object.fromEntries(names.map((name) => [name, { [name]: leaf(5, ROOT) }]))));
    assert.deepEqual(meta.files[0]?.path, [names[0], names[0]]);
    for (const [i, { path, rawPath }] of meta.files.entries()) {
      assert.deepEqual(rawPath.map(String), [names[i], names[i]]);
      for (const name of path) assert.ok(Buffer.byteLength(name) <= 1023);
    }
  });

  const good = { 'piece layers': layers([[root3, layer]]) };
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['an empty tree', v2({}), /empty/],
    ['a tree that is a list', v2([]), /not a dictionary/],
    ['a node that is a string', v2({ a: 'x' }), /"a" in its file tree is not a dictionary/],
    ['a leaf that is a number', v2({ a: { '': 7 } }), /not described/],
    ['a file that is a folder', v2({ a: { ...leaf(5, ROOT), b: leaf(5, ROOT) } }), /both a file and a folder/],
    ['a folder that is a file', v2({ a: { b: leaf(5, ROOT), ...leaf(5, ROOT) } }), /a file and a folder/],
    ['a file without a name', v2({ '': leaf(5, ROOT) }), /a file and a folder, or has no name/],
    [
      'paths that are over 256 MiB long together',
      v2({ ['x'.repeat(30 << 20)]: Object.fromEntries('abcdefghij'.split('').map((name) => [name, leaf(5, ROOT)])) }),
      /256 MiB/,
    ],
    ['names out of order', v2({ b: leaf(5, ROOT), a: leaf(5, ROOT) }), /out of order/],
    ['..', v2({ '..': { a: leaf(5, ROOT) } }), /lead out of/],
    ['a slash', v2({ 'a/b': leaf(5, ROOT) }), /slash/],
    ['no root', v2({ a: leaf(5) }), /no pieces root/],
    ['a root of 31 bytes', v2({ a: leaf(5, ROOT.subarray(1)) }), /no pieces root/],
    ['a root of zeros', v2({ a: leaf(5, ZERO_LEAF) }), /no pieces root/],
    ['a pad file', v2({ a: leaf(5, ROOT, { attr: 'p' }) }), /pad file/],
    ['a negative length', v2({ a: leaf(-5, ROOT) }), /negative/],
    ['an overflowing sum', v2({ a: leaf(2 ** 53 - 1, ROOT), b: leaf(5, ROOT) }), /too large together/],
    ['too many pieces', v2({ a: leaf(2 ** 40, ROOT) }), /67108864 pieces/],
    ['a piece length that is no power of two', v2({ a: leaf(5, ROOT) }, { 'piece length': 49152 }), /power of two/],
    ['a piece length under 16 KiB', v2({ a: leaf(5, ROOT) }, { 'piece length': 8192 }), /power of two/],
    [
      'a piece layer of no file',
      v2(
        { a: leaf(40_000, root3) },
        {},
        {
          'piece layers': layers([
            [ROOT, layer],
            [root3, layer],
          ]),
        },
      ),
      /the piece layer [0-9a-f]{64} belongs to no file/,
    ],
    ['a piece layer beside files that need none', v2({ a: leaf(5, ROOT) }, {}, good), /belongs to no file/],
    [
      'a piece layer with a key that is no root',
      v2(
        { a: leaf(40_000, root3) },
        {},
        {
          'piece layers': layers([
            [latin1(''), layer],
            [root3, layer],
          ]),
        },
      ),
      /belongs to no file/,
    ],
    ['no piece layers', v2({ a: leaf(40_000, root3) }), /piece layers are missing/],
    ['no layer for a file', v2({ a: leaf(40_000, root3) }, {}, { 'piece layers': {} }), /layer of "a" is missing/],
    ['a layer that is too long', v2({ a: leaf(30_000, root3) }, {}, good), /does not fit/],
    [
      'a layer for another length',
      v2({ a: leaf(40_000, root3), b: leaf(60_000, root3) }, {}, good),
      /"b" does not fit/,
    ],
    [
      'a layer that is not the root’s',
      v2({ a: leaf(40_000, root3) }, {}, { 'piece layers': layers([[root3, Buffer.from(layer).fill(0, 0, 1)]]) }),
      /does not match/,
    ],
    [
      'a tree of 120 folders in each other',
      v2(new Raw(`${'d1:a'.repeat(120)}${bencoded(leaf(5, ROOT)).toString('latin1')}${'e'.repeat(120)}`)),
      /folders deep/,
    ],
  ];
  for (const [what, raw, reason] of cases) it(`refuses ${what}`, () => refused(raw, reason, what));
});

describe('a hybrid torrent', () => {
  const tree = { a: leaf(5, ROOT), b: leaf(0), c: { d: leaf(KIB16, ROOT) } };
  const pad = { attr: 'p', length: KIB16 - 5, path: ['.pad', String(KIB16 - 5)] };
  const hybrid = (files: readonly Value[], count: number, other: Value = tree): Buffer =>
    bencoded({
      info: { 'file tree': other, files, 'meta version': 2, name: 'n', 'piece length': KIB16, pieces: pieces(count) },
    });

  it('has both hashes, and roots on its v1 files', () => {
    const raw = hybrid([file('a'), pad, file('b', 0), file('c/d', KIB16)], 2);
    const meta = parseMetainfo(raw);
    const info = raw.subarray(7, -1);
    assert.deepEqual(
      [meta.version, meta.infoHash, meta.infoHashV2],
      ['hybrid', sha1(info), sha256(info).toString('hex')],
    );
    assert.deepEqual(pathsOf(meta), ['a', `.pad/${KIB16 - 5}`, 'b', 'c/d']);
    assert.deepEqual(
      meta.files.map((f) => f.piecesRoot),
      [ROOT, undefined, undefined, ROOT],
    );
    assert.deepEqual([meta.totalLength, meta.pieceCount], [2 * KIB16, 2]);
  });

  it('may end in a pad, and may be one file', () => {
    const end = { ...pad, length: 3, path: ['.pad', '3'] };
    assert.equal(parseMetainfo(hybrid([file('a', KIB16 - 3), end], 1, { a: leaf(KIB16 - 3, ROOT) })).files.length, 2);
    const one = { 'file tree': { n: leaf(5, ROOT) }, 'meta version': 2 };
    assert.deepEqual([parseMetainfo(single(one)).version, parseMetainfo(single(one)).multi], ['hybrid', false]);
    refused(single({ 'file tree': { m: leaf(5, ROOT) }, 'meta version': 2 }), /disagree on "n"/);
  });

  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['another length', hybrid([file('a', 6), file('b', 0), file('c/d', KIB16)], 2), /disagree on "a"/],
    ['another name', hybrid([file('a'), pad, file('x', 0), file('c/d', KIB16)], 2), /disagree on "x"/],
    ['another order', hybrid([file('c/d', KIB16), file('a'), file('b', 0)], 2), /disagree/],
    ['a file more', hybrid([file('a'), pad, file('b', 0), file('c/d', KIB16), file('e')], 3), /disagree on "e"/],
    ['a file less', hybrid([file('a'), pad, file('b', 0)], 1), /disagree on "c\/d"/],
    ['no pads', hybrid([file('a'), file('b', 0), file('c/d', KIB16)], 2), /piece boundary/],
    [
      'no v1 hashes',
      single({ 'file tree': { n: leaf(5, ROOT) }, 'meta version': 2, pieces: undefined }),
      /hashes are missing/,
    ],
  ];
  for (const [what, raw, reason] of cases) it(`refuses ${what}`, () => refused(raw, reason, what));
});
