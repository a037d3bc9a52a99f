/**
 * Reads over extents: sources, zeros, gaps, and the overlay file, merged in one pass.
 *
 * What the page cache holds is answered at once (`FileCalls.preadCached`), the rest by a thread: the event loop never waits
 * for a disk. Of a source that changed no byte is served.
 */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, PosixError } from '../errors.ts';
import { type Extent, OVERLAY } from '../extent/extent.ts';
import type { FileCalls } from '../native/files.ts';
import { FRESH_MS, type SourceFiles } from '../source/served-sources.ts';
import type { SourceFile } from '../source/source-file.ts';
import type { Overlay } from '../store/overlay/overlay.ts';
import type { OpenFile } from './open-file.ts';

const readAsync = promisify(read);

/** Of one read: the source, the source opened anew, its spares. */
const ATTEMPTS = 6;

export class Reading {
  readonly #libc: FileCalls;
  readonly #sources: SourceFiles;
  readonly #overlay: Overlay;

  constructor(libc: FileCalls, sources: SourceFiles, overlay: Overlay) {
    this.#libc = libc;
    this.#sources = sources;
    this.#overlay = overlay;
  }

  /** What of `extents`, which lie one behind the other, can be had without waiting, into `buffer`. The bytes. */
  readAtOnce(file: OpenFile, extents: readonly Extent[], buffer: Buffer): number {
    const now = performance.now();
    let done = 0;
    /** Up to here in the file the base is in the buffer already: it was read together with what lies before. */
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

  #extentAtOnce(file: OpenFile, extent: Extent, buffer: Buffer, offset: number, now: number): number {
    const { source, length, sourceOffset } = extent;
    let fd: number | undefined;
    if (source === OVERLAY) fd = file.content?.fd;
    else if (source < 0) {
      buffer.fill(0, offset, offset + length);
      return length;
    } else {
      const bound = file.bound.get(source);
      if (bound !== undefined && !bound.closed && now - bound.checkedAt < FRESH_MS) fd = bound.fd;
    }
    return fd === undefined ? 0 : this.cached(fd, buffer, offset, length, sourceOffset);
  }

  /** From the page cache alone; 0 where it would have to wait. */
  cached(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
    return Math.max(0, this.#libc.preadCached?.(fd, buffer, offset, length, position) ?? 0);
  }

  /** All of `extents` into `buffer`, however long it takes. Throws PosixError('EIO'). */
  async readWaiting(file: OpenFile, extents: readonly Extent[], buffer: Buffer): Promise<void> {
    let done = 0;
    for (const extent of extents) {
      if (extent.source === OVERLAY) await this.#readOverlay(file, extent, buffer, done);
      else if (extent.source < 0) buffer.fill(0, done, done + extent.length);
      else await this.#readSource(file, extent, buffer, done);
      done += extent.length;
    }
  }

  /** What was written. Bytes behind the end, which a truncate has taken meanwhile, are zeros. */
  async #readOverlay(file: OpenFile, extent: Extent, buffer: Buffer, offset: number): Promise<void> {
    const { content } = file;
    if (content === undefined) throw new PosixError('EIO', 'the file became another one while it was read');
    const fd = this.#overlay.descriptor(content);
    for (let done = 0; done < extent.length; ) {
      const position = extent.sourceOffset + done;
      const { bytesRead } = await readAsync(fd, buffer, offset + done, extent.length - done, position);
      if (bytesRead === 0) {
        if (position < content.size)
          throw new PosixError('EIO', `${this.#overlay.files.path(file.ino)} ends too early`);
        buffer.fill(0, offset + done, offset + extent.length);
        return;
      }
      done += bytesRead;
    }
  }

  /** A plain file: what there is of it from `position` on. */
  async readPlain(fd: number, buffer: Buffer, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await readAsync(fd, buffer, done, buffer.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  /**
   * All of it, or EIO. A source that ends too early or cannot be read is opened anew once, which finds out whether it
   * changed; should it only be unreadable (a bad disk), a spare stands in.
   */
  async #readSource(file: OpenFile, extent: Extent, buffer: Buffer, offset: number): Promise<void> {
    let failures = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const source = await this.bind(file, extent.source);
      if (source.closed) continue; // another reader's doing, since
      const reason = await readWhole(source, buffer, offset, extent.length, extent.sourceOffset);
      if (reason === undefined) {
        if (source.id === extent.source) this.#sources.confirm(source.id);
        return;
      }
      this.#sources.distrust(source);
      if (++failures > 1) this.#rebind(file, extent.source, await this.#sources.replace(extent.source, source, reason));
    }
    throw new PosixError('EIO', 'a source and its spares cannot be read');
  }

  /** The file that serves a source; looked at now, where `look` says so. Throws PosixError('EIO'). */
  async bind(file: OpenFile, id: number, look = false): Promise<SourceFile> {
    const before = file.bound.get(id);
    if (!look && before !== undefined && !before.closed && performance.now() - before.checkedAt < FRESH_MS)
      return before;
    const source = await this.#sources.serve(id, look);
    this.#rebind(file, id, source);
    return source;
  }

  #rebind(file: OpenFile, id: number, source: SourceFile): void {
    const before = file.bound.get(id);
    if (before === source) return;
    this.#sources.retain(source);
    file.bound.set(id, source);
    if (before !== undefined) this.#sources.release(before);
  }

  unbind(file: OpenFile): void {
    for (const source of file.bound.values()) this.#sources.release(source);
    file.bound.clear();
  }
}

/** Where a few written blocks lie in the base, it is read with one call, and they over it. */
const WRITTEN_WITHIN = 16_384;

/** Bytes of the base from the extent at `index` on that lie in its source one behind the other. */
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

/** Undefined when all of it was read, else why not. */
async function readWhole(
  source: SourceFile,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
): Promise<string | undefined> {
  source.begin();
  try {
    for (let done = 0; done < length; ) {
      const { bytesRead } = await readAsync(source.fd, buffer, offset + done, length - done, position + done);
      if (bytesRead === 0) return 'it ends too early';
      done += bytesRead;
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    source.done();
  }
}
