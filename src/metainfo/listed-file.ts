/** What the file lists of v1 (`files`) and v2 (`file tree`) have in common. */
import { integerIn, itemsAt, kindAt, type Span, stringIn } from './bencoded.ts';
import type { TorrentFile } from './metainfo.ts';
import { decodeComponent, quote } from './paths.ts';
import { refuse } from './refuse.ts';

/** A file that has no place in the piece space yet. */
export type ListedFile = Omit<TorrentFile, 'index' | 'offset'>;

/** More than any store shows at ease; at 25 bytes a file it would take a tenth of them to fill the largest .torrent. */
export const MAX_FILES = 1_000_000;

/** The values of a dictionary by key, as `entriesAt` gives them. */
export type Entries = ReadonlyMap<string, Span>;

/** BEP 47: letters in `attr`; unknown ones mean nothing. */
export interface Attributes {
  readonly pad: boolean;
  readonly executable: boolean;
  /** Where the file is a symlink. One without a target is an ordinary file, as libtorrent has it. */
  readonly symlink?: readonly string[];
}

const NO_ATTRIBUTES: Attributes = { pad: false, executable: false };

export function readAttributes(raw: Buffer, file: Entries): Attributes {
  const letters = stringIn(raw, file.get('attr'))?.toString('latin1');
  if (letters === undefined) return NO_ATTRIBUTES;
  const attributes = { pad: letters.includes('p'), executable: letters.includes('x') };
  const target = letters.includes('l') ? componentsIn(raw, file.get('symlink path'), 'symlink path') : undefined;
  if (target === undefined || target.length === 0) return attributes;
  return { ...attributes, symlink: target.map(decodeComponent) };
}

/** The parts of a path, as views, without empty ones; undefined where there is none. Throws where it is no list of strings. */
export function componentsIn(raw: Buffer, value: Span | undefined, key: string): Buffer[] | undefined {
  if (value === undefined) return undefined;
  if (kindAt(raw, value.start) !== 'list') refuse(`the ${key} of a file is not a list`);
  const components: Buffer[] = [];
  for (const at of itemsAt(raw, value.start)) {
    const bytes = stringIn(raw, { start: at, end: value.end });
    if (bytes === undefined) refuse(`the ${key} of a file is not a list of strings`);
    if (bytes.length > 0) components.push(bytes);
  }
  return components;
}

/** A file's length in bytes; a symlink has none, whatever is written (libtorrent). */
export function readLength(raw: Buffer, file: Entries, symlink: boolean, name: string): number {
  if (symlink) return 0;
  const value = file.get('length');
  if (value === undefined) refuse(`the file ${quote(name)} has no length`);
  const length = integerIn(raw, value);
  if (length === undefined) refuse(`the length of ${quote(name)} is not a number`);
  if (length < 0) refuse(`the length of ${quote(name)} is negative`);
  if (!Number.isSafeInteger(length)) refuse(`the length of ${quote(name)} is too large`);
  return length;
}
