/**
 * Encodes a plan as bytes: the command that made it sends them to the server.
 *
 *     'ATPLAN' version header source* file*
 *
 * Integers are LEB128, texts UTF-8 with their length before them, times doubles. Derived values are not written: an
 * extent's offset is the end of the one before it. The server reads in slices: the header at once, then sources and files
 * one by one, so that a torrent of 200,000 files does not block its event loop.
 *
 * The reader trusts nothing: it checks counts, ranges, coverage, totals and paths, and throws at the first fault.
 */

import { ByteReader, ByteWriter, MalformedBytes } from '../bytes/byte-codec.ts';
import { AutotorrentError } from '../errors.ts';
import { type Extent, GAP, ZEROS } from '../extent/extent.ts';
import { FILE_CODES } from './file-code.ts';
import type { FileStatus, Plan, PlanFile, PlanSource } from './plan.ts';

const MAGIC = Buffer.from('ATPLAN');
const VERSION = 4;
const VERIFY = ['none', 'probe', 'full'] as const;
const STATUS: readonly FileStatus[] = ['mapped', 'resized', 'partial', 'missing', 'pad'];
const ALIGNED = 1;
const EXECUTABLE = 1;
const SYMLINK = 2;
/** Added to `source` before it is written, so that `ZEROS` and `GAP` are not negative. */
const SOURCE_SHIFT = 2;
const NAME_MAX = 255;

/** A plan without its lists. */
export interface PlanHeader extends Omit<Plan, 'sources' | 'files'> {
  readonly sourceCount: number;
  readonly fileCount: number;
}

export function encodePlan(plan: Plan): Buffer {
  const out = new ByteWriter();
  out.raw(MAGIC);
  out.integer(VERSION);
  out.text(plan.name);
  out.raw(Buffer.from(plan.infoHash, 'hex'));
  out.bytes(Buffer.from(plan.infoHashV2 ?? '', 'hex'));
  out.bytes(plan.metainfo);
  out.integer(plan.pieceCount);
  out.integer(plan.pieceLength);
  out.integer(plan.aligned === true ? ALIGNED : 0);
  out.bytes(plan.verified);
  out.integer(VERIFY.indexOf(plan.verify));
  out.integer(plan.totalLength);
  out.integer(plan.missingBytes);
  out.integer(plan.sources.length);
  out.integer(plan.files.length);
  for (const source of plan.sources) encodeSource(out, source);
  for (const file of plan.files) encodeFile(out, file);
  return out.finish();
}

function encodeSource(out: ByteWriter, source: PlanSource): void {
  out.bytes(source.path);
  // Not `integer`: some file systems (mergerfs) have inode numbers of 64 bits, which Node rounds to a double.
  out.double(source.dev);
  out.double(source.ino);
  out.integer(source.size);
  out.double(source.mtimeMs);
  out.integer(source.spares.length);
  for (const spare of source.spares) out.integer(spare);
}

function encodeFile(out: ByteWriter, file: PlanFile): void {
  encodePath(out, file.path);
  out.integer(file.length);
  out.integer(STATUS.indexOf(file.status));
  out.text(file.mode);
  out.integer(FILE_CODES.indexOf(file.code));
  out.double(file.mtimeMs);
  out.integer((file.executable ? EXECUTABLE : 0) | (file.symlink === undefined ? 0 : SYMLINK));
  if (file.symlink !== undefined) encodePath(out, file.symlink);
  out.integer(file.extents.length);
  for (const extent of file.extents) {
    out.integer(extent.source + SOURCE_SHIFT);
    out.integer(extent.length);
    if (extent.source >= 0) out.integer(extent.sourceOffset);
  }
}

function encodePath(out: ByteWriter, path: readonly string[]): void {
  out.integer(path.length);
  for (const component of path) out.text(component);
}

/**
 * Reads a plan in slices: `header` first, then all of `sources()`, then all of `files()`, each once. Its results are views
 * of `bytes`, which must not change meanwhile.
 * @throws AutotorrentError('SERVER') if the bytes are not a valid plan of this version, also from the iterators
 */
export class PlanReader {
  readonly header: PlanHeader;
  readonly #in: ByteReader;
  readonly #sourceSizes: Float64Array;
  #sourcesRead = 0;

  constructor(bytes: Buffer) {
    this.#in = new ByteReader(bytes);
    this.header = sound(() => this.#header());
    this.#sourceSizes = new Float64Array(this.header.sourceCount);
  }

  *sources(): Generator<PlanSource, void, undefined> {
    while (this.#sourcesRead < this.header.sourceCount) yield sound(() => this.#source());
  }

  /** Reads the files, then checks the whole plan: a plan whose iterator did not end is not valid. */
  *files(): Generator<PlanFile, void, undefined> {
    if (this.#sourcesRead < this.header.sourceCount) throw new Error('the sources of a plan come before its files');
    let total = 0;
    let missing = 0;
    for (let i = 0; i < this.header.fileCount; i++) {
      const file = sound(() => this.#file());
      total += file.length;
      for (const extent of file.extents) if (extent.source === GAP) missing += extent.length;
      yield file;
    }
    sound(() => {
      if (total !== this.header.totalLength) throw new MalformedBytes('the lengths do not add up to the total');
      if (missing !== this.header.missingBytes) throw new MalformedBytes('the gaps do not add up to what is missing');
      if (this.#in.left > 0) throw new MalformedBytes('something follows the last file');
    });
  }

  #header(): PlanHeader {
    const bytes = this.#in;
    if (!bytes.raw('the mark', MAGIC.length).equals(MAGIC)) throw new MalformedBytes('the mark is not a plan’s');
    const version = bytes.integer('the version');
    if (version !== VERSION) throw new MalformedBytes(`version ${version} is not ${VERSION}`);
    const name = bytes.text('the name');
    const infoHash = bytes.raw('the info hash', 20).toString('hex');
    const infoHashV2 = bytes.bytes('the v2 info hash').toString('hex');
    if (![0, 64].includes(infoHashV2.length)) throw new MalformedBytes('the v2 info hash is none');
    const metainfo = bytes.bytes('the metainfo');
    const pieceCount = bytes.integer('the piece count');
    const pieceLength = bytes.integer('the piece length');
    const aligned = bytes.integer('the flags', ALIGNED) === ALIGNED;
    const verified = bytes.bytes('the piece map');
    if (verified.length !== Math.ceil(pieceCount / 8))
      throw new MalformedBytes('the piece map does not fit the pieces');
    const spare = pieceCount % 8 === 0 ? 0 : 0xff >> (pieceCount % 8);
    if (((verified.at(-1) ?? 0) & spare) !== 0) throw new MalformedBytes('the piece map has bits after the last piece');
    const verify = VERIFY[bytes.integer('the verify level')];
    if (verify === undefined) throw new MalformedBytes('the verify level is unknown');
    const totalLength = bytes.integer('the total length');
    const missingBytes = bytes.integer('the missing bytes', totalLength);
    if (pieceLength === 0 && pieceCount > 0) throw new MalformedBytes('the piece length is 0');
    // The least size of each: a source has three doubles, two lengths and a number; a file a double and eight numbers or bytes.
    const sourceCount = bytes.count('the number of sources', 27);
    const fileCount = bytes.count('the number of files', 16);
    return {
      name,
      infoHash,
      ...(infoHashV2 === '' ? {} : { infoHashV2 }),
      metainfo,
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
  }

  #source(): PlanSource {
    const bytes = this.#in;
    const path = bytes.bytes('a source’s path');
    if (path[0] !== 0x2f || path.includes(0)) throw new MalformedBytes('a source’s path is not absolute');
    const dev = bytes.double('a device number');
    const ino = bytes.double('an inode number');
    const size = bytes.integer('a source’s size');
    const mtimeMs = bytes.double('a source’s mtime');
    const spares: number[] = [];
    for (let left = bytes.count('the number of spares', 1); left > 0; left--) {
      spares.push(bytes.integer('a spare', this.header.sourceCount - 1));
    }
    this.#sourceSizes[this.#sourcesRead++] = size;
    return { path, dev, ino, size, mtimeMs, spares };
  }

  #file(): PlanFile {
    const bytes = this.#in;
    const path = this.#path();
    const length = bytes.integer('a file’s length');
    const status = STATUS[bytes.integer('a file’s status')];
    if (status === undefined) throw new MalformedBytes('a file’s status is unknown');
    const mode = bytes.text('a file’s mode');
    const code = FILE_CODES[bytes.integer('a file’s code')];
    if (code === undefined) throw new MalformedBytes('a file’s code is unknown');
    const mtimeMs = bytes.double('a file’s mtime');
    const flags = bytes.integer('a file’s flags', EXECUTABLE | SYMLINK);
    const symlink = (flags & SYMLINK) === 0 ? undefined : this.#path();
    if (symlink !== undefined && length > 0) throw new MalformedBytes('a symlink has bytes');
    const extents = this.#extents(length);
    if (status === 'missing' || status === 'pad') {
      const only = status === 'missing' ? GAP : ZEROS;
      if (extents.some(({ source }) => source !== only)) throw new MalformedBytes(`a ${status} file has other bytes`);
    } else if (status === 'mapped' && extents.some(({ source }) => source < 0)) {
      throw new MalformedBytes('a mapped file has a gap');
    }
    const file = { path, length, status, mode, code, mtimeMs, executable: (flags & EXECUTABLE) !== 0, extents };
    return symlink === undefined ? file : { ...file, symlink };
  }

  #path(): string[] {
    const bytes = this.#in;
    const path: string[] = [];
    for (let left = bytes.count('the number of path components', 1); left > 0; left--) {
      const component = bytes.text('a path component');
      const safe = component !== '' && component !== '.' && component !== '..' && !/[/\0]/.test(component);
      if (!safe || Buffer.byteLength(component) > NAME_MAX) throw new MalformedBytes('a path component is not safe');
      path.push(component);
    }
    if (path.length === 0) throw new MalformedBytes('a path is empty');
    return path;
  }

  #extents(fileLength: number): Extent[] {
    const bytes = this.#in;
    const extents: Extent[] = [];
    let offset = 0;
    for (let left = bytes.count('the number of extents', 2); left > 0; left--) {
      const source = bytes.integer('an extent’s source', this.header.sourceCount - 1 + SOURCE_SHIFT) - SOURCE_SHIFT;
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

/** Reads a whole plan at once, for callers that may block their event loop. @throws AutotorrentError('SERVER') */
export function decodePlan(bytes: Buffer): Plan {
  const reader = new PlanReader(bytes);
  const { sourceCount: _sources, fileCount: _files, ...header } = reader.header;
  const sources = [...reader.sources()];
  const files = [...reader.files()];
  return { ...header, sources, files };
}

function sound<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    throw new AutotorrentError('SERVER', `This is not a plan that can be read: ${error.message}.`, {
      hint: 'The command and the server must be the same version of autotorrent: restart the server.',
      cause: error,
    });
  }
}
