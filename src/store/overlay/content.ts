/**
 * The contents of files in use. A *mapped* file consists of its base, as planned, and of what was written over it; it
 * has an overlay file once something was. A *plain* file is its overlay file and nothing else.
 *
 * Invariant: for a mapped file `baseEnd` ≤ `size` and ≤ the base's length; no block after `size` is marked as written.
 */
import { type Extent, OVERLAY, ZEROS } from '../../extent/extent.ts';
import type { ExtentMap } from '../../extent/extent-map.ts';
import type { Timestamp } from '../../native/timestamp.ts';
import { Loans } from '../../source/loans.ts';
import type { EntryPieces } from '../entries/entry-pieces.ts';
import type { Inode } from '../records/record.ts';
import type { OverlayFile } from './descriptors.ts';
import { BLOCK_BYTES, WrittenBlocks } from './written-blocks.ts';

export type Content = MappedContent | PlainContent;

export class PlainContent {
  readonly kind = 'plain';
  /** Threads that read the overlay file, until the file becomes mapped. */
  readonly loans = new Loans();
  readonly ino: number;
  readonly overlay: OverlayFile;
  /** The number of open files. */
  users = 0;
  /** The file has become mapped: its overlay file is a source now, and must not be written to. */
  isSource = false;

  constructor(ino: number, overlay: OverlayFile) {
    this.ino = ino;
    this.overlay = overlay;
  }
}

export class MappedContent {
  readonly kind = 'mapped';
  /** Threads that read by these extents. They are recalled before a change of them. */
  readonly loans = new Loans();
  readonly ino: number;
  readonly torrentOffset: number | undefined;
  readonly entry: number;
  blocks = new WrittenBlocks();
  extents: ExtentMap;
  /** The overlay file; undefined if nothing was written. */
  overlay: OverlayFile | undefined;
  /** The inode is recorded as having an overlay file. */
  overlaid: boolean;
  size: number;
  baseEnd: number;
  mtime: Timestamp;
  ctime: Timestamp;
  /** Some change is not recorded yet. */
  dirty = false;
  /** The running checkpoint; it resolves with the reason for each content that it could not record. */
  checkpoint: Promise<unknown[]> | undefined;
  /** The inode is gone: nothing of it will be recorded again. */
  gone = false;
  /** The number of open files. */
  users = 0;
  /** Writes by threads into the overlay file. Their bytes are not recorded yet, and may lie after the end. */
  beingWritten = 0;
  /** The pieces of the entry. Null: this is no file of the torrent. Undefined: not looked up yet. */
  pieces: EntryPieces | null | undefined;

  constructor(ino: number, inode: Inode, extents: ExtentMap, overlay?: OverlayFile) {
    this.ino = ino;
    this.torrentOffset = inode.torrentOffset;
    this.entry = inode.entry;
    this.extents = extents;
    this.overlay = overlay;
    this.overlaid = inode.content === 'overlaid';
    this.size = inode.size;
    this.baseEnd = inode.baseEnd;
    this.mtime = inode.mtime;
    this.ctime = inode.ctime;
  }

  /**
   * Returns where the bytes of `[position, position + length)` come from, in order, up to the end of the file. Written
   * bytes are of source `OVERLAY`, at the same offset.
   */
  slice(position: number, length: number): Extent[] {
    const end = Math.min(position + length, this.size);
    if (position >= end) return [];
    if (end <= this.baseEnd && this.blocks.isEmpty) return this.extents.slice(position, end - position);
    const found: Extent[] = [];
    const lastBlock = Math.ceil(end / BLOCK_BYTES);
    for (let at = position; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const until = Math.min(end, this.blocks.runEnd(block, lastBlock) * BLOCK_BYTES);
      if (this.blocks.has(block)) found.push({ offset: at, length: until - at, source: OVERLAY, sourceOffset: at });
      else this.#pushBase(found, at, until);
      at = until;
    }
    return found;
  }

  #pushBase(found: Extent[], from: number, to: number): void {
    const baseTo = Math.min(to, this.baseEnd);
    if (from < baseTo) found.push(...this.extents.slice(from, baseTo - from));
    const behind = Math.max(from, baseTo);
    if (behind < to) found.push({ offset: behind, length: to - behind, source: ZEROS, sourceOffset: 0 });
  }

  /** The ids of the first sources that the base still shows, at most `limit`. */
  firstSources(limit: number): Set<number> {
    const sources = new Set<number>();
    for (const { source, offset } of this.extents) {
      if (offset >= this.baseEnd) break;
      if (source >= 0) sources.add(source);
      if (sources.size === limit) break;
    }
    return sources;
  }

  /** Applies a write that was recorded. */
  written(offset: number, end: number): void {
    const [first, last] = [Math.floor(offset / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)];
    // Who reads written blocks sees at once what is written to them.
    if (end > this.size || !this.blocks.hasAll(first, last)) this.loans.recall();
    this.blocks.add(first, last);
    this.size = Math.max(this.size, end);
    this.dirty = true;
  }

  /** Applies a truncate that was recorded. */
  truncated(size: number): void {
    this.loans.recall();
    if (size < this.size) {
      this.blocks.clearFrom(Math.ceil(size / BLOCK_BYTES));
      this.baseEnd = Math.min(this.baseEnd, size);
    }
    this.size = size;
    this.dirty = true;
  }

  /** Starts with an empty overlay file, whatever was written before. */
  begun(): void {
    this.loans.recall();
    this.blocks.clearFrom(0);
    this.size = this.extents.length;
    this.baseEnd = this.extents.length;
    this.dirty = true;
  }

  /**
   * Takes up new extents of the same length. What was written over the file stays above them, and what a truncate has cut
   * off stays cut off.
   */
  remapped(extents: ExtentMap): void {
    this.loans.recall();
    this.extents = extents;
  }

  /** Replaces the whole content by `extents`; what was written over the file before no longer counts. */
  becomeMapped(extents: ExtentMap): void {
    this.loans.recall();
    this.overlay?.close();
    this.overlay = undefined;
    this.extents = extents;
    this.blocks = new WrittenBlocks();
    this.overlaid = false;
    this.size = extents.length;
    this.baseEnd = extents.length;
    this.dirty = false;
  }
}
