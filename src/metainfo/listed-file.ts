/** What the file lists of v1 (`files`) and v2 (`file tree`) have in common. */
import { type Entries, integerIn, itemsAt, kindAt, type Span, stringIn, stringSpan } from './bencoded.ts';
import type { TorrentFile } from './metainfo.ts';
import { decodeComponent, type TorrentPath } from './paths.ts';
import { refuse } from './refuse.ts';

/** A file that is being read. */
export type ListedFile = { -readonly [K in keyof TorrentFile]: TorrentFile[K] };

/** More than any store shows at ease; at 25 bytes a file it would take a tenth of them to fill the largest .torrent. */
const MAX_FILES = 1_000_000;

/** Files getting their places in the piece space, in the torrent's order. */
export class FileList {
  readonly files: ListedFile[] = [];
  /** Of all files, in bytes. */
  totalLength = 0;
  /** Where the next file begins. */
  end = 0;
  /** Every file begins at a multiple of it: the piece length in v2, 1 in v1. */
  readonly #alignment: number;

  constructor(alignment: number) {
    this.#alignment = alignment;
  }

  /** One object with all keys in one order, never spread or widened later: at 200,000 files that is two seconds less. */
  add(names: TorrentPath, length: number, attributes: Attributes): ListedFile {
    const index = this.files.length;
    if (index === MAX_FILES) refuse(`it has over ${MAX_FILES} files`);
    const { path, rawPath } = names;
    const { pad, executable, symlink } = attributes;
    const file: ListedFile = { index, path, rawPath, length, offset: this.end, pad, executable };
    if (symlink !== undefined) file.symlink = symlink;
    this.files.push(file);
    this.totalLength += length;
    this.end += Math.ceil(length / this.#alignment) * this.#alignment;
    if (!Number.isSafeInteger(this.end)) refuse('its files are too large together');
    return file;
  }
}

/** BEP 47: letters in `attr`; unknown ones mean nothing. */
export interface Attributes {
  readonly pad: boolean;
  readonly executable: boolean;
  /** Where the file is a symlink. One without a target is an ordinary file, as libtorrent has it. */
  readonly symlink?: readonly string[];
}

const NO_ATTRIBUTES: Attributes = { pad: false, executable: false };

export function readAttributes(raw: Buffer, file: Entries): Attributes {
  const letters = stringIn(raw, file.get('attr'));
  if (letters === undefined) return NO_ATTRIBUTES;
  const attributes = { pad: letters.includes('p'), executable: letters.includes('x') };
  const target = letters.includes('l') ? componentsIn(raw, file.get('symlink path'), 'symlink path') : [];
  if (target.length === 0) return attributes;
  return { ...attributes, symlink: target.map(({ start, end }) => decodeComponent(raw.subarray(start, end))) };
}

/** Where the parts of a path stand, without empty ones; none where there is no path. Throws where it is no list of strings. */
export function componentsIn(raw: Buffer, value: Span | undefined, key: string): Span[] {
  const components: Span[] = [];
  if (value === undefined) return components;
  if (kindAt(raw, value.start) !== 'list') refuse(`the ${key} of a file is not a list`);
  for (const at of itemsAt(raw, value.start)) {
    if (kindAt(raw, at) !== 'string') refuse(`the ${key} of a file is not a list of strings`);
    const span = stringSpan(raw, at);
    if (span.end > span.start) components.push(span);
  }
  return components;
}

/** A file's length in bytes; a symlink has none, whatever is written (libtorrent). */
export function readLength(raw: Buffer, file: Entries, symlink: boolean, index: number): number {
  if (symlink) return 0;
  const value = file.get('length');
  if (value === undefined) refuse(`file number ${index + 1} has no length`);
  const length = integerIn(raw, value);
  if (length === undefined) refuse(`the length of file number ${index + 1} is not a number`);
  if (length < 0) refuse(`the length of file number ${index + 1} is negative`);
  if (!Number.isSafeInteger(length)) refuse(`the length of file number ${index + 1} is too large`);
  return length;
}
