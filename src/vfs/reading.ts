/**
 * Reads over extents: merges sources, zeros, gaps and the overlay file in one pass.
 *
 * Bytes in the page cache are returned at once (`FileCalls.preadCached`); a thread reads the others, so the event loop
 * never waits for a disk. Bytes of a doubted source are served if their pieces are proven (`proving/`). A read of a local
 * file is followed by a look at it: what was read of a file that changed meanwhile is discarded.
 */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, PosixError } from '../errors.ts';
import { type Extent, OVERLAY } from '../extent/extent.ts';
import type { FileCalls } from '../native/files.ts';
import type { FileIdentity } from '../source/identity.ts';
import { FRESH_MS, type SourceFiles } from '../source/served-sources.ts';
import type { SourceFile } from '../source/source-file.ts';
import type { BaseBytes } from '../store/overlay/mapped-writing.ts';
import type { MappedFile } from './open-file.ts';
import type { Proving } from './proving/proving.ts';

const readAsync = promisify(read);

/** Attempts for one read: the source, the source opened anew, its spares. */
const ATTEMPTS = 6;
/** The number of sources that `check` looks at. A file's further sources are checked when they are read. */
const CHECKED_AT_OPEN = 16;

/** Serves bytes of doubted sources (`proving/`). */
export type ProvenBytes = Pick<Proving, 'isProven' | 'follow' | 'copyAtOnce' | 'read'>;

export class Reading {
  readonly #libc: FileCalls;
  readonly #sources: SourceFiles;
  readonly #proving: ProvenBytes;

  constructor(libc: FileCalls, sources: SourceFiles, proving: ProvenBytes) {
    this.#libc = libc;
    this.#sources = sources;
    this.#proving = proving;
  }

  /**
   * Copies the bytes of `extents` that are available without waiting into `buffer`; `extents` are adjacent. Returns the
   * number of bytes.
   */
  readAtOnce(file: MappedFile, extents: readonly Extent[], buffer: Buffer): number {
    const now = performance.now();
    let done = 0;
    /** The buffer holds the base up to this position of the file: it was read together with what lies before. */
    let baseEnd = 0;
    for (const [i, extent] of extents.entries()) {
      const { source, offset, length } = extent;
      if (source < 0 || offset + length > baseEnd) {
        const span = source < 0 ? length : baseSpan(extents, i);
        const got = this.#extentAtOnce(file, { ...extent, length: span }, buffer, done, now);
        if (got < length) return done + got;
        if (source >= 0 && got === span) baseEnd = offset + span;
      }
      done += length;
    }
    return done;
  }

  #extentAtOnce(file: MappedFile, extent: Extent, buffer: Buffer, offset: number, now: number): number {
    const { source, length, sourceOffset } = extent;
    if (source === OVERLAY) {
      const fd = file.content.overlay?.fd;
      return fd === undefined ? 0 : this.cached(fd, buffer, offset, length, sourceOffset);
    }
    if (source < 0) {
      buffer.fill(0, offset, offset + length);
      return length;
    }
    const bound = file.bound.get(source);
    if (bound === undefined || bound.closed || now - bound.checkedAt >= FRESH_MS) return 0;
    const doubt = this.doubtOf(bound, source);
    if (doubt > 0) {
      const range = { content: file.content, extent, doubt };
      if (!this.#proving.isProven(range)) return this.#proving.copyAtOnce(range, buffer, offset);
      this.#proving.follow(range);
    }
    const { standing } = bound;
    const got = this.cached(bound.fd, buffer, offset, length, sourceOffset);
    if (got === 0 || bound.isStill(standing)) return got;
    bound.distrust();
    return 0;
  }

  /** Reads from the page cache alone; 0 if it would have to wait. */
  cached(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
    return Math.max(0, this.#libc.preadCached?.(fd, buffer, offset, length, position) ?? 0);
  }

  /** Reads all of `extents`, as they are now, into `buffer`, however long it takes. @throws PosixError('EIO') */
  async readWaiting(file: MappedFile, extents: readonly Extent[], buffer: Buffer): Promise<void> {
    const { overlay } = file.content;
    let done = 0;
    for (const extent of extents) {
      if (extent.source === OVERLAY) await this.#readOverlay(file, overlay, extent, buffer, done);
      else if (extent.source < 0) buffer.fill(0, done, done + extent.length);
      else await this.#readSource(file, extent, buffer, done);
      done += extent.length;
    }
  }

  /** Reads written bytes. Bytes after the end, which a truncate has removed meanwhile, are zeros. */
  async #readOverlay(
    file: MappedFile,
    overlay: MappedFile['content']['overlay'],
    extent: Extent,
    buffer: Buffer,
    offset: number,
  ): Promise<void> {
    const { content } = file;
    // The pool has taken the overlay file since the extents were looked up; a source has the bytes now. If something
    // was written since, the file has another overlay file, which may lack these bytes.
    if (overlay === undefined || overlay !== content.overlay)
      return await this.#readAgain(file, extent, buffer, offset);
    await overlay.during(async (fd) => {
      for (let done = 0; done < extent.length; ) {
        const position = extent.sourceOffset + done;
        const { bytesRead } = await readAsync(fd, buffer, offset + done, extent.length - done, position);
        if (bytesRead === 0) {
          if (position < content.size)
            throw new PosixError('EIO', `the overlay file of inode ${content.ino} ends too early`);
          buffer.fill(0, offset + done, offset + extent.length);
          return;
        }
        done += bytesRead;
      }
    });
  }

  async #readAgain(
    file: MappedFile,
    { offset: position, length }: Extent,
    buffer: Buffer,
    offset: number,
  ): Promise<void> {
    const extents = file.content.slice(position, length);
    if (file.content.overlay === undefined && extents.some(({ source }) => source === OVERLAY)) {
      throw new PosixError('EIO', 'the overlay file is not there');
    }
    const rest = buffer.subarray(offset, offset + length);
    const last = extents.at(-1);
    rest.fill(0, last === undefined ? 0 : last.offset + last.length - position);
    await this.readWaiting(file, extents, rest);
  }

  /**
   * Reads all of the extent, or fails with EIO. A source that ends too early or cannot be read is opened anew once,
   * which finds out whether it changed; if it is only unreadable (a bad disk), a spare replaces it.
   */
  async #readSource(file: MappedFile, extent: Extent, buffer: Buffer, offset: number): Promise<void> {
    let failures = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const source = await this.bind(file, extent.source);
      if (source.closed) continue; // another reader's doing, since
      const reason = await this.#readFrom(source, file, extent, buffer, offset);
      if (reason === undefined) {
        if (source.id === extent.source) this.#sources.confirm(source.id);
        return;
      }
      if (reason === REMAPPED) return await this.#readAgain(file, extent, buffer, offset);
      if (reason === CHANGED) {
        source.distrust();
        continue;
      }
      this.#sources.distrust(source);
      if (++failures > 1) this.#rebind(file, extent.source, await this.#sources.replace(extent.source, source, reason));
    }
    throw new PosixError('EIO', 'a source and its spares cannot be read');
  }

  /** Reads the extent from an open source. Returns undefined when it has, else the reason. @throws EIO for wrong bytes */
  async #readFrom(
    source: SourceFile,
    { content }: MappedFile,
    extent: Extent,
    buffer: Buffer,
    offset: number,
  ): Promise<string | undefined> {
    const { standing } = source;
    const doubt = this.doubtOf(source, extent.source);
    let reason: string | undefined;
    const asItIs = async (part: Extent, at: number): Promise<boolean> => {
      // Proofs are of what is mapped now.
      if (doubt > 0 && !isMappedSo(content, part)) reason = REMAPPED;
      else reason = source.closed ? CHANGED : await readWhole(source, standing, part, buffer, at);
      return reason === undefined;
    };
    const range = { content, extent, doubt };
    if (doubt > 0 && !this.#proving.isProven(range)) {
      await this.#proving.read(range, buffer, offset, asItIs);
    } else {
      if (doubt > 0) this.#proving.follow(range);
      await asItIs(extent, offset);
    }
    return reason;
  }

  /**
   * The epoch since which the bytes that an open file gives for a source are not believed; 0: they are. Proofs are of the
   * source's own file: they say nothing of a spare that is doubted itself, or of a kept file, which may have holes.
   */
  readonly doubtOf = (file: SourceFile, source: number): number => {
    if (file.id === source) return file.doubt;
    return file.doubt > 0 || this.#sources.isKept(file) ? Number.POSITIVE_INFINITY : 0;
  };

  /** Finds the file that serves a source; checks it now if `look` is set. @throws PosixError('EIO') */
  async bind(file: MappedFile, id: number, look = false): Promise<SourceFile> {
    const before = file.bound.get(id);
    if (!look && before !== undefined && !before.closed && performance.now() - before.checkedAt < FRESH_MS)
      return before;
    const source = await this.#sources.serve(id, look);
    this.#rebind(file, id, source);
    return source;
  }

  #rebind(file: MappedFile, id: number, source: SourceFile): void {
    const before = file.bound.get(id);
    if (before === source) return;
    if (before !== undefined) file.content.loans.recall();
    this.#sources.retain(source);
    file.bound.set(id, source);
    if (before !== undefined) this.#sources.release(before);
  }

  /** Checks the first sources of a file now. Returns their ids. @throws EIO */
  async check(file: MappedFile): Promise<Set<number>> {
    const checked = file.content.firstSources(CHECKED_AT_OPEN);
    for (const id of checked) await this.bind(file, id, true);
    return checked;
  }

  /** The base bytes of a file, for a write that fills up the blocks that it covers in part. */
  baseOf(file: MappedFile): BaseBytes {
    return {
      atOnce: (extents, buffer) => this.readAtOnce(file, extents, buffer),
      waiting: async (extents, buffer) => await this.readWaiting(file, extents, buffer),
    };
  }

  unbind(file: MappedFile): void {
    for (const source of file.bound.values()) this.#sources.release(source);
    file.bound.clear();
  }
}

/** The longest written run that a read of the base passes over; the written bytes are then copied on top. */
const WRITTEN_WITHIN = 16_384;

/** Counts the bytes of base, from the extent at `index` on, that are adjacent in their source. */
function baseSpan(extents: readonly Extent[], index: number): number {
  const first = extents[index]!;
  let end = first.offset + first.length;
  for (const { source, offset, length, sourceOffset } of extents.slice(index + 1)) {
    if (source === OVERLAY && length <= WRITTEN_WITHIN) continue;
    if (source !== first.source || sourceOffset - offset !== first.sourceOffset - first.offset) break;
    end = offset + length;
  }
  return end - first.offset;
}

/** The reason for bytes that do not count: their file is not what it was. */
const CHANGED = 'it changed while it was read';
/** The same: they lie elsewhere by now. */
const REMAPPED = 'it was mapped anew while it was read';

/** Tells if the base of a file has a part where this extent says. */
function isMappedSo({ extents }: MappedFile['content'], { offset, length, source, sourceOffset }: Extent): boolean {
  return extents
    .slice(offset, length)
    .every((now) => now.source === source && now.sourceOffset - now.offset === sourceOffset - offset);
}

/** Reads the whole range from a file that is `standing`. Returns undefined when it has, else the reason. */
async function readWhole(
  source: SourceFile,
  standing: FileIdentity,
  { length, sourceOffset }: Extent,
  buffer: Buffer,
  offset: number,
): Promise<string | undefined> {
  source.begin();
  try {
    for (let done = 0; done < length; ) {
      const bytes = await source.read(buffer, offset + done, length - done, sourceOffset + done);
      if (bytes === 0) return 'it ends too early';
      done += bytes;
    }
    return source.isStill(standing) ? undefined : CHANGED;
  } catch (error) {
    return messageOf(error);
  } finally {
    source.done();
  }
}
