/**
 * Writes and truncates mapped files (`docs/overlay.md` has the rules), always in the file's turn.
 *
 * Invariants: only overlay files are written; data is in the overlay file before it is recorded, and recorded before it
 * is acknowledged; a verified piece is marked as unverified before a byte of it changes.
 */
import { PosixError } from '../../errors.ts';
import type { Extent } from '../../extent/extent.ts';
import type { Pieces } from '../entries/pieces.ts';
import type { MaybePromise } from '../maybe-promise.ts';
import type { MappedContent } from './content.ts';
import type { OverlayFile } from './descriptors.ts';
import type { Overlay } from './overlay.ts';
import type { OverlayDisk } from './overlay-disk.ts';
import { hasVerified, inTorrent, isAligned, isNowhere, isSame, isStored, type Run, runsOf, zeroTail } from './runs.ts';
import { BLOCK_BYTES } from './written-blocks.ts';

/** Reads the bytes below a write, for blocks that are written only in part. */
export interface BaseBytes {
  /** Fills `buffer` as far as it can without waiting; returns the number of bytes. */
  atOnce(extents: readonly Extent[], buffer: Buffer): number;
  /** Fills all of `buffer`. @throws EIO */
  waiting(extents: readonly Extent[], buffer: Buffer): Promise<void>;
}

const NOTHING = Buffer.alloc(0);

export class MappedWriting {
  readonly #overlay: Overlay;
  readonly #pieces: Pieces;
  readonly #disk: OverlayDisk;
  /** Called for each entry whose bytes change. */
  readonly #onChange: (entry: number) => void;
  /** The bytes of the affected blocks before a write; used during one call. */
  #scratch = NOTHING;

  constructor(overlay: Overlay, pieces: Pieces, disk: OverlayDisk, onChange: (entry: number) => void) {
    this.#overlay = overlay;
    this.#pieces = pieces;
    this.#disk = disk;
    this.#onChange = onChange;
  }

  /** Writes all of `buffer`, or fails. @throws ENOSPC, EDQUOT, EIO, file errors of the disk */
  write(content: MappedContent, buffer: Buffer, position: number, base: BaseBytes): MaybePromise<number> {
    const end = position + buffer.length;
    const [first, last] = [Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)];
    if (content.pieces === undefined) return this.#writeWaiting(content, buffer, position, base);
    if (content.overlaid && !hasVerified(content, position, end)) {
      // Nothing to compare, and nothing to fill up.
      if (content.blocks.hasAll(first, last))
        return this.#apply(content, [{ from: position, bytes: buffer }], position, end);
      if (isAligned(content, position, end) && isNowhere(content, position, end)) {
        return this.#apply(content, [{ from: position, bytes: buffer }], position, end);
      }
    }
    const from = first * BLOCK_BYTES;
    const old = this.#scratchOf((last - first) * BLOCK_BYTES);
    const there = Math.max(0, Math.min(last * BLOCK_BYTES, content.size) - from);
    const got = there === 0 ? 0 : base.atOnce(content.slice(from, there), old);
    if (got < there) return this.#writeWaiting(content, buffer, position, base);
    old.fill(0, there);
    if (isSame(content, old, buffer, position)) return buffer.length;
    const runs = runsOf(content, old, buffer, position);
    if (content.overlaid && !hasVerified(content, position, end)) return this.#apply(content, runs, position, end);
    return this.#prepareAndApply(
      content,
      // The scratch buffer is for one call.
      runs.map((run) => ({ from: run.from, bytes: Buffer.from(run.bytes) })),
      position,
      end,
    );
  }

  #scratchOf(bytes: number): Buffer {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.alloc(Math.max(bytes, 256 * 1024));
    return this.#scratch.subarray(0, bytes);
  }

  /** Writes when the bytes below are not in memory. */
  async #writeWaiting(content: MappedContent, buffer: Buffer, position: number, base: BaseBytes): Promise<number> {
    await this.#lookUpPieces(content);
    const end = position + buffer.length;
    const [first, last] = [Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)];
    const from = first * BLOCK_BYTES;
    const old = Buffer.alloc((last - first) * BLOCK_BYTES);
    const there = Math.max(0, Math.min(last * BLOCK_BYTES, content.size) - from);
    try {
      await base.waiting(content.slice(from, there), old);
    } catch (error) {
      // A write of whole blocks needs nothing of a source that cannot be read.
      if (!isAligned(content, position, end)) throw error;
      return await this.#prepareAndApply(content, [{ from: position, bytes: buffer }], position, end);
    }
    if (isSame(content, old, buffer, position)) return buffer.length;
    return await this.#prepareAndApply(content, runsOf(content, old, buffer, position), position, end);
  }

  async #lookUpPieces(content: MappedContent): Promise<void> {
    if (content.pieces !== undefined) return;
    content.pieces = content.torrentOffset === undefined ? null : await this.#pieces.of(content.entry);
  }

  async #prepareAndApply(content: MappedContent, runs: readonly Run[], position: number, end: number): Promise<number> {
    return await this.#changing(content, position, end, async () => {
      await this.#prepare(content, position, end);
      return await this.#apply(content, runs, position, end);
    });
  }

  /** Runs a change of `[position, end)` that has to wait; a verification meanwhile does not count for it. */
  async #changing<T>(content: MappedContent, position: number, end: number, work: () => MaybePromise<T>): Promise<T> {
    await this.#lookUpPieces(content);
    const changed = content.pieces?.changing(...inTorrent(content, position, end));
    try {
      return await work();
    } finally {
      changed?.();
      if (changed !== undefined) this.#onChange(content.entry);
    }
  }

  /** Prepares the first change of bytes in `[position, end)`. */
  async #prepare(content: MappedContent, position: number, end: number): Promise<void> {
    const { pieces } = content;
    if (pieces != null) {
      // A write over the base counts from its checkpoint on, which is recorded later. A write that replaces bytes in
      // the overlay file may reach the disk at any time.
      const sync = content.blocks.hasAny(Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES));
      await this.#pieces.unverify(pieces, ...inTorrent(content, position, end), { sync });
    }
    if (!content.overlaid) await this.#overlay.begin(content);
  }

  #apply(content: MappedContent, runs: readonly Run[], position: number, end: number): MaybePromise<number> {
    const overlay = overlayOf(content);
    this.#disk.reserve(runs.reduce((sum, run) => sum + (isStored(content, run) ? 0 : run.bytes.length), 0));
    try {
      const { fd } = overlay;
      zeroTail(content, fd, position);
      for (const [i, run] of runs.entries()) {
        const written = this.#disk.write(fd, run.bytes, run.from);
        if (written !== undefined) return this.#applyWaiting(content, runs.slice(i), written, [position, end]);
        this.#record(content, run);
      }
    } finally {
      this.#noteChange(content, position, end);
    }
    return end - position;
  }

  async #applyWaiting(
    content: MappedContent,
    runs: readonly Run[],
    first: Promise<void>,
    [position, end]: readonly [number, number],
  ): Promise<number> {
    // The runs may point into it, and others must not use it while a thread reads it.
    this.#scratch = NOTHING;
    content.beingWritten++;
    // Before any wait, since a thread is writing to the descriptor already.
    return await overlayOf(content).during(async (fd) => {
      try {
        return await this.#changing(content, position, end, async () => {
          for (const [i, run] of runs.entries()) {
            await (i === 0 ? first : this.#disk.write(fd, run.bytes, run.from));
            this.#record(content, run);
          }
          return end - position;
        });
      } finally {
        content.beingWritten--;
      }
    });
  }

  #record(content: MappedContent, { from, bytes }: Run): void {
    const overlay = this.#overlay;
    const end = from + bytes.length;
    if (isStored(content, { from, bytes }) && end <= content.size) overlay.checkpoints.touch(content, overlay.now());
    else overlay.recordWrite(content, from, end, overlay.now());
  }

  #noteChange(content: MappedContent, position: number, end: number): void {
    const { pieces } = content;
    if (pieces == null) return;
    pieces.noteChange(...inTorrent(content, position, end));
    this.#onChange(content.entry);
  }

  /** Changes the size of a file. @throws ENOSPC, file errors of the disk */
  async truncate(content: MappedContent, size: number): Promise<void> {
    const [from, to] = [Math.min(size, content.size), Math.max(size, content.size)];
    await this.#changing(content, from, to, async () => {
      await this.#prepare(content, from, to);
      zeroTail(content, overlayOf(content).fd, size);
      this.#overlay.recordTruncate(content, size, this.#overlay.now());
    });
  }
}

function overlayOf({ overlay, ino }: MappedContent): OverlayFile {
  if (overlay === undefined) throw new PosixError('EIO', `inode ${ino} has no overlay file`);
  return overlay;
}
