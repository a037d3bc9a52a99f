/**
 * Decodes the parts of a plan, one at a time, from bytes that may end in the middle of one: then nothing has changed, and the part is
 * read again from its beginning once there are more.
 *
 * It trusts nothing: it checks counts, ranges, coverage, totals and paths, and throws at the first fault.
 */
import { type ByteReader, MalformedBytes } from '../bytes/byte-codec.ts';
import { AutotorrentError } from '../errors.ts';
import { type Extent, GAP, ZEROS } from '../extent/extent.ts';
import { MAX_METAINFO_BYTES } from '../metainfo/parse.ts';
import { MAX_PATH_DEPTH } from '../metainfo/paths.ts';
import { isLonger, SHOWN_NAME_BYTES } from '../name-limits.ts';
import type { FileHandle } from '../source/identity.ts';
import { NO_BOUNDS, overBounds, type PlanBounds } from './bounds.ts';
import { FILE_CODES } from './file-code.ts';
import {
  ALIGNED,
  EXECUTABLE,
  HAS_CTIME,
  HAS_DISK,
  HAS_FOLDER,
  HAS_HANDLE,
  MAGIC,
  type PlanHeader,
  SOURCE_SHIFT,
  STATUS,
  SYMLINK,
  VERIFY,
  VERSION,
} from './format.ts';
import type { PlanFile, PlanSource } from './plan.ts';

const PATH_MAX = 4096;
/** The .torrent's file name; the entry's name is cut to `DISK_NAME_BYTES` later. */
const ENTRY_NAME_MAX = 4096;
const MODE_MAX = 64;
/** MAX_HANDLE_SZ of the kernel. */
const HANDLE_MAX = 128;
/** A type, and the source of a mount. */
const DISK_MAX = 8192;
/** Components of a path: the torrent's name, its folders, the file. */
const MOST_COMPONENTS = MAX_PATH_DEPTH + 2;

/** The fields before the header's other ones. */
type Beginning = Pick<PlanHeader, 'name' | 'infoHash' | 'infoHashV2' | 'metainfo'>;

export class PlanDecoder {
  readonly #beginning: Beginning;
  #bounds = NO_BOUNDS;
  #header: PlanHeader | undefined;
  /** Grows as sources come. */
  #sourceSizes = new Float64Array(64);
  #sourcesRead = 0;
  #filesRead = 0;
  #extentsRead = 0;
  #total = 0;
  #missing = 0;

  /** Reads the metainfo, and what comes before it. */
  constructor(bytes: ByteReader) {
    if (!bytes.raw('the mark', MAGIC.length).equals(MAGIC)) throw new MalformedBytes('the mark is not a plan’s');
    const version = bytes.integer('the version');
    if (version !== VERSION) throw new MalformedBytes(`version ${version} is not ${VERSION}`);
    const name = bytes.text('the name', ENTRY_NAME_MAX);
    const infoHash = bytes.raw('the info hash', 20).toString('hex');
    const infoHashV2 = bytes.bytes('the v2 info hash', 32).toString('hex');
    if (![0, 64].includes(infoHashV2.length)) throw new MalformedBytes('the v2 info hash is none');
    const metainfo = bytes.bytes('the metainfo', MAX_METAINFO_BYTES);
    this.#beginning = { name, infoHash, ...(infoHashV2 === '' ? {} : { infoHashV2 }), metainfo };
  }

  get metainfo(): Buffer {
    return this.#beginning.metainfo;
  }

  get sourcesLeft(): number {
    return (this.#header?.sourceCount ?? 0) - this.#sourcesRead;
  }

  get filesLeft(): number {
    return (this.#header?.fileCount ?? 0) - this.#filesRead;
  }

  /** @throws AutotorrentError('TORRENT') for more than `bounds` */
  readHeader(bytes: ByteReader, bounds: PlanBounds): PlanHeader {
    const pieceCount = within('pieces', bytes.integer('the piece count'), bounds.pieces);
    const pieceLength = bytes.integer('the piece length');
    const aligned = bytes.integer('the flags', ALIGNED) === ALIGNED;
    const verified = bytes.bytes('the piece map', Math.ceil(pieceCount / 8) + 1);
    if (verified.length !== Math.ceil(pieceCount / 8))
      throw new MalformedBytes('the piece map does not fit the pieces');
    const spare = pieceCount % 8 === 0 ? 0 : 0xff >> (pieceCount % 8);
    if (((verified.at(-1) ?? 0) & spare) !== 0) throw new MalformedBytes('the piece map has bits after the last piece');
    const verify = VERIFY[bytes.integer('the verify level')];
    if (verify === undefined) throw new MalformedBytes('the verify level is unknown');
    const totalLength = bytes.integer('the total length');
    const missingBytes = bytes.integer('the missing bytes', totalLength);
    if (pieceLength === 0 && pieceCount > 0) throw new MalformedBytes('the piece length is 0');
    // The least size of each: a source has a device, an inode, a time, two lengths and two numbers; a file a double and eight numbers or bytes.
    const sourceCount = within('sources', bytes.count('the number of sources', 29), bounds.sources);
    const fileCount = within('files', bytes.count('the number of files', 16), bounds.files);
    this.#bounds = bounds;
    this.#header = {
      ...this.#beginning,
      pieceCount,
      pieceLength,
      ...(aligned ? { aligned } : {}),
      verified,
      verify,
      totalLength,
      missingBytes,
      sourceCount,
      fileCount,
    };
    return this.#header;
  }

  readSource(bytes: ByteReader): PlanSource {
    const { sourceCount } = this.#known();
    const path = bytes.bytes('a source’s path', PATH_MAX);
    if (path[0] !== 0x2f || path.includes(0)) throw new MalformedBytes('a source’s path is not absolute');
    const dev = bytes.double('a device number');
    const ino = bytes.wide('an inode number');
    const size = bytes.integer('a source’s size');
    const mtimeNs = bytes.time('a source’s mtime');
    const flags = bytes.integer('a source’s flags', HAS_CTIME | HAS_HANDLE | HAS_FOLDER | HAS_DISK);
    const ctimeNs = (flags & HAS_CTIME) === 0 ? undefined : bytes.time('a source’s ctime');
    const handle = (flags & HAS_HANDLE) === 0 ? undefined : readHandle(bytes);
    const folder = (flags & HAS_FOLDER) === 0 ? undefined : readHandle(bytes);
    if (folder !== undefined && handle === undefined)
      throw new MalformedBytes('a source has the handle of its folder alone');
    const disk = (flags & HAS_DISK) === 0 ? undefined : bytes.text('a disk', DISK_MAX);
    const spares: number[] = [];
    const spareCount = within('spares of a source', bytes.count('the number of spares', 1), this.#bounds.spares);
    for (let left = spareCount; left > 0; left--) spares.push(bytes.integer('a spare', sourceCount - 1));
    if (this.#sourcesRead === this.#sourceSizes.length) {
      const larger = new Float64Array(this.#sourcesRead * 2);
      larger.set(this.#sourceSizes);
      this.#sourceSizes = larger;
    }
    this.#sourceSizes[this.#sourcesRead++] = size;
    return {
      path,
      dev,
      ino,
      size,
      mtimeNs,
      ctimeNs,
      spares,
      ...(handle === undefined ? {} : { handle: folder === undefined ? handle : { ...handle, folder } }),
      ...(disk === undefined ? {} : { disk }),
    };
  }

  readFile(bytes: ByteReader): PlanFile {
    const path = this.#path(bytes);
    const length = bytes.integer('a file’s length');
    const status = STATUS[bytes.integer('a file’s status')];
    if (status === undefined) throw new MalformedBytes('a file’s status is unknown');
    const mode = bytes.text('a file’s mode', MODE_MAX);
    const code = FILE_CODES[bytes.integer('a file’s code')];
    if (code === undefined) throw new MalformedBytes('a file’s code is unknown');
    const mtimeMs = bytes.double('a file’s mtime');
    const flags = bytes.integer('a file’s flags', EXECUTABLE | SYMLINK);
    const symlink = (flags & SYMLINK) === 0 ? undefined : this.#path(bytes);
    if (symlink !== undefined && length > 0) throw new MalformedBytes('a symlink has bytes');
    const extents = this.#extents(bytes, length);
    if (status === 'missing' || status === 'pad') {
      const only = status === 'missing' ? GAP : ZEROS;
      if (extents.some(({ source }) => source !== only)) throw new MalformedBytes(`a ${status} file has other bytes`);
    } else if (status === 'mapped' && extents.some(({ source }) => source < 0)) {
      throw new MalformedBytes('a mapped file has a gap');
    }
    this.#filesRead++;
    this.#extentsRead += extents.length;
    this.#total += length;
    for (const extent of extents) if (extent.source === GAP) this.#missing += extent.length;
    const file = { path, length, status, mode, code, mtimeMs, executable: (flags & EXECUTABLE) !== 0, extents };
    return symlink === undefined ? file : { ...file, symlink };
  }

  /** Checks the plan as a whole. */
  readEnd(bytes: ByteReader): void {
    const { totalLength, missingBytes } = this.#known();
    if (this.#total !== totalLength) throw new MalformedBytes('the lengths do not add up to the total');
    if (this.#missing !== missingBytes) throw new MalformedBytes('the gaps do not add up to what is missing');
    if (bytes.left > 0) throw new MalformedBytes('something follows the last file');
  }

  #known(): PlanHeader {
    if (this.#header === undefined) throw new Error('the header of a plan comes before its sources');
    return this.#header;
  }

  #path(bytes: ByteReader): string[] {
    const path: string[] = [];
    for (let left = bytes.count('the number of path components', 1, MOST_COMPONENTS); left > 0; left--) {
      const component = bytes.text('a path component', PATH_MAX);
      const safe = component !== '' && component !== '.' && component !== '..' && !/[/\0]/.test(component);
      if (!safe || isLonger(component, SHOWN_NAME_BYTES)) throw new MalformedBytes('a path component is not safe');
      path.push(component);
    }
    if (path.length === 0) throw new MalformedBytes('a path is empty');
    return path;
  }

  #extents(bytes: ByteReader, fileLength: number): Extent[] {
    const { sourceCount } = this.#known();
    const extents: Extent[] = [];
    let offset = 0;
    const count = within('extents in a file', bytes.count('the number of extents', 2), this.#bounds.extentsOfFile);
    within('extents', this.#extentsRead + count, this.#bounds.extents);
    for (let left = count; left > 0; left--) {
      const source = bytes.integer('an extent’s source', sourceCount - 1 + SOURCE_SHIFT) - SOURCE_SHIFT;
      const length = bytes.integer('an extent’s length', fileLength - offset);
      if (length === 0) throw new MalformedBytes('an extent is empty');
      const sourceOffset = source < 0 ? 0 : bytes.integer('an extent’s place in its source');
      if (source >= 0 && sourceOffset + length > (this.#sourceSizes[source] ?? 0)) {
        throw new MalformedBytes('an extent passes the end of its source');
      }
      extents.push({ offset, length, source, sourceOffset });
      offset += length;
    }
    if (offset !== fileLength) throw new MalformedBytes('the extents do not cover their file');
    return extents;
  }
}

/** A copy: a view would keep the bytes that it came in. */
function readHandle(bytes: ByteReader): FileHandle {
  const type = bytes.integer('the type of a handle', 2 ** 31 - 1);
  return { type, bytes: Buffer.from(bytes.bytes('a handle', HANDLE_MAX)) };
}

function within(what: string, count: number, most: number): number {
  if (count > most) throw overBounds(what, count, most);
  return count;
}

/** Reads, and explains malformed bytes. @throws AutotorrentError('SERVER') */
export function sound<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof MalformedBytes ? notAPlan(error) : error;
  }
}

function notAPlan(cause: MalformedBytes): AutotorrentError {
  return new AutotorrentError('SERVER', `This is not a plan that can be read: ${cause.message}.`, {
    hint: 'The command and the server must be the same version of autotorrent: restart the server.',
    cause,
  });
}
