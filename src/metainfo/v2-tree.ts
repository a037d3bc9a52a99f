/**
 * The `file tree` of a v2 or hybrid torrent (BEP 52): dictionaries in dictionaries, a key a name; under a file's name
 * lies a dictionary with one empty key, and under that what the file is.
 */

import { entriesAt, kindAt, type Span, stringIn, stringSpan } from './bencoded.ts';
import { type ListedFile, MAX_FILES, readAttributes, readLength } from './listed-file.ts';
import { decodeComponent, PathReader, quote } from './paths.ts';
import { refuse } from './refuse.ts';
import { E } from './scan.ts';

const ROOT_BYTES = 32;
/** What an empty key begins with. */
const ZERO = 0x30;

/** A folder that is being read. */
interface Folder {
  /** Where its next key begins. */
  next: number;
  /** Its key read last. */
  last: Buffer | undefined;
  readonly path: readonly string[];
  readonly rawPath: readonly Buffer[];
}

/** The files in the tree's order; a single file's path is its name alone, like any file at the top. */
export function readV2Files(raw: Buffer, tree: Span, name: string): ListedFile[] {
  if (kindAt(raw, tree.start) !== 'dictionary') refuse('its file tree is not a dictionary');
  const paths = new PathReader(name);
  const files: ListedFile[] = [];
  const open: Folder[] = [{ next: tree.start + 1, last: undefined, path: [], rawPath: [] }];
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
    const path = [...folder.path, decodeComponent(key)];
    const rawPath = [...folder.rawPath, key];
    paths.checkLength(path, rawPath);
    if (raw[at + 1] === ZERO) {
      if (files.length === MAX_FILES) refuse(`it has over ${MAX_FILES} files`);
      const leaf = readLeaf(raw, at, path, rawPath);
      files.push(leaf.file);
      folder.next = leaf.end;
    } else open.push({ next: at + 1, last: undefined, path, rawPath });
  }
  if (files.length === 0) refuse('its file tree is empty');
  return files;
}

/** Reads the key at `folder.next` and steps behind it. */
function nextKey(raw: Buffer, folder: Folder): Buffer {
  const { start, end } = stringSpan(raw, folder.next);
  const key = raw.subarray(start, end);
  if (key.length === 0)
    refuse(`${quote(folder.path.join('/'))} in its file tree is a file and a folder, or has no name`);
  // The order is the order of the files in the piece space; clients that sort would see another torrent.
  if (folder.last !== undefined && folder.last.compare(key) > 0) refuse('the names in its file tree are out of order');
  folder.last = key;
  folder.next = end;
  return key;
}

/** `at` is where the dictionary with the empty key begins. */
function readLeaf(
  raw: Buffer,
  at: number,
  path: readonly string[],
  rawPath: readonly Buffer[],
): { file: ListedFile; end: number } {
  const told = path.join('/');
  const valueAt = stringSpan(raw, at + 1).end;
  if (kindAt(raw, valueAt) !== 'dictionary') refuse(`${quote(told)} in its file tree is not described`);
  const entries = entriesAt(raw, valueAt);
  let end = valueAt + 1;
  for (const value of entries.values()) end = value.end;
  if (raw[end + 1] !== E) refuse(`${quote(told)} is both a file and a folder`);
  const { pad, ...attributes } = readAttributes(raw, entries);
  if (pad) refuse(`${quote(told)} is a pad file in a v2 file tree, which has none`);
  const length = readLength(raw, entries, attributes.symlink !== undefined, told);
  const file = { path, rawPath, length, pad: false, ...attributes };
  if (length === 0) return { file, end: end + 2 };
  const piecesRoot = stringIn(raw, entries.get('pieces root'));
  if (piecesRoot?.length !== ROOT_BYTES || piecesRoot.every((byte) => byte === 0)) {
    refuse(`${quote(told)} has no pieces root`);
  }
  return { file: { ...file, piecesRoot }, end: end + 2 };
}
