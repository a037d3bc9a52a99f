/**
 * Names from a torrent, made safe for a Linux file system: what comes out of here cannot leave its folder, can be
 * opened, and names one thing only.
 *
 * Not touched: case, Unicode normalisation, backslashes and control characters. Linux tells them apart, the user's
 * files may have them, and a client looks for exactly these bytes.
 */
import { isUtf8 } from 'node:buffer';
import { refuse } from './refuse.ts';

/** NAME_MAX of Linux, in bytes. */
const MAX_NAME_BYTES = 255;
/** Of the torrent's name and a path below it: PATH_MAX (4096) less a mount point and an entry's name. */
const MAX_PATH_BYTES = 3584;
/** Folders in each other. libtorrent 2.0 gives up at 100. */
const MAX_PATH_DEPTH = 100;
/** In all paths of a torrent: a v2 file tree of 64 MiB could stand for gigabytes of paths. */
const MAX_ALL_PATHS_BYTES = 256 * 1024 * 1024;

/** A path below the torrent's name. */
export interface TorrentPath {
  readonly path: readonly string[];
  readonly rawPath: readonly Buffer[];
}

/** UTF-8 where it is valid, else Latin-1, which any bytes are. */
export function decodeText(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1');
}

/** `bytes` as one component of a path. Throws where no file can, or must, have this name. Not for empty ones. */
export function decodeComponent(bytes: Buffer): string {
  checkComponent(bytes);
  const text = decodeText(bytes);
  if (Buffer.byteLength(text) > MAX_NAME_BYTES) refuseLong(bytes);
  return text;
}

/** For names that are used as bytes. */
export function checkComponent(bytes: Buffer): void {
  if (bytes.length > MAX_NAME_BYTES) refuseLong(bytes);
  if (bytes.includes(0)) refuse(`the name ${quote(decodeText(bytes))} has a NUL byte in it`);
  if (bytes.includes(0x2f)) refuse(`the name ${quote(decodeText(bytes))} has a slash in it`);
  if (bytes[0] === 0x2e && (bytes.length === 1 || (bytes.length === 2 && bytes[1] === 0x2e))) {
    refuse(`a file or folder is named ${quote(decodeText(bytes))}, which would lead out of the torrent's folder`);
  }
}

/** A name or path for a message: one line, no control characters, not too long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

/**
 * Makes paths of components, and keeps count of them. Neighbours in a torrent share their folders, so a component that
 * stands where it stood in the path before is the same object again: a torrent of 200,000 files has a few thousand.
 */
export class PathReader {
  readonly #text: string[] = [];
  readonly #bytes: Buffer[] = [];
  readonly #raw: Buffer[] = [];
  readonly #nameBytes: number;
  #allBytes = 0;

  /** `name` is the torrent's, in front of each path; empty where the path is all there is. */
  constructor(name: string) {
    this.#nameBytes = Buffer.byteLength(name);
  }

  /** `shown` is what users see, `raw` the bytes of the plain `path` key; neither has empty components. */
  read(shown: readonly Buffer[], raw: readonly Buffer[]): TorrentPath {
    const path = shown.map((bytes, depth) => this.#component(bytes, depth));
    const rawPath =
      raw === shown ? this.#bytes.slice(0, path.length) : raw.map((bytes, depth) => this.#rawComponent(bytes, depth));
    this.checkLength(path, rawPath);
    return { path, rawPath };
  }

  /** For paths made of components that were checked elsewhere. */
  checkLength(path: readonly string[], rawPath: readonly Buffer[]): void {
    if (path.length > MAX_PATH_DEPTH) refuse(`${quote(path.join('/'))} lies over ${MAX_PATH_DEPTH} folders deep`);
    let bytes = this.#nameBytes;
    for (const component of path) bytes += Buffer.byteLength(component) + 1;
    let rawBytes = this.#nameBytes;
    for (const component of rawPath) rawBytes += component.length + 1;
    if (bytes > MAX_PATH_BYTES || rawBytes > MAX_PATH_BYTES) {
      refuse(`the path ${quote(path.join('/'))} is longer than ${MAX_PATH_BYTES} bytes`);
    }
    this.#allBytes += bytes;
    if (this.#allBytes > MAX_ALL_PATHS_BYTES) refuse('its paths are over 256 MiB long together');
  }

  #component(bytes: Buffer, depth: number): string {
    const known = this.#bytes[depth];
    if (known?.equals(bytes) === true) return this.#text[depth]!;
    const text = decodeComponent(bytes);
    this.#bytes[depth] = bytes;
    this.#text[depth] = text;
    return text;
  }

  #rawComponent(bytes: Buffer, depth: number): Buffer {
    const known = this.#raw[depth];
    if (known?.equals(bytes) === true) return known;
    checkComponent(bytes);
    this.#raw[depth] = bytes;
    return bytes;
  }
}

interface PlacedFile {
  readonly path: readonly string[];
  readonly length: number;
  readonly pad: boolean;
}

/**
 * Throws where two files have one path, or a file is a folder of another. Pad files of one length may share a path, as
 * those of real torrents do (`.pad/16384`): one run of zeros is as good as another.
 */
export function checkTree(files: readonly PlacedFile[]): void {
  // NUL is in no name and smaller than anything, so that what lies below a path follows right after it.
  const sorted = files.map((file) => ({ key: file.path.join('\0'), file })).toSorted(byKey);
  for (let i = 1; i < sorted.length; i++) {
    const upper = sorted[i - 1]!;
    const lower = sorted[i]!;
    if (!lower.key.startsWith(upper.key)) continue;
    if (lower.key.length === upper.key.length) {
      if (upper.file.pad && lower.file.pad && upper.file.length === lower.file.length) continue;
      refuse(`two files have the same path: ${quote(lower.file.path.join('/'))}`);
    }
    if (lower.key[upper.key.length] === '\0') {
      refuse(`${quote(upper.file.path.join('/'))} is both a file and a folder`);
    }
  }
}

function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

function refuseLong(bytes: Buffer): never {
  refuse(
    `the name ${quote(decodeText(bytes))} is longer than ${MAX_NAME_BYTES} bytes`,
    'No common Linux file system can hold a file of that name.',
  );
}
