/** Parses the bytes of a .torrent into a Metainfo. `metainfo.ts` has the contract. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type Entries, EntryReader, integerIn, kindAt, stringIn, stringListsIn } from './bencoded.ts';
import type { FileList, ListedFile } from './listed-file.ts';
import { BLOCK_BYTES } from './merkle.ts';
import type { Metainfo } from './metainfo.ts';
import { checkComponent, checkTree, decodeComponent, decodeText, NAME_OF_NOTHING, quote } from './paths.ts';
import { readPieceLayers } from './piece-layers.ts';
import { refuse } from './refuse.ts';
import { scan } from './scan.ts';
import { readV1Files, type V1Files } from './v1-files.ts';
import { readV2Files } from './v2-tree.ts';

/** Larger than any real .torrent: 64 MiB are 3.3 million pieces. */
export const MAX_METAINFO_BYTES = 64 * 1024 * 1024;
/** libtorrent 2.0 allows just under 512 MiB, rTorrent 0.9.8 128 MiB. */
const MAX_PIECE_LENGTH = 512 * 1024 * 1024;
export const MAX_PIECES = 4_194_304;
/** Bounds memory: a string of two bytes takes more than a hundred as an object. */
const MAX_ANNOUNCE_LIST_BYTES = 1024 * 1024;
const SHA1_BYTES = 20;
/** The keys that are read: a dictionary may have a million others. */
const TOP_KEYS = ['announce', 'announce-list', 'comment', 'comment.utf-8', 'info', 'piece layers'] as const;
const INFO_KEYS = [
  'attr',
  'file tree',
  'files',
  'length',
  'meta version',
  'name',
  'name.utf-8',
  'piece length',
  'pieces',
  'private',
  'source',
] as const;

/** Parses a .torrent. The result's buffers are views into `raw`. @throws AutotorrentError('TORRENT') and nothing else */
export function parseMetainfo(raw: Buffer): Metainfo {
  if (raw.length === 0) refuse('the file is empty');
  if (raw.length > MAX_METAINFO_BYTES) refuse('it is over 64 MiB long');
  scan(raw);
  if (kindAt(raw, 0) !== 'dictionary') refuse('it is not a dictionary');
  const top = keysAt(raw, 0, TOP_KEYS);
  const infoSpan = top.get('info');
  if (infoSpan === undefined) {
    refuse('it has no info dictionary', 'A client that has the torrent can export the .torrent.');
  }
  if (kindAt(raw, infoSpan.start) !== 'dictionary') refuse('its info is not a dictionary');
  const info = keysAt(raw, infoSpan.start, INFO_KEYS);

  const version = readVersion(raw, info);
  const pieceLength = readPieceLength(raw, info, version !== 'v1');
  const { name, rawName, multi, list } = readLayout(raw, info, version, pieceLength);
  const { files } = list;
  checkTree(files);
  if (version === 'hybrid') checkAligned(files, pieceLength);
  const pieceCount = countPieces(list.end, pieceLength);

  const infoBytes = raw.subarray(infoSpan.start, infoSpan.end);
  const sha256 = version === 'v1' ? undefined : createHash('sha256').update(infoBytes).digest('hex');
  const source = stringIn(raw, info.get('source'));
  const comment = stringIn(raw, top.get('comment.utf-8')) ?? stringIn(raw, top.get('comment'));
  return {
    raw,
    version,
    infoHash: version === 'v2' ? sha256!.slice(0, 2 * SHA1_BYTES) : createHash('sha1').update(infoBytes).digest('hex'),
    ...(sha256 === undefined ? {} : { infoHashV2: sha256 }),
    name,
    rawName,
    multi,
    files,
    totalLength: list.totalLength,
    pieceLength,
    pieceCount,
    pieces: version === 'v2' ? Buffer.alloc(0) : readPieces(raw, info, pieceCount),
    pieceLayers: version === 'v1' ? new Map() : readPieceLayers(raw, top.get('piece layers'), files, pieceLength),
    private: (integerIn(raw, info.get('private')) ?? 0) !== 0,
    ...(source === undefined ? {} : { source: decodeText(source) }),
    ...(comment === undefined ? {} : { comment: decodeText(comment) }),
    announce: readAnnounce(raw, top),
  };
}

function keysAt(raw: Buffer, at: number, keys: readonly string[]): Entries {
  const entries = new EntryReader(raw, keys);
  entries.read(at);
  return entries;
}

function readVersion(raw: Buffer, info: Entries): Metainfo['version'] {
  const metaVersion = integerIn(raw, info.get('meta version')) ?? 1;
  if (metaVersion > 2) refuse(`it is of version ${metaVersion}, which is not known`);
  if (metaVersion < 2) {
    if (info.get('file tree') !== undefined) refuse('it has a v2 file tree, but does not say that it is a v2 torrent');
    return 'v1';
  }
  if (info.get('file tree') === undefined) refuse('it says that it is a v2 torrent, but has no file tree');
  return info.get('files') !== undefined || info.get('length') !== undefined ? 'hybrid' : 'v2';
}

function readPieceLength(raw: Buffer, info: Entries, v2: boolean): number {
  const length = integerIn(raw, info.get('piece length'));
  if (length === undefined) refuse('its piece length is missing, or not a number');
  if (length <= 0) refuse(`its piece length is ${length}`);
  if (length > MAX_PIECE_LENGTH) refuse(`its piece length, ${length}, is over 512 MiB`);
  if (v2 && (length < BLOCK_BYTES || (length & (length - 1)) !== 0)) {
    refuse(`its piece length, ${length}, is no power of two from 16 KiB on, as v2 torrents need`);
  }
  return length;
}

interface Layout extends V1Files {
  readonly name: string;
  readonly rawName: Buffer;
}

function readLayout(raw: Buffer, info: Entries, version: Metainfo['version'], pieceLength: number): Layout {
  const { name, rawName } = readName(raw, info);
  if (version === 'v1') return { name, rawName, ...readV1Files(raw, info, name, rawName) };
  const tree = readV2Files(raw, info.get('file tree')!, name, pieceLength);
  if (version === 'hybrid') {
    const v1 = readV1Files(raw, info, name, rawName);
    joinHybrid(v1.list, tree);
    return { name, rawName, ...v1 };
  }
  const only = tree.files.length === 1 ? tree.files[0]! : undefined;
  if (only?.path.length !== 1) return { name, rawName, multi: true, list: tree };
  // The name is "purely advisory" (BEP 52): clients use the name in the tree.
  return { name: only.path[0]!, rawName: only.rawPath[0]!, multi: false, list: tree };
}

function readName(raw: Buffer, info: Entries): { name: string; rawName: Buffer } {
  const utf8 = stringIn(raw, info.get('name.utf-8'));
  const plain = stringIn(raw, info.get('name'));
  const rawName = plain !== undefined && plain.length > 0 ? plain : (utf8 ?? plain);
  if (rawName === undefined) refuse('it has no name');
  if (rawName.length === 0) {
    // A folder without a name has one in libtorrent, and is the download folder itself in rTorrent; a file has none.
    if (info.get('files') === undefined) refuse('it has no name');
    return { name: NAME_OF_NOTHING, rawName };
  }
  checkComponent(rawName);
  return { name: decodeComponent(utf8 !== undefined && utf8.length > 0 && isUtf8(utf8) ? utf8 : rawName), rawName };
}

/** Checks that both lists name the same files in one order (only `v1` has pad files), and copies the roots to `v1`. */
function joinHybrid(v1: FileList, v2: FileList): void {
  let next = 0;
  for (const file of v1.files) {
    if (file.pad) continue;
    const twin = v2.files[next++];
    if (twin?.length !== file.length || twin.path.length !== file.path.length) disagree(file);
    if (file.path.some((component, i) => twin.path[i] !== component)) disagree(file);
    if (twin.piecesRoot !== undefined) file.piecesRoot = twin.piecesRoot;
  }
  if (next < v2.files.length) disagree(v2.files[next]!);
}

function disagree(file: ListedFile): never {
  refuse(
    `its v1 and v2 lists of files disagree on ${quote(file.path.join('/'))}`,
    'Two clients would see two different torrents in it.',
  );
}

function countPieces(length: number, pieceLength: number): number {
  if (length === 0) refuse('all its files are empty');
  const count = Math.ceil(length / pieceLength);
  if (count > MAX_PIECES) refuse(`it has ${count} pieces; more than ${MAX_PIECES} are not supported`);
  return count;
}

function checkAligned(files: readonly ListedFile[], pieceLength: number): void {
  const stray = files.find((file) => !file.pad && file.length > 0 && file.offset % pieceLength !== 0);
  if (stray !== undefined) {
    refuse(`${quote(stray.path.join('/'))} does not begin at a piece boundary, as files of hybrid torrents must`);
  }
}

function readPieces(raw: Buffer, info: Entries, pieceCount: number): Buffer {
  const pieces = stringIn(raw, info.get('pieces'));
  if (pieces === undefined) refuse('its piece hashes are missing');
  if (pieces.length !== pieceCount * SHA1_BYTES) {
    refuse(`it has ${pieces.length / SHA1_BYTES} piece hashes for ${pieceCount} pieces`);
  }
  return pieces;
}

/** Reads the trackers (BEP 12): `announce` counts only if `announce-list` names none. Bad trackers refuse no torrent. */
function readAnnounce(raw: Buffer, top: Entries): string[][] {
  const list = top.get('announce-list');
  if (list !== undefined && list.end - list.start > MAX_ANNOUNCE_LIST_BYTES) {
    refuse('its list of trackers is over 1 MiB long');
  }
  const single = stringIn(raw, top.get('announce'));
  const lists = list === undefined ? [] : stringListsIn(raw, list);
  const tiers = lists.map(urlsOf).filter((urls) => urls.length > 0);
  if (tiers.length > 0 || single === undefined) return tiers;
  return [urlsOf([single])].filter((urls) => urls.length > 0);
}

function urlsOf(strings: readonly Buffer[]): string[] {
  return strings.map((bytes) => decodeText(bytes).trim()).filter((url) => url !== '');
}
