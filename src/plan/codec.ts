/** Encodes plans, and reads those that are in memory as a whole. `format.ts` has the form, `stream.ts` reads one as it arrives. */
import { ByteReader, ByteWriter } from '../bytes/byte-codec.ts';
import { NO_BOUNDS } from './bounds.ts';
import { PlanDecoder, sound } from './decoder.ts';
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
import type { Plan, PlanFile, PlanSource } from './plan.ts';

/** Encodes a plan as one buffer. */
export function encodePlan(plan: Plan): Buffer {
  return Buffer.concat([...encodedPlan(plan)]);
}

/** Bytes of a block. */
const BLOCK = 64 * 1024;

/** Encodes a plan in blocks, as they are wanted: as a whole it may be larger than the torrent. */
export function* encodedPlan(plan: Plan): Generator<Buffer> {
  let out = new ByteWriter();
  out.raw(MAGIC);
  out.integer(VERSION);
  out.text(plan.name);
  out.raw(Buffer.from(plan.infoHash, 'hex'));
  out.bytes(Buffer.from(plan.infoHashV2 ?? '', 'hex'));
  out.integer(plan.metainfo.length);
  yield out.finish();
  yield plan.metainfo;
  out = new ByteWriter();
  out.integer(plan.pieceCount);
  out.integer(plan.pieceLength);
  out.integer(plan.aligned === true ? ALIGNED : 0);
  out.bytes(plan.verified);
  out.integer(VERIFY.indexOf(plan.verify));
  out.integer(plan.totalLength);
  out.integer(plan.missingBytes);
  out.integer(plan.sources.length);
  out.integer(plan.files.length);
  for (const source of plan.sources) {
    encodeSource(out, source);
    if (out.length < BLOCK) continue;
    yield out.finish();
    out = new ByteWriter();
  }
  for (const file of plan.files) {
    encodeFile(out, file);
    if (out.length < BLOCK) continue;
    yield out.finish();
    out = new ByteWriter();
  }
  yield out.finish();
}

function encodeSource(out: ByteWriter, source: PlanSource): void {
  out.bytes(source.path);
  out.double(source.dev);
  out.wide(source.ino);
  out.integer(source.size);
  out.time(source.mtimeNs);
  const { ctimeNs, handle, disk } = source;
  out.integer(
    (ctimeNs === undefined ? 0 : HAS_CTIME) |
      (handle === undefined ? 0 : HAS_HANDLE) |
      (handle?.folder === undefined ? 0 : HAS_FOLDER) |
      (disk === undefined ? 0 : HAS_DISK),
  );
  if (ctimeNs !== undefined) out.time(ctimeNs);
  for (const named of [handle, handle?.folder]) {
    if (named === undefined) continue;
    out.integer(named.type);
    out.bytes(named.bytes);
  }
  if (disk !== undefined) out.text(disk);
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
  readonly #decoder: PlanDecoder;

  constructor(bytes: Buffer) {
    this.#in = new ByteReader(bytes);
    this.#decoder = sound(() => new PlanDecoder(this.#in));
    this.header = sound(() => this.#decoder.readHeader(this.#in, NO_BOUNDS));
  }

  *sources(): Generator<PlanSource, void, undefined> {
    while (this.#decoder.sourcesLeft > 0) yield sound(() => this.#decoder.readSource(this.#in));
  }

  /** Reads the files, then checks the whole plan: a plan whose iterator did not end is not valid. */
  *files(): Generator<PlanFile, void, undefined> {
    if (this.#decoder.sourcesLeft > 0) throw new Error('the sources of a plan come before its files');
    while (this.#decoder.filesLeft > 0) yield sound(() => this.#decoder.readFile(this.#in));
    sound(() => this.#decoder.readEnd(this.#in));
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
