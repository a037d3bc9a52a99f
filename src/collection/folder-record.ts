/**
 * A folder as it is kept in the index: what it was when it was read, its files and the names of its subfolders.
 * It is packed where it is made (a walk worker), travels as one transferable buffer, and is stored as it came.
 *
 *     f64 × 5           dev, ino, mtime, ctime (milliseconds; NaN: never taken for unchanged), dev of its files
 *     u32 × 4           number of files, number of subfolders, bytes of its own name, flags
 *     f64 × files       sizes
 *     f64 × files       inodes
 *     u32 × files       hashes of the normalised names
 *     u32 × files       where each file's name ends among the names
 *     u32 × subfolders  where each subfolder's name ends among the names
 *     u8 × files        1: matched by `ignore_files`
 *     bytes             own name (a root's: its whole path), files' names, subfolders' names
 */
import { AutotorrentError } from '../errors.ts';
import { hashName } from './names.ts';

const HEADER = 56;
const RELEASE = 1;

/** What tells whether a folder changed. */
export interface FolderState {
  readonly dev: number;
  readonly ino: number;
  readonly mtime: number;
  readonly ctime: number;
}

/** Names are byte strings. */
export interface FolderContent extends FolderState {
  readonly name: string;
  readonly fileDev: number;
  readonly fileNames: readonly string[];
  readonly sizes: readonly number[];
  readonly inodes: readonly number[];
  readonly ignored: readonly boolean[];
  readonly subfolders: readonly string[];
  /** `isReleaseFolder` of the files. */
  readonly marked: boolean;
}

export function encodeFolder(folder: FolderContent): ArrayBuffer {
  const files = folder.fileNames.length;
  const subs = folder.subfolders.length;
  const names = folder.name + folder.fileNames.join('') + folder.subfolders.join('');
  const fixed = HEADER + files * 25 + subs * 4;
  const buffer = new ArrayBuffer(fixed + names.length);
  new Float64Array(buffer, 0, 5).set([folder.dev, folder.ino, folder.mtime, folder.ctime, folder.fileDev]);
  new Uint32Array(buffer, 40, 4).set([files, subs, folder.name.length, folder.marked ? RELEASE : 0]);
  new Float64Array(buffer, HEADER, files).set(folder.sizes);
  new Float64Array(buffer, HEADER + files * 8, files).set(folder.inodes);
  const words = new Uint32Array(buffer, HEADER + files * 16, files * 2 + subs);
  const flags = new Uint8Array(buffer, HEADER + files * 24 + subs * 4, files);
  let end = folder.name.length;
  let at = 0;
  for (const name of folder.fileNames) {
    words[at] = hashName(name);
    words[files + at] = end += name.length;
    flags[at] = folder.ignored[at] === true ? 1 : 0;
    at++;
  }
  for (const name of folder.subfolders) words[files + at++] = end += name.length;
  Buffer.from(buffer, fixed).write(names, 'latin1');
  return buffer;
}

export class FolderRecord {
  /** The record itself, as it is stored. */
  readonly packed: Uint8Array;
  readonly files: number;
  readonly subfolders: number;
  readonly marked: boolean;
  readonly dev: number;
  readonly ino: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly fileDev: number;
  readonly sizes: Float64Array;
  readonly inodes: Float64Array;
  readonly hashes: Uint32Array;
  readonly ignored: Uint8Array;
  readonly #nameEnds: Uint32Array;
  readonly #ownName: number;
  readonly #names: Buffer;

  /** Throws `AutotorrentError('INDEX')` where the bytes are no such record. */
  constructor(buffer: ArrayBuffer, offset = 0, length = buffer.byteLength) {
    if (length < HEADER || offset % 8 !== 0 || offset + length > buffer.byteLength) throw damagedFolder();
    const [dev = 0, ino = 0, mtime = 0, ctime = 0, fileDev = 0] = new Float64Array(buffer, offset, 5);
    const [files = 0, subs = 0, ownName = 0, flags = 0] = new Uint32Array(buffer, offset + 40, 4);
    const fixed = HEADER + files * 25 + subs * 4;
    if (length < fixed + ownName) throw damagedFolder();
    const body = offset + HEADER;
    this.packed = new Uint8Array(buffer, offset, length);
    this.files = files;
    this.subfolders = subs;
    this.marked = (flags & RELEASE) !== 0;
    this.dev = dev;
    this.ino = ino;
    this.mtime = mtime;
    this.ctime = ctime;
    this.fileDev = fileDev;
    this.sizes = new Float64Array(buffer, body, files);
    this.inodes = new Float64Array(buffer, body + files * 8, files);
    this.hashes = new Uint32Array(buffer, body + files * 16, files);
    this.#nameEnds = new Uint32Array(buffer, body + files * 20, files + subs);
    this.ignored = new Uint8Array(buffer, body + files * 24 + subs * 4, files);
    this.#ownName = ownName;
    this.#names = Buffer.from(buffer, offset + fixed, length - fixed);
    if ((this.#nameEnds.at(-1) ?? ownName) !== this.#names.length) throw damagedFolder();
  }

  /** A root's is its whole path. */
  ownName(): Buffer {
    return this.#names.subarray(0, this.#ownName);
  }

  fileName(index: number): Buffer {
    return this.#name(index);
  }

  /** A byte string. */
  subfolderName(index: number): string {
    return this.#name(this.files + index).toString('latin1');
  }

  sameState(now: FolderState): boolean {
    return this.dev === now.dev && this.ino === now.ino && this.mtime === now.mtime && this.ctime === now.ctime;
  }

  /** With further subfolders; never taken for unchanged afterwards. */
  withSubfolders(names: readonly string[]): FolderRecord {
    return new FolderRecord(
      encodeFolder({
        dev: this.dev,
        ino: this.ino,
        mtime: Number.NaN,
        ctime: Number.NaN,
        fileDev: this.fileDev,
        name: this.ownName().toString('latin1'),
        fileNames: Array.from({ length: this.files }, (_, i) => this.fileName(i).toString('latin1')),
        sizes: [...this.sizes],
        inodes: [...this.inodes],
        ignored: Array.from(this.ignored, (flag) => flag === 1),
        subfolders: [...Array.from({ length: this.subfolders }, (_, i) => this.subfolderName(i)), ...names],
        marked: this.marked,
      }),
    );
  }

  #name(index: number): Buffer {
    const start = index === 0 ? this.#ownName : (this.#nameEnds[index - 1] ?? 0);
    return this.#names.subarray(start, this.#nameEnds[index] ?? start);
  }
}

/** A folder of which nothing is known but its name: it lies on the way to one that was scanned. */
export function unreadFolder(name: string): FolderRecord {
  return new FolderRecord(
    encodeFolder({
      dev: 0,
      ino: 0,
      mtime: Number.NaN,
      ctime: Number.NaN,
      fileDev: 0,
      name,
      fileNames: [],
      sizes: [],
      inodes: [],
      ignored: [],
      subfolders: [],
      marked: false,
    }),
  );
}

function damagedFolder(): AutotorrentError {
  return new AutotorrentError('INDEX', 'the collection index is damaged: a folder in it cannot be read', {
    hint: 'run `autotorrent rebuild --full`',
  });
}
