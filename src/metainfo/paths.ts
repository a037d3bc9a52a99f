/**
 * Makes names from a torrent safe for a Linux file system: the result cannot leave its folder, can be opened, and names one
 * thing only.
 *
 * It does not change case, Unicode normalisation, backslashes and control characters. Linux tells these apart, the user's
 * files may have them, and a client looks for exactly these bytes.
 */
import { isUtf8 } from 'node:buffer';
import { isLonger, SHOWN_NAME_BYTES } from '../name-limits.ts';
import type { Span } from './bencoded.ts';
import { shortName } from './long-names.ts';
import { refuse } from './refuse.ts';

/** The name of what has an empty one, as in libtorrent. */
export const NAME_OF_NOTHING = '_';
/** The most bytes of the torrent's name and a path below it: PATH_MAX (4096) less a mount point and an entry's name. */
const MAX_PATH_BYTES = 3584;
/** The deepest nesting of folders. libtorrent 2.0 gives up at 100. */
export const MAX_PATH_DEPTH = 100;
/** The most bytes in all paths of a torrent: a v2 file tree of 64 MiB could stand for gigabytes of paths. */
const MAX_ALL_PATHS_BYTES = 256 * 1024 * 1024;

/** A path below the torrent's name. */
export interface TorrentPath {
  readonly path: readonly string[];
  /** Undefined: the UTF-8 of `path`. */
  readonly rawPath: readonly Buffer[] | undefined;
}

/** Decodes UTF-8 if it is valid, else Latin-1, which fits any bytes. */
export function decodeText(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1');
}

/**
 * Decodes `bytes`, which are not empty, as one component of a path. What the mount cannot show gets a shorter name. Throws
 * if no file may have this name.
 */
export function decodeComponent(bytes: Buffer): string {
  const text = checkComponent(bytes) ? bytes.toString('latin1') : decodeText(bytes);
  return shortNameBeyond(text);
}

function shortNameBeyond(name: string): string {
  return isLonger(name, SHOWN_NAME_BYTES) ? shortName(name) : name;
}

/** Checks names that are used as bytes. True if they are ASCII. */
export function checkComponent(bytes: Buffer): boolean {
  let ascii = true;
  for (const byte of bytes) {
    if (byte === 0) refuse(`the name ${quote(decodeText(bytes))} has a NUL byte in it`);
    if (byte === 0x2f) refuse(`the name ${quote(decodeText(bytes))} has a slash in it`);
    if (byte >= 0x80) ascii = false;
  }
  if (bytes[0] === 0x2e && (bytes.length === 1 || (bytes.length === 2 && bytes[1] === 0x2e))) {
    refuse(`a file or folder is named ${quote(decodeText(bytes))}, which would lead out of the torrent's folder`);
  }
  return ascii;
}

/** Shows a name or path in a message: one line, no control characters, not too long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

/** Checks that the paths of one torrent can be opened, and fit in memory. */
export class PathLimits {
  /** The size of the torrent's name, which precedes each path. */
  readonly #nameBytes: number;
  #allBytes = 0;

  constructor(name: string) {
    this.#nameBytes = Buffer.byteLength(name);
  }

  /**
   * Checks a path, and gives it as the mount shows it: with shorter names in it where it is too long to be opened. `bytes`
   * counts its components, in the longer of both spellings.
   */
  fit(path: readonly string[], bytes: number): readonly string[] {
    if (path.length > MAX_PATH_DEPTH) refuse(`${quote(path.join('/'))} lies over ${MAX_PATH_DEPTH} folders deep`);
    const length = this.#nameBytes + path.length + bytes;
    this.#allBytes += length;
    if (this.#allBytes > MAX_ALL_PATHS_BYTES) refuse('its paths are over 256 MiB long together');
    if (length <= MAX_PATH_BYTES) return path;
    const short = path.map(shortName);
    if (!this.#fits(path)) {
      if (this.#fits(short)) return short;
      refuse(`the path ${quote(path.join('/'))} is longer than ${MAX_PATH_BYTES} bytes`, 'No client can open it.');
    }
    return path;
  }

  #fits(path: readonly string[]): boolean {
    const bytes = path.reduce((sum, name) => sum + 1 + Buffer.byteLength(name), this.#nameBytes);
    return bytes <= MAX_PATH_BYTES;
  }
}

/** The last component seen at some depth. */
interface Component {
  readonly span: Span;
  readonly text: string;
  readonly textBytes: number;
  readonly bytes: Buffer;
  /** `bytes` are the UTF-8 of `text`. */
  readonly utf8: boolean;
}

/**
 * Makes paths from spans of the .torrent. Neighbours in it share their folders, so a component that equals the previous
 * path's at the same depth is the same object again: 200,000 files have a few thousand folders.
 */
export class PathReader {
  readonly #raw: Buffer;
  readonly #limits: PathLimits;
  readonly #last: Component[] = [];

  constructor(raw: Buffer, name: string) {
    this.#raw = raw;
    this.#limits = new PathLimits(name);
  }

  /** `shown` is the path for users, `plain` the plain `path` key's; neither is empty, nor has empty components. */
  read(shown: readonly Span[], plain: readonly Span[]): TorrentPath {
    // Arrays get their size at once: growing ones would keep room for 17 names in each of 200,000 files.
    let bytes = 0;
    const path = shown.map((span, depth) => {
      const component = this.#component(depth, span);
      bytes += component.textBytes;
      return component.text;
    });
    let rawBytes = 0;
    for (const { start, end } of plain) rawBytes += end - start;
    const same = plain === shown && this.#last.slice(0, path.length).every(({ utf8 }) => utf8);
    const rawPath = same
      ? undefined
      : plain.map((span, depth) => (plain === shown ? this.#last[depth]!.bytes : this.#plain(span)));
    const fitting = this.#limits.fit(path, Math.max(bytes, rawBytes));
    // The bytes that `path` does not have any more.
    const kept = fitting === path ? rawPath : (rawPath ?? this.#last.slice(0, path.length).map((part) => part.bytes));
    return { path: fitting, rawPath: kept };
  }

  /**
   * Names a file whose path ends with an empty string. For Transmission it is the file without that string, for libtorrent a
   * file in a folder of that name: this name leaves room for either.
   */
  endingEmpty({ path, rawPath }: TorrentPath): TorrentPath {
    const last = shortNameBeyond(`${path.at(-1)}${NAME_OF_NOTHING}`);
    return { path: [...path.slice(0, -1), last], rawPath: rawPath ?? path.map((name) => Buffer.from(name)) };
  }

  /** Names files whose paths have nothing but empty components. */
  ofNothing(): TorrentPath {
    return { path: [NAME_OF_NOTHING], rawPath: undefined };
  }

  /** Names pad files without a path as libtorrent does. */
  pad(length: number): TorrentPath {
    return { path: ['.pad', String(length)], rawPath: undefined };
  }

  #component(depth: number, span: Span): Component {
    const last = this.#last[depth];
    if (last !== undefined && this.#same(last.span, span)) return last;
    const bytes = this.#raw.subarray(span.start, span.end);
    const text = decodeComponent(bytes);
    const textBytes = Buffer.byteLength(text);
    // A name that was shortened has other bytes, too.
    const utf8 = textBytes === bytes.length && isUtf8(bytes);
    const component = { span, text, textBytes, bytes, utf8 };
    this.#last[depth] = component;
    return component;
  }

  /** Never shown, so any encoding will do: Shift JIS would be too long as Latin-1. */
  #plain(span: Span): Buffer {
    const bytes = this.#raw.subarray(span.start, span.end);
    checkComponent(bytes);
    return bytes;
  }

  #same(a: Span, b: Span): boolean {
    const length = a.end - a.start;
    if (length !== b.end - b.start) return false;
    // From the end: names in one folder begin alike.
    for (let i = length - 1; i >= 0; i--) if (this.#raw[a.start + i] !== this.#raw[b.start + i]) return false;
    return true;
  }
}

interface PlacedFile {
  readonly path: readonly string[];
  readonly length: number;
  readonly pad: boolean;
}

/**
 * Checks that paths are unique. Throws if two files have one path, or a file is a folder of another. Pad files of one length
 * may share a path, as in real torrents (`.pad/16384`): their zeros are the same.
 */
export function checkTree(files: readonly PlacedFile[]): void {
  // In this order everything below a path follows right after it, so comparing neighbours is enough.
  const order = files.toSorted((a, b) => comparePaths(a.path, b.path));
  for (let i = 1; i < order.length; i++) {
    const one = order[i - 1]!;
    const other = order[i]!;
    if (!beginsWith(other.path, one.path)) continue;
    if (other.path.length > one.path.length) refuse(`${quote(one.path.join('/'))} is both a file and a folder`);
    if (one.pad && other.pad && one.length === other.length) continue;
    refuse(`two files have the same path: ${quote(one.path.join('/'))}`);
  }
}

function comparePaths(a: readonly string[], b: readonly string[]): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return a.length - b.length;
}

function beginsWith(path: readonly string[], upper: readonly string[]): boolean {
  if (path.length < upper.length) return false;
  // From the end: neighbours mostly differ in their last part.
  for (let i = upper.length - 1; i >= 0; i--) if (path[i] !== upper[i]) return false;
  return true;
}
