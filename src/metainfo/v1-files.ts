/** Reads the files of a v1 or hybrid torrent: `files`, or one file of `length` bytes named `name` (BEP 3). */
import { isUtf8 } from 'node:buffer';
import { type Entries, EntryReader, itemsAt, kindAt } from './bencoded.ts';
import { type Components, componentsIn, FileList, readAttributes, readLength } from './listed-file.ts';
import { PathReader, type TorrentPath } from './paths.ts';
import { refuse } from './refuse.ts';

/** BitComet's pad files have no `attr`; libtorrent and others recognise them by name, too. */
const BITCOMET_PAD = '_____padding_file_';

/** The keys that are read of a file. */
const KEYS = ['attr', 'length', 'path', 'path.utf-8', 'symlink path'] as const;

export interface V1Files {
  readonly multi: boolean;
  readonly list: FileList;
}

/** `name` and `rawName` are the torrent's, already checked. */
export function readV1Files(raw: Buffer, info: Entries, name: string, rawName: Buffer): V1Files {
  const value = info.get('files');
  const list = new FileList(1);
  if (value === undefined) {
    const attributes = { pad: false, executable: readAttributes(raw, info).executable };
    const length = readLength(raw, info, false, 0);
    list.add({ path: [name], rawPath: [rawName] }, length, attributes);
    return { multi: false, list };
  }
  if (info.get('length') !== undefined) {
    refuse('it has both a length and a list of files: clients disagree on what that means');
  }
  if (kindAt(raw, value.start) !== 'list') refuse('its files are not a list');
  const paths = new PathReader(raw, name);
  const entries = new EntryReader(raw, KEYS);
  for (const at of itemsAt(raw, value.start)) {
    if (kindAt(raw, at) !== 'dictionary') refuse(`file number ${list.files.length + 1} is not a dictionary`);
    entries.read(at);
    addFile(raw, entries, list, paths);
  }
  if (list.files.length === 0) refuse('its list of files is empty');
  return { multi: true, list };
}

function addFile(raw: Buffer, entries: Entries, list: FileList, paths: PathReader): void {
  const attributes = readAttributes(raw, entries);
  const length = readLength(raw, entries, attributes.symlink !== undefined, list.files.length);
  const plain = componentsIn(raw, entries.get('path'), 'path');
  const shown = readShown(raw, entries, plain);
  if (shown.named.length === 0 && !shown.endsEmpty && !attributes.pad) {
    refuse(`file number ${list.files.length + 1} has no name`);
  }
  const names = namesOf(paths, shown, plain, length);
  const pad = attributes.pad || isPadByName(names.path, length);
  const file = list.add(names, length, pad === attributes.pad ? attributes : { ...attributes, pad });
  if (plain.endsEmpty) file.endsEmpty = true;
}

function namesOf(paths: PathReader, shown: Components, plain: Components, length: number): TorrentPath {
  if (shown.named.length === 0 && !shown.endsEmpty) return paths.pad(length);
  const names =
    shown.named.length === 0
      ? paths.ofNothing()
      : paths.read(shown.named, plain.named.length === 0 ? shown.named : plain.named);
  return shown.endsEmpty && shown.named.length > 0 ? paths.endingEmpty(names) : names;
}

/**
 * Chooses a path. rTorrent uses the plain `path`; all others show a valid `path.utf-8` if there is one. (Some torrents have
 * another encoding under the key that promises UTF-8.)
 */
function readShown(raw: Buffer, file: Entries, plain: Components): Components {
  const utf8 = componentsIn(raw, file.get('path.utf-8'), 'path.utf-8');
  if (utf8.named.length === 0) return plain.named.length === 0 && utf8.endsEmpty ? utf8 : plain;
  return plain.named.length === 0 || utf8.named.every(({ start, end }) => isUtf8(raw.subarray(start, end)))
    ? utf8
    : plain;
}

/** Recognises a pad by name: a file named as a pad of exactly its length can be nothing else. */
function isPadByName(path: readonly string[], length: number): boolean {
  if (path.at(-1)?.startsWith(BITCOMET_PAD) === true) return true;
  return path.length === 2 && path[0] === '.pad' && path[1] === String(length);
}
