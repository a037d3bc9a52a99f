/** Torrents with names and files that clients treat in different ways; and the clients that refuse them. */
import { bytes } from '../clients/steps.ts';
import { libtorrentOf } from '../harness/libtorrent.ts';
import { bencoded, makeTorrent, type TorrentContent, type TorrentOptions } from '../harness/make-torrent.ts';
import type { ClientKind } from '../harness/swarm.ts';

export interface Unusual {
  /** Name of the .torrent and its entry. */
  readonly name: string;
  /** Files in a folder of the collection, under plain names, to be found by content. */
  readonly data: readonly Buffer[];
  /** `folder` has a file with `data` under each plain name. */
  readonly raw: (folder: string) => Buffer;
  /** The message of `add` if this client cannot take the torrent; the client must then not have it. */
  readonly refused: Partial<Readonly<Record<ClientKind, RegExp>>>;
}

const ANNOUNCE = 'http://127.0.0.1:9/announce';
let seed = 500;
const data = (length = 50_000): Buffer => bytes(length, seed++);

const of = (name: string, options: TorrentOptions, refused: Unusual['refused'] = {}): Unusual => {
  const { content } = options;
  const files = Buffer.isBuffer(content) ? [content] : content.map((file) => file.data);
  const raw = (): Buffer => makeTorrent({ announce: ANNOUNCE, ...options }).raw;
  return { name, data: files.filter((file) => file.some((byte) => byte !== 0)), raw, refused };
};
const files = (...paths: readonly (readonly (string | Buffer)[])[]): TorrentContent[] =>
  paths.map((path) => ({ path, data: data() }));
const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const ofLibtorrent = (name: string, version: 'v2' | 'hybrid', refused: Unusual['refused']): Unusual => ({
  name,
  data: [data(70_000), data(20_000)],
  // With a tracker, which is the first key: rTorrent refuses a torrent without one.
  raw: (folder) =>
    Buffer.concat([
      Buffer.from('d'),
      bencoded('announce'),
      bencoded(ANNOUNCE),
      libtorrentOf(folder, version, 16_384).subarray(1),
    ]),
  refused,
});

/** What Transmission says of such a name, too: it cuts none. */
const BEYOND = { rtorrent: /File name too long/, transmission: /File name too long/ };

export const UNUSUAL: readonly Unusual[] = [
  of('signs', { name: 'a: b? c* d" e<f> g|h', content: files(['a: b? c* d" e<f> g|h'], ['in: it?', 'x*y.bin']) }),
  of('signs in a single file', { name: 'one: two? "three" <4>|5*.bin', content: data() }),
  of('spaces at the ends', { name: ' both ', content: files([' before'], ['after '], [' folder ', ' x ']) }),
  of('dots at the ends', { name: 'dots...', content: files(['one.'], ['two..'], ['folder.', 'x.'], ['.hidden']) }),
  of('backslash', { name: 'back\\slash', content: files(['a\\b.bin'], ['c\\', 'd.bin']) }),
  of('control characters', {
    name: 'control',
    content: files(['a\u0001b'], ['tab\there'], ['line\nbreak'], ['\u007f']),
  }),
  of('scripts', { name: 'é ü 日本語 кот 😀', content: files(['e\u0301'], ['é'], ['مرحبا'], ['😀: 😀']) }),
  of('long names', { name: 'n'.repeat(255), content: files(['m'.repeat(255)], ['é'.repeat(127)]) }),
  of('names that no disk takes', {
    name: 'N'.repeat(300),
    content: files(
      [`${'x'.repeat(252)}.mkv`],
      [`${'m'.repeat(996)}.mkv`],
      ['é'.repeat(511)],
      [`${'日'.repeat(90)}.r00`],
      ['😀'.repeat(64)],
      [`${'a'.repeat(239)}é${'a'.repeat(20)}`],
      [`${'f'.repeat(300)}.d`, 'x'],
      [`${'f'.repeat(300)}.d`, `${'g'.repeat(260)}.txt`],
      [`a.${'e'.repeat(300)}`],
      [`${'b'.repeat(250)}.${'longextension'.repeat(2)}`],
    ),
  }),
  of('a single file of a name that no disk takes', { name: `${'S'.repeat(300)}.mkv`, content: data() }),
  of(
    'long names that begin alike',
    { name: 'alike', content: files([`${'x'.repeat(300)}1.mkv`], [`${'x'.repeat(300)}2.mkv`]) },
    { qbittorrent: /two files of the torrent under one name/ },
  ),
  of('a name that no mount shows', { name: 'beyond', content: files([`${'y'.repeat(1021)}.mkv`], ['short']) }, BEYOND),
  of('a folder that no mount shows', { name: 'Q'.repeat(2000), content: files(['a'], ['b']) }, BEYOND),
  of(
    'a path that Linux does not open',
    {
      name: 'deep',
      content: files(
        [0, 1, 2, 3, 4].map((i) => `${i}${'z'.repeat(899)}`),
        ['a'],
      ),
    },
    { rtorrent: /a path of \d+ bytes/, transmission: /a path of \d+ bytes/ },
  ),
  of('empty strings in paths', { name: 'empty', content: files(['', 'a', 'b'], ['c', '', 'd'], ['', '', 'e']) }),
  of(
    'an empty string at the end of a path',
    { name: 'ends', content: files(['a', 'b', ''], ['c']) },
    { rtorrent: /takes the file "a\/b\/" for a folder/ },
  ),
  of(
    'a path of empty strings',
    { name: 'nothing', content: files([''], ['c']) },
    { rtorrent: /for a folder/, transmission: /invalid or corrupt torrent file/ },
  ),
  of('an empty name', { name: '', content: files(['a'], ['b', 'c']) }, { transmission: /invalid or corrupt/ }),
  of('names that differ in case', {
    name: 'case',
    content: files(
      ['readme.txt'],
      ['README.txt'],
      ['Readme.TXT'],
      ['readme.1.txt'],
      ['A', 'x'],
      ['a', 'X'],
      ['.b'],
      ['.B'],
    ),
  }),
  of('a folder that differs from a file in case', { name: 'fold', content: files(['A', 'x'], ['a'], ['ä'], ['Ä']) }),
  of('names that differ in case and are cleaned', { name: 'clean', content: files(['p\\q.txt'], ['P\\Q.txt']) }),
  of(
    'Latin-1',
    { name: 'latin', content: files([latin('caf\xe9.bin')], [latin('d\xfcne'), 'x.bin']) },
    { rtorrent: /bytes that are not UTF-8, which the mount cannot show/ },
  ),
  of(
    'Latin-1 in the name',
    { name: latin('caf\xe9'), content: files(['plain'], [latin('\xe9\xe8\xfc'), 'x']) },
    { rtorrent: /bytes that are not UTF-8/ },
  ),
  of(
    'UTF-8 that ends within a character',
    { name: 'within', content: files([Buffer.from('é日').subarray(0, -1)], [Buffer.from('a😀').subarray(0, -2), 'x']) },
    { rtorrent: /bytes that are not UTF-8/ },
  ),
  of(
    'names that are one where they are not UTF-8',
    { name: 'one', content: files([latin('a\xe9')], [latin('a\xe8')]) },
    { rtorrent: /bytes that are not UTF-8/, qbittorrent: /two files of the torrent under one name/ },
  ),
  of(
    'a number that another file has',
    { name: 'taken', content: files(['README.txt'], ['readme.txt'], ['readme.1.txt']) },
    { deluge: /two files would be "taken\/readme\.1\.txt"/, qbittorrent: /two files would be "taken\/readme\.1\.txt"/ },
  ),
  of('utf-8 beside plain', {
    name: 'plain',
    info: { 'name.utf-8': 'plàin' },
    content: [
      { path: ['cafe.bin'], data: data(), extra: { 'path.utf-8': ['café.bin'] } },
      { path: ['sub', 'x.bin'], data: data(), extra: { 'path.utf-8': ['süb', 'x.bin'] } },
    ],
  }),
  of('pads', {
    name: 'pads',
    content: [
      { path: ['a.bin'], data: data(20_000) },
      { path: ['.pad', '12768'], data: Buffer.alloc(12_768), extra: { attr: 'p' } },
      { path: ['b.bin'], data: data(30_000) },
      { path: ['.pad', '2768'], data: Buffer.alloc(2768), extra: { attr: 'p' } },
      { path: ['c.bin'], data: data(20_000) },
    ],
  }),
  of(
    'pads of one name',
    {
      name: 'alike pads',
      content: [1, 2, 3].flatMap((i): TorrentContent[] => [
        { path: [`${i}.bin`], data: data(20_000) },
        { path: ['.pad', '12768'], data: Buffer.alloc(12_768), extra: { attr: 'p' } },
      ]),
    },
    { rtorrent: /two files under one name: ".pad\/12768"/ },
  ),
  of('empty files', {
    name: 'empty ones',
    content: [
      { path: ['first'], data: Buffer.alloc(0) },
      ...files(['a.bin']),
      { path: ['sub', 'last'], data: Buffer.alloc(0) },
    ],
  }),
  of(
    'one name for two',
    { name: 'clash', content: files(['a:b'], ['a?b']) },
    { transmission: /two files of the torrent under one name/ },
  ),
  ofLibtorrent('hybrid', 'hybrid', { transmission: /does not take BitTorrent hybrid/ }),
  ofLibtorrent('v2', 'v2', { transmission: /v2/, rtorrent: /does not know BitTorrent v2/ }),
];
