/** The parts that the file lists of v1 (`files`) and v2 (`file tree`) share. */
import { type Entries, integerIn, itemsAt, kindAt, type Span, stringIn, stringSpan } from './bencoded.ts';
import type { TorrentFile } from './metainfo.ts';
import { decodeComponent, MAX_PATH_DEPTH, type TorrentPath } from './paths.ts';
import { refuse } from './refuse.ts';

/**
 * A file that is being read. There may be a million: a name that is UTF-8 is kept once, as text, and its bytes are made when
 * they are asked for.
 */
export class ListedFile implements TorrentFile {
  readonly index: number;
  readonly path: readonly string[];
  readonly length: number;
  readonly offset: number;
  readonly pad: boolean;
  readonly executable: boolean;
  declare symlink?: readonly string[];
  declare piecesRoot?: Buffer;
  declare endsEmpty?: true;
  readonly #rawPath: readonly Buffer[] | undefined;

  constructor(index: number, names: TorrentPath, length: number, offset: number, { pad, executable }: Attributes) {
    this.index = index;
    this.path = names.path;
    this.length = length;
    this.offset = offset;
    this.pad = pad;
    this.executable = executable;
    this.#rawPath = names.rawPath;
  }

  get rawPath(): readonly Buffer[] {
    return this.#rawPath ?? this.path.map((component) => Buffer.from(component));
  }
}

/** The most files that any store shows with ease; at 25 bytes a file a tenth of them would fill the largest .torrent. */
export const MAX_FILES = 1_000_000;

/** Gives files their places in the piece space, in the torrent's order. */
export class FileList {
  readonly files: ListedFile[] = [];
  /** The sum of all lengths, in bytes. */
  totalLength = 0;
  /** The offset of the next file. */
  end = 0;
  /** Every file begins at a multiple of this: the piece length in v2, 1 in v1. */
  readonly #alignment: number;

  constructor(alignment: number) {
    this.#alignment = alignment;
  }

  add(names: TorrentPath, length: number, attributes: Attributes): ListedFile {
    const index = this.files.length;
    if (index === MAX_FILES) refuse(`it has over ${MAX_FILES} files`);
    const file = new ListedFile(index, names, length, this.end, attributes);
    if (attributes.symlink !== undefined) file.symlink = attributes.symlink;
    this.files.push(file);
    this.totalLength += length;
    this.end += Math.ceil(length / this.#alignment) * this.#alignment;
    if (!Number.isSafeInteger(this.end)) refuse('its files are too large together');
    return file;
  }
}

/** The letters in a file's `attr` (BEP 47); unknown letters mean nothing. */
export interface Attributes {
  readonly pad: boolean;
  readonly executable: boolean;
  /** The target of a symlink. A symlink without a target counts as an ordinary file, as in libtorrent. */
  readonly symlink?: readonly string[];
}

const NO_ATTRIBUTES: Attributes = { pad: false, executable: false };

export function readAttributes(raw: Buffer, file: Entries): Attributes {
  const letters = stringIn(raw, file.get('attr'));
  if (letters === undefined) return NO_ATTRIBUTES;
  const attributes = { pad: letters.includes('p'), executable: letters.includes('x') };
  const target = letters.includes('l') ? componentsIn(raw, file.get('symlink path'), 'symlink path').named : [];
  if (target.length === 0) return attributes;
  return { ...attributes, symlink: target.map(({ start, end }) => decodeComponent(raw.subarray(start, end))) };
}

/** The parts of a path. */
export interface Components {
  /** Those that are not empty. */
  readonly named: Span[];
  /** The last part is empty. */
  readonly endsEmpty: boolean;
}

/** Lists the parts of a path; none if there is no path. Throws if it is no list of strings. */
export function componentsIn(raw: Buffer, value: Span | undefined, key: string): Components {
  const named: Span[] = [];
  let endsEmpty = false;
  if (value === undefined) return { named, endsEmpty };
  if (kindAt(raw, value.start) !== 'list') refuse(`the ${key} of a file is not a list`);
  for (const at of itemsAt(raw, value.start)) {
    if (kindAt(raw, at) !== 'string') refuse(`the ${key} of a file is not a list of strings`);
    if (named.length > MAX_PATH_DEPTH) refuse(`the ${key} of a file has over ${MAX_PATH_DEPTH} folders in it`);
    const span = stringSpan(raw, at);
    endsEmpty = span.end === span.start;
    if (!endsEmpty) named.push(span);
  }
  return { named, endsEmpty };
}

/** Reads a file's length in bytes; a symlink has length 0, whatever is written (as in libtorrent). */
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
