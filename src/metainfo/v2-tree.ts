/**
 * Reads the `file tree` of a v2 or hybrid torrent (BEP 52): nested dictionaries with names as keys. A file's name leads to a
 * dictionary with one empty key, whose value describes the file.
 */
import { isUtf8 } from 'node:buffer';
import { EntryReader, kindAt, type Span, stringIn, stringSpan } from './bencoded.ts';
import { FileList, readAttributes, readLength } from './listed-file.ts';
import { decodeComponent, PathLimits, quote, type TorrentPath } from './paths.ts';
import { refuse } from './refuse.ts';
import { E } from './scan.ts';

const ROOT_BYTES = 32;
/** The keys that are read of a file. */
const KEYS = ['attr', 'length', 'pieces root', 'symlink path'] as const;
/** The byte with which an empty key begins. */
const ZERO = 0x30;

/** A folder that is being read. */
interface Folder {
  /** The position of its next key. */
  next: number;
  /** The key that was read last. */
  last: Buffer | undefined;
  readonly path: readonly string[];
  /** Undefined: the UTF-8 of `path`. */
  readonly rawPath: readonly Buffer[] | undefined;
  /** The length of its path's components, in the longer spelling. */
  readonly bytes: number;
}

/** Lists the files in the tree's order. The path of a single file is its name alone, like any file at the top. */
export function readV2Files(raw: Buffer, tree: Span, torrentName: string, pieceLength: number): FileList {
  if (kindAt(raw, tree.start) !== 'dictionary') refuse('its file tree is not a dictionary');
  const limits = new PathLimits(torrentName);
  const list = new FileList(pieceLength);
  const entries = new EntryReader(raw, KEYS);
  const open: Folder[] = [{ next: tree.start + 1, last: undefined, path: [], rawPath: undefined, bytes: 0 }];
  for (let folder = open.at(-1); folder !== undefined; folder = open.at(-1)) {
    if (raw[folder.next] === E) {
      open.pop();
      const parent = open.at(-1);
      if (parent !== undefined) parent.next = folder.next + 1;
      continue;
    }
    const key = nextKey(raw, folder);
    const at = folder.next;
    if (kindAt(raw, at) !== 'dictionary') refuse(`${quote(key.toString())} in its file tree is not a dictionary`);
    const name = decodeComponent(key);
    const path = [...folder.path, name];
    const bytes = folder.bytes + Math.max(key.length, Buffer.byteLength(name));
    const rawPath = rawPathOf(folder, key, name);
    const fitting = limits.fit(path, bytes);
    if (raw[at + 1] === ZERO) {
      const kept = fitting === path ? rawPath : (rawPath ?? path.map((part) => Buffer.from(part)));
      folder.next = addFile(raw, at, entries, list, { path: fitting, rawPath: kept });
    } else open.push({ next: at + 1, last: undefined, path, rawPath, bytes });
  }
  if (list.files.length === 0) refuse('its file tree is empty');
  return list;
}

function rawPathOf(folder: Folder, key: Buffer, name: string): readonly Buffer[] | undefined {
  // A name that was shortened has other bytes, too.
  if (folder.rawPath === undefined && Buffer.byteLength(name) === key.length && isUtf8(key)) return undefined;
  return [...(folder.rawPath ?? folder.path.map((name) => Buffer.from(name))), key];
}

/** Reads the key at `folder.next` and moves past it. */
function nextKey(raw: Buffer, folder: Folder): Buffer {
  const { start, end } = stringSpan(raw, folder.next);
  const key = raw.subarray(start, end);
  if (key.length === 0) {
    refuse(`${quote(folder.path.join('/'))} in its file tree is a file and a folder, or has no name`);
  }
  // The order is that of the files in the piece space: a client that sorts would see another torrent.
  if (folder.last !== undefined && folder.last.compare(key) > 0) refuse('the names in its file tree are out of order');
  folder.last = key;
  folder.next = end;
  return key;
}

/** Reads a file; `at` is the start of the dictionary with the empty key. Returns its end. */
function addFile(raw: Buffer, at: number, entries: EntryReader, list: FileList, names: TorrentPath): number {
  const told = (): string => quote(names.path.join('/'));
  const valueAt = stringSpan(raw, at + 1).end;
  if (kindAt(raw, valueAt) !== 'dictionary') refuse(`${told()} in its file tree is not described`);
  const end = entries.read(valueAt);
  if (raw[end] !== E) refuse(`${told()} is both a file and a folder`);
  const attributes = readAttributes(raw, entries);
  if (attributes.pad) refuse(`${told()} is a pad file in a v2 file tree, which has none`);
  const length = readLength(raw, entries, attributes.symlink !== undefined, list.files.length);
  const file = list.add(names, length, attributes);
  if (length > 0) {
    const piecesRoot = stringIn(raw, entries.get('pieces root'));
    if (piecesRoot?.length !== ROOT_BYTES || piecesRoot.every((byte) => byte === 0)) {
      refuse(`${told()} has no pieces root`);
    }
    file.piecesRoot = piecesRoot;
  }
  return end + 1;
}
