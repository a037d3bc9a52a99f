/**
 * A folder in the index: its state when it was read, its files, and the names of its subfolders.
 * It is packed where it is made (a walk worker), travels as one transferable buffer, and is stored as it came.
 *
 *     f64 × 5           dev, ino, mtime, ctime (milliseconds; NaN: never taken for unchanged), dev of its files
 *     u32 × 6           number of files, number of subfolders, bytes of its own name, flags, number of members,
 *                       number of names that were left out
 *     f64 × files       sizes
 *     u64 × files       inodes (f64 × files in a record without the flag INODES)
 *     f64 × members     sizes
 *     u32 × files       hashes of the normalised names
 *     u32 × files       where each file's name ends among the names
 *     u32 × subfolders  where each subfolder's name ends among the names
 *     u32 × members     where each member's name ends among the names
 *     u32 × members     hashes of the normalised base names
 *     u32 × members     which file is the first volume of its archive
 *     u32 × left out    where each name ends among the names
 *     u8 × files        IGNORED: matched by `ignore_files`; GROWING: still being written
 *     u8 × left out     why: its place in LEFT_OUT
 *     bytes             own name (a root's: its whole path), files' names, subfolders' names, members' names, names left out
 *
 * Members are the stored files inside the folder's archives (see `container/`). What was left out are names that are no files of
 * the collection, and why; there are LEFT_OUT_OF_FOLDER at most, since a folder may have a million. A record without the flag
 * LISTS_LEFT_OUT is of an older version, and does not know them.
 */
import { AutotorrentError } from '../../errors.ts';
import { hashName } from '../names.ts';

/** Bits of a file's flags. Records of older versions have the first alone. */
export const IGNORED = 1;
export const GROWING = 2;

/** Why names are left out, in the order of their numbers in records. */
export const LEFT_OUT = ['link', 'unreadable'] as const;

/** Names that a folder's record has of what was left out. */
export const LEFT_OUT_OF_FOLDER = 1000;

const HEADER = 64;
const RELEASE = 1;
/** The inodes are exact. Records of older versions have them as doubles. */
const INODES = 2;
const LISTS_LEFT_OUT = 4;
/** Most folders have no archives, and there are very many folders. */
const NO_SIZES = new Float64Array(0);
const NO_WORDS = new Uint32Array(0);

/** The numbers that change when a folder changes. */
export interface FolderState {
  readonly dev: number;
  readonly ino: number;
  readonly mtime: number;
  readonly ctime: number;
}

/** A file inside an archive; names are byte strings. */
export interface MemberContent {
  /** Position of the archive's first volume among the folder's files. */
  readonly file: number;
  /** With `/` between components. */
  readonly name: string;
  readonly size: number;
}

/** A name that is no file of the collection: a byte string. */
export interface LeftOutName {
  readonly name: string;
  readonly why: (typeof LEFT_OUT)[number];
}

/** Names are byte strings. */
export interface FolderContent extends FolderState {
  readonly name: string;
  readonly fileDev: number;
  readonly fileNames: readonly string[];
  readonly sizes: readonly number[];
  readonly inodes: readonly bigint[];
  readonly ignored: readonly boolean[];
  /** Default: none is. */
  readonly growing?: readonly boolean[];
  readonly subfolders: readonly string[];
  readonly members: readonly MemberContent[];
  /** Undefined: not known. */
  readonly leftOut: readonly LeftOutName[] | undefined;
  /** `isReleaseFolder` of the files. */
  readonly marked: boolean;
}

export function encodeFolder(folder: FolderContent): ArrayBuffer {
  const files = folder.fileNames.length;
  const subs = folder.subfolders.length;
  const members = folder.members.length;
  const leftOut = folder.leftOut ?? [];
  const names =
    folder.name +
    folder.fileNames.join('') +
    folder.subfolders.join('') +
    folder.members.map(({ name }) => name).join('') +
    leftOut.map(({ name }) => name).join('');
  const fixed = HEADER + files * 25 + subs * 4 + members * 20 + leftOut.length * 5;
  const buffer = new ArrayBuffer(fixed + names.length);
  new Float64Array(buffer, 0, 5).set([folder.dev, folder.ino, folder.mtime, folder.ctime, folder.fileDev]);
  new Uint32Array(buffer, 40, 6).set([
    files,
    subs,
    folder.name.length,
    INODES | (folder.marked ? RELEASE : 0) | (folder.leftOut === undefined ? 0 : LISTS_LEFT_OUT),
    members,
    leftOut.length,
  ]);
  new Float64Array(buffer, HEADER, files).set(folder.sizes);
  new BigUint64Array(buffer, HEADER + files * 8, files).set(folder.inodes);
  const doubles = HEADER + files * 16 + members * 8;
  const words = new Uint32Array(buffer, doubles, files * 2 + subs + members * 3 + leftOut.length);
  const flags = new Uint8Array(buffer, doubles + words.byteLength, files + leftOut.length);
  let end = folder.name.length;
  let at = 0;
  for (const name of folder.fileNames) {
    words[at] = hashName(name);
    words[files + at] = end += name.length;
    flags[at] = (folder.ignored[at] === true ? IGNORED : 0) | (folder.growing?.[at] === true ? GROWING : 0);
    at++;
  }
  for (const name of folder.subfolders) words[files + at++] = end += name.length;
  if (members > 0) {
    const memberSizes = new Float64Array(buffer, HEADER + files * 16, members);
    const hashes = words.subarray(files * 2 + subs + members);
    for (const [i, { file, name, size }] of folder.members.entries()) {
      memberSizes[i] = size;
      words[files * 2 + subs + i] = end += name.length;
      hashes[i] = hashName(name.slice(name.lastIndexOf('/') + 1));
      hashes[members + i] = file;
    }
  }
  for (const [i, { name, why }] of leftOut.entries()) {
    words[words.length - leftOut.length + i] = end += name.length;
    flags[files + i] = LEFT_OUT.indexOf(why);
  }
  Buffer.from(buffer, fixed).write(names, 'latin1');
  return buffer;
}

export class FolderRecord {
  /** The record itself, as it is stored. */
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly files: number;
  readonly subfolders: number;
  readonly marked: boolean;
  readonly dev: number;
  readonly ino: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly fileDev: number;
  readonly sizes: Float64Array;
  /** Rounded to doubles. */
  readonly inodes: Float64Array;
  readonly hashes: Uint32Array;
  /** IGNORED, GROWING. */
  readonly fileFlags: Uint8Array;
  readonly members: number;
  readonly memberSizes: Float64Array;
  /** Hashes of the normalised base names. */
  readonly memberHashes: Uint32Array;
  /** The position of the archive's first volume among the files, for each member. */
  readonly memberFiles: Uint32Array;
  /** Names of what was left out. */
  readonly leftOut: number;
  /** False: the record is of an older version, and does not know what was left out. */
  readonly listsLeftOut: boolean;
  readonly #leftOutKinds: Uint8Array;
  readonly #leftOutEnds: Uint32Array;
  readonly #exact: BigUint64Array | undefined;
  readonly #nameEnds: Uint32Array;
  readonly #ownName: number;
  readonly #names: Buffer;

  /** @throws AutotorrentError('INDEX') if the bytes are no such record */
  constructor(buffer: ArrayBuffer, offset = 0, length = buffer.byteLength) {
    if (length < HEADER || offset % 8 !== 0 || offset + length > buffer.byteLength) throw damagedFolder();
    const [dev = 0, ino = 0, mtime = 0, ctime = 0, fileDev = 0] = new Float64Array(buffer, offset, 5);
    const numbers = new Uint32Array(buffer, offset + 40, 6);
    const [files = 0, subs = 0, ownName = 0, flags = 0, members = 0, leftOut = 0] = numbers;
    const fixed = HEADER + files * 25 + subs * 4 + members * 20 + leftOut * 5;
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
    this.#exact = (flags & INODES) === 0 ? undefined : new BigUint64Array(buffer, body + files * 8, files);
    this.inodes =
      this.#exact === undefined
        ? new Float64Array(buffer, body + files * 8, files)
        : rounded(buffer, body + files * 8, files);
    this.members = members;
    this.memberSizes = members === 0 ? NO_SIZES : new Float64Array(buffer, body + files * 16, members);
    const words = body + files * 16 + members * 8;
    this.hashes = new Uint32Array(buffer, words, files);
    this.#nameEnds = new Uint32Array(buffer, words + files * 4, files + subs + members);
    const ofMembers = words + files * 8 + subs * 4 + members * 4;
    this.memberHashes = members === 0 ? NO_WORDS : new Uint32Array(buffer, ofMembers, members);
    this.memberFiles = members === 0 ? NO_WORDS : new Uint32Array(buffer, ofMembers + members * 4, members);
    const ofLeftOut = ofMembers + members * 8;
    this.leftOut = leftOut;
    this.listsLeftOut = (flags & LISTS_LEFT_OUT) !== 0;
    this.#leftOutEnds = leftOut === 0 ? NO_WORDS : new Uint32Array(buffer, ofLeftOut, leftOut);
    this.fileFlags = new Uint8Array(buffer, ofLeftOut + leftOut * 4, files);
    this.#leftOutKinds = new Uint8Array(buffer, ofLeftOut + leftOut * 4 + files, leftOut);
    this.#ownName = ownName;
    this.#names = Buffer.from(buffer, offset + fixed, length - fixed);
    const end = this.#leftOutEnds.at(-1) ?? this.#nameEnds.at(-1) ?? ownName;
    if (end !== this.#names.length) throw damagedFolder();
  }

  /** Tells if a file has an inode number. In a record of an older version it may be another that rounds to the same. */
  hasInode(file: number, ino: bigint): boolean {
    return this.#exact === undefined ? this.inodes[file] === Number(ino) : this.#exact[file] === ino;
  }

  /** Tells if a file was still being written when it was looked at: its size says nothing. */
  isGrowing(file: number): boolean {
    return ((this.fileFlags[file] ?? 0) & GROWING) !== 0;
  }

  /** The folder's name. For a root it is the whole path. */
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

  /** With `/` between components. */
  memberName(index: number): Buffer {
    return this.#name(this.files + this.subfolders + index);
  }

  /** A name that was left out, and why. */
  leftOutName(index: number): { readonly name: Buffer; readonly why: LeftOutName['why'] } {
    const start = index === 0 ? (this.#nameEnds.at(-1) ?? this.#ownName) : (this.#leftOutEnds[index - 1] ?? 0);
    const name = this.#names.subarray(start, this.#leftOutEnds[index] ?? start);
    return { name, why: LEFT_OUT[this.#leftOutKinds[index] ?? 0] ?? 'unreadable' };
  }

  sameState(now: FolderState): boolean {
    return this.dev === now.dev && this.ino === now.ino && this.mtime === now.mtime && this.ctime === now.ctime;
  }

  /** Copies the record with further subfolders. The copy never counts as unchanged. */
  withSubfolders(names: readonly string[]): FolderRecord {
    return this.#copy(names, this.members);
  }

  /** Copies the record without members. The copy never counts as unchanged. */
  withoutMembers(): FolderRecord {
    return this.#copy([], 0);
  }

  /** Gives the record with the flags that other patterns give its files: itself, if they are as before. */
  ignoring(isIgnored: (name: string, folder: string) => boolean, path: string): FolderRecord {
    const flags = Array.from(this.fileFlags, (flag, i) =>
      isIgnored(this.fileName(i).toString('latin1'), path) ? flag | IGNORED : flag & ~IGNORED,
    );
    if (flags.every((flag, i) => flag === this.fileFlags[i])) return this;
    const copy = this.packed.slice();
    const record = new FolderRecord(copy.buffer);
    record.fileFlags.set(flags);
    return record;
  }

  #copy(names: readonly string[], members: number): FolderRecord {
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
        inodes: this.#exact === undefined ? Array.from(this.inodes, (ino) => BigInt(ino)) : [...this.#exact],
        ignored: Array.from(this.fileFlags, (flags) => (flags & IGNORED) !== 0),
        growing: Array.from(this.fileFlags, (flags) => (flags & GROWING) !== 0),
        subfolders: [...Array.from({ length: this.subfolders }, (_, i) => this.subfolderName(i)), ...names],
        members: Array.from({ length: members }, (_, i) => ({
          file: this.memberFiles[i] ?? 0,
          name: this.memberName(i).toString('latin1'),
          size: this.memberSizes[i] ?? 0,
        })),
        leftOut: this.listsLeftOut ? this.#leftOutContent() : undefined,
        marked: this.marked,
      }),
    );
  }

  #leftOutContent(): LeftOutName[] {
    return Array.from({ length: this.leftOut }, (_, i) => {
      const { name, why } = this.leftOutName(i);
      return { name: name.toString('latin1'), why };
    });
  }

  #name(index: number): Buffer {
    const start = index === 0 ? this.#ownName : (this.#nameEnds[index - 1] ?? 0);
    return this.#names.subarray(start, this.#nameEnds[index] ?? start);
  }
}

/** Makes the record of a folder that was not read, as it only leads to one that was. */
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
      members: [],
      leftOut: undefined,
      marked: false,
    }),
  );
}

/** Reads integers of 64 bits as doubles, without a BigInt for each. */
function rounded(buffer: ArrayBuffer, offset: number, count: number): Float64Array {
  const words = new Uint32Array(buffer, offset, count * 2);
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) numbers[i] = (words[i * 2 + 1] ?? 0) * 2 ** 32 + (words[i * 2] ?? 0);
  return numbers;
}

function damagedFolder(): AutotorrentError {
  return new AutotorrentError('INDEX', 'the collection index is damaged: a folder in it cannot be read', {
    hint: 'run `autotorrent rebuild --full`',
  });
}
