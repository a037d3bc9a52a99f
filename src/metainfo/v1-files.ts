/** The files of a v1 or hybrid torrent: `files`, or one file of `length` bytes named `name` (BEP 3). */
import { isUtf8 } from 'node:buffer';
import { entriesAt, itemsAt, kindAt, type Span } from './bencoded.ts';
import { componentsIn, type Entries, type ListedFile, MAX_FILES, readAttributes, readLength } from './listed-file.ts';
import { PathReader } from './paths.ts';
import { refuse } from './refuse.ts';

/** BitComet's pad files, which have no `attr`; libtorrent and others know them by name as well. */
const BITCOMET_PAD = '_____padding_file_';

export interface V1Files {
  readonly multi: boolean;
  readonly files: readonly ListedFile[];
}

/** `name` and `rawName` are the torrent's, checked. */
export function readV1Files(raw: Buffer, info: Entries, name: string, rawName: Buffer): V1Files {
  const list = info.get('files');
  if (list === undefined) {
    const { executable } = readAttributes(raw, info);
    const length = readLength(raw, info, false, name);
    return { multi: false, files: [{ path: [name], rawPath: [rawName], length, pad: false, executable }] };
  }
  if (info.has('length')) refuse('it has both a length and a list of files: clients disagree on what that means');
  if (kindAt(raw, list.start) !== 'list') refuse('its files are not a list');
  const paths = new PathReader(name);
  const files: ListedFile[] = [];
  for (const at of itemsAt(raw, list.start)) {
    if (files.length === MAX_FILES) refuse(`it has over ${MAX_FILES} files`);
    files.push(readFile(raw, at, files.length, paths));
  }
  if (files.length === 0) refuse('its list of files is empty');
  return { multi: true, files };
}

function readFile(raw: Buffer, at: number, index: number, paths: PathReader): ListedFile {
  if (kindAt(raw, at) !== 'dictionary') refuse(`file number ${index} is not a dictionary`);
  const file = entriesAt(raw, at);
  const attributes = readAttributes(raw, file);
  const { shown, plain } = readComponents(raw, file);
  const told = shown.at(-1)?.toString() ?? `number ${index}`;
  const length = readLength(raw, file, attributes.symlink !== undefined, told);
  if (shown.length === 0) {
    if (!attributes.pad) refuse(`file number ${index} has no name`);
    shown.push(Buffer.from('.pad'), Buffer.from(String(length)));
  }
  const path = paths.read(shown, plain.length === 0 ? shown : plain);
  return { ...path, ...attributes, length, pad: attributes.pad || isPadByName(path.path, length) };
}

/**
 * The plain `path` is what rTorrent uses and what is hashed; where there is a valid `path.utf-8`, all others show that.
 * (Some torrents have another encoding under the key that promises UTF-8.)
 */
function readComponents(raw: Buffer, file: Entries): { shown: Buffer[]; plain: Buffer[] } {
  const plain = componentsIn(raw, file.get('path'), 'path') ?? [];
  const value: Span | undefined = file.get('path.utf-8');
  const utf8 = componentsIn(raw, value, 'path.utf-8') ?? [];
  if (utf8.length === 0) return { shown: plain, plain };
  if (plain.length === 0) return { shown: utf8, plain: utf8 };
  return { shown: utf8.every((bytes) => isUtf8(bytes)) ? utf8 : plain, plain };
}

/** A file that its name says is a pad of exactly its length can be nothing else. */
function isPadByName(path: readonly string[], length: number): boolean {
  if (path.at(-1)?.startsWith(BITCOMET_PAD) === true) return true;
  return path.length === 2 && path[0] === '.pad' && path[1] === String(length);
}
