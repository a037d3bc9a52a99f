/**
 * What a file is made of while it is in use. A *mapped* file is made of its base, as planned, and of what was written over
 * it; it has an overlay file once something was. A *plain* file is its overlay file, and nothing else.
 *
 * Invariant: of a mapped file `baseEnd` ≤ `size` and ≤ the base's length; no block behind `size` is marked as written.
 */
import { type Extent, OVERLAY, ZEROS } from '../../extent/extent.ts';
import type { ExtentMap } from '../../extent/extent-map.ts';
import type { Timestamp } from '../../native/timestamp.ts';
import type { EntryPieces } from '../entries/entry-pieces.ts';
import type { Inode } from '../records/record.ts';
import type { OverlayFile } from './descriptors.ts';
import { BLOCK_BYTES, WrittenBlocks } from './written-blocks.ts';

export type Content = MappedContent | PlainContent;

export class PlainContent {
  readonly kind = 'plain';
  readonly ino: number;
  readonly overlay: OverlayFile;
  /** Open files. */
  users = 0;
  /** It has become a mapped file: its overlay file is a source now, and must not be written to. */
  isSource = false;

  constructor(ino: number, overlay: OverlayFile) {
    this.ino = ino;
    this.overlay = overlay;
  }
}

export class MappedContent {
  readonly kind = 'mapped';
  readonly ino: number;
  readonly torrentOffset: number | undefined;
  readonly entry: number;
  blocks = new WrittenBlocks();
  extents: ExtentMap;
  /** What was written over it; undefined where nothing was. */
  overlay: OverlayFile | undefined;
  /** The inode is recorded as one that has an overlay file. */
  overlaid: boolean;
  size: number;
  baseEnd: number;
  mtime: Timestamp;
  ctime: Timestamp;
  /** Something of it is not recorded yet. */
  dirty = false;
  /** The checkpoint that is under way: why it failed, for each content that it could not record. */
  checkpoint: Promise<unknown[]> | undefined;
  /** The inode has gone: nothing of it will be recorded again. */
  gone = false;
  /** Open files. */
  users = 0;
  /** Writes into the overlay file that threads are at: what they write is not recorded yet, and may lie behind the end. */
  beingWritten = 0;
  /** Null: it is no file of the torrent. Undefined: not looked up yet. */
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
   * Where the bytes of `[position, position + length)` come from, in order, up to the end of the file; what is written is
   * of source `OVERLAY`, at the same offset.
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

  /** The ids of the first sources that its base still shows, at most `limit`. */
  firstSources(limit: number): Set<number> {
    const sources = new Set<number>();
    for (const { source, offset } of this.extents) {
      if (offset >= this.baseEnd) break;
      if (source >= 0) sources.add(source);
      if (sources.size === limit) break;
    }
    return sources;
  }

  /** The effect of a write that was recorded. */
  written(offset: number, end: number): void {
    this.blocks.add(Math.floor(offset / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES));
    this.size = Math.max(this.size, end);
    this.dirty = true;
  }

  /** The effect of a truncate that was recorded. */
  truncated(size: number): void {
    if (size < this.size) {
      this.blocks.clearFrom(Math.ceil(size / BLOCK_BYTES));
      this.baseEnd = Math.min(this.baseEnd, size);
    }
    this.size = size;
    this.dirty = true;
  }

  /** Nothing is written over it yet, also where something was before. */
  begun(): void {
    this.blocks.clearFrom(0);
    this.size = this.extents.length;
    this.baseEnd = this.extents.length;
    this.dirty = true;
  }

  /** `extents` have all its bytes; what was written over it before counts no more. */
  becomeMapped(extents: ExtentMap): void {
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
