/**
 * Writes and truncates (`docs/overlay.md` has the rules). All of them run in the file's turn.
 *
 * Invariants: nothing is written but overlay files; data is in the overlay file before it is recorded, and recorded
 * before it is acknowledged; a verified piece is taken back before a byte of it changes.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { PosixError, posixErrorOf } from '../errors.ts';
import { GAP } from '../extent/extent.ts';
import type { Content } from '../store/overlay/content.ts';
import { BLOCK_BYTES } from '../store/overlay/written-blocks.ts';
import type { Inode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';
import type { OpenFile } from './open-file.ts';
import type { MaybePromise } from './operations.ts';
import type { OverlayDisk } from './overlay-disk.ts';
import type { Reading } from './reading.ts';

const ftruncateAsync = promisify(fs.ftruncate);

/** Of any file: what the journal's records hold is twice that. */
export const LARGEST_FILE = 2 ** 47;

/** A run of blocks to be written, and the bytes of it that go into the overlay file. */
interface Run {
  readonly from: number;
  readonly bytes: Buffer;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
const NOTHING = Buffer.alloc(0);

export class Writing {
  readonly #store: Store;
  readonly #reading: Reading;
  readonly #disk: OverlayDisk;
  /** Told of each entry whose bytes change. */
  readonly #onChange: (entry: number) => void;
  /** What a block holds before a write; for the length of one call. */
  #scratch = NOTHING;

  constructor(store: Store, reading: Reading, disk: OverlayDisk, onChange: (entry: number) => void) {
    this.#store = store;
    this.#reading = reading;
    this.#disk = disk;
    this.#onChange = onChange;
  }

  /** All of `buffer`, or an error. @throws EFBIG, ENOSPC, EDQUOT, EIO */
  write(file: OpenFile, buffer: Buffer, position: number): MaybePromise<number> {
    if (position + buffer.length > LARGEST_FILE) throw new PosixError('EFBIG');
    if (buffer.length === 0) return 0;
    return file.inTurn(() => {
      const { content, descriptor } = file;
      if (content !== undefined) return this.#write(file, content, buffer, position);
      if (descriptor === undefined) throw new PosixError('EBADF');
      return this.#writePlain(file, descriptor, buffer, position);
    });
  }

  #writePlain(file: OpenFile, fd: number, buffer: Buffer, position: number): MaybePromise<number> {
    const inode = this.#store.inode(file.ino);
    if (inode?.torrentOffset !== undefined) return this.#writeAdopted(inode, fd, buffer, position);
    return this.#storePlain(fd, buffer, position);
  }

  #storePlain(fd: number, buffer: Buffer, position: number): MaybePromise<number> {
    this.#disk.reserve(buffer.length);
    const writing = this.#disk.write(fd, buffer, position);
    return writing === undefined ? buffer.length : writing.then(() => buffer.length);
  }

  async #writeAdopted(inode: Inode, fd: number, buffer: Buffer, position: number): Promise<number> {
    const there = Buffer.alloc(buffer.length);
    const bytes = await this.#reading.readPlain(fd, there, position);
    if (bytes === buffer.length && there.equals(buffer)) return bytes;
    return await this.#changingAdopted(inode, position, position + buffer.length, () =>
      this.#storePlain(fd, buffer, position),
    );
  }

  /** Of a plain file that has the place of a torrent's file: what is verified of it must not change unseen. */
  async #changingAdopted<T>(inode: Inode, from: number, to: number, work: () => MaybePromise<T>): Promise<T> {
    const { entry, torrentOffset = 0 } = inode;
    const pieces = await this.#store.pieces.of(entry);
    if (pieces === null) return await work();
    const changed = pieces.changing(torrentOffset + from, torrentOffset + to);
    try {
      await this.#store.pieces.unverify(pieces, torrentOffset + from, torrentOffset + to, { sync: true });
      return await work();
    } finally {
      changed();
      this.#onChange(entry);
    }
  }

  #write(file: OpenFile, content: Content, buffer: Buffer, position: number): MaybePromise<number> {
    const end = position + buffer.length;
    const [first, last] = [Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)];
    if (content.pieces === undefined) return this.#writeWaiting(file, content, buffer, position);
    if (content.overlaid && !hasVerified(content, position, end)) {
      // Nothing to be compared, and nothing to be filled up.
      if (content.blocks.hasAll(first, last))
        return this.#apply(content, [{ from: position, bytes: buffer }], position, end);
      if (isAligned(content, position, end) && isNowhere(content, position, end)) {
        return this.#apply(content, [{ from: position, bytes: buffer }], position, end);
      }
    }
    const from = first * BLOCK_BYTES;
    const old = this.#scratchOf((last - first) * BLOCK_BYTES);
    const there = Math.max(0, Math.min(last * BLOCK_BYTES, content.size) - from);
    const got = there === 0 ? 0 : this.#reading.readAtOnce(file, content.slice(from, there), old);
    if (got < there) return this.#writeWaiting(file, content, buffer, position);
    old.fill(0, there);
    if (isSame(content, old, buffer, position)) return buffer.length;
    const runs = runsOf(content, old, buffer, position);
    if (content.overlaid && !hasVerified(content, position, end)) return this.#apply(content, runs, position, end);
    return this.#prepareAndApply(
      content,
      // The scratch is for one call.
      runs.map((run) => ({ from: run.from, bytes: Buffer.from(run.bytes) })),
      position,
      end,
    );
  }

  #scratchOf(bytes: number): Buffer {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.alloc(Math.max(bytes, 256 * 1024));
    return this.#scratch.subarray(0, bytes);
  }

  /** The same for what is not in memory. */
  async #writeWaiting(file: OpenFile, content: Content, buffer: Buffer, position: number): Promise<number> {
    await this.#lookUpPieces(content);
    const end = position + buffer.length;
    const [first, last] = [Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)];
    const from = first * BLOCK_BYTES;
    const old = Buffer.alloc((last - first) * BLOCK_BYTES);
    const there = Math.max(0, Math.min(last * BLOCK_BYTES, content.size) - from);
    try {
      await this.#reading.readWaiting(file, content.slice(from, there), old);
    } catch (error) {
      // What takes the place of whole blocks needs nothing of a source that cannot be read.
      if (!isAligned(content, position, end)) throw error;
      return await this.#prepareAndApply(content, [{ from: position, bytes: buffer }], position, end);
    }
    if (isSame(content, old, buffer, position)) return buffer.length;
    return await this.#prepareAndApply(content, runsOf(content, old, buffer, position), position, end);
  }

  async #lookUpPieces(content: Content): Promise<void> {
    if (content.pieces !== undefined) return;
    content.pieces = content.torrentOffset === undefined ? null : await this.#store.pieces.of(content.entry);
  }

  async #prepareAndApply(content: Content, runs: readonly Run[], position: number, end: number): Promise<number> {
    return await this.#changing(content, position, end, async () => {
      await this.#prepare(content, position, end);
      return await this.#apply(content, runs, position, end);
    });
  }

  /** Runs a change of `[position, end)` that has to wait: what is verified of it meanwhile does not count. */
  async #changing<T>(content: Content, position: number, end: number, work: () => MaybePromise<T>): Promise<T> {
    await this.#lookUpPieces(content);
    const changed = content.pieces?.changing(...inTorrent(content, position, end));
    try {
      return await work();
    } finally {
      changed?.();
      if (changed !== undefined) this.#onChange(content.entry);
    }
  }

  /** Before bytes of `[position, end)` change for the first time. */
  async #prepare(content: Content, position: number, end: number): Promise<void> {
    const { pieces } = content;
    if (pieces != null) {
      // What is written over the base counts from its checkpoint on, which is recorded later. What takes the place of
      // something in the overlay file may reach the disk at any time.
      const sync = content.blocks.hasAny(Math.floor(position / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES));
      await this.#store.pieces.unverify(pieces, ...inTorrent(content, position, end), { sync });
    }
    if (!content.overlaid) await this.#store.overlay.begin(content);
  }

  #apply(content: Content, runs: readonly Run[], position: number, end: number): MaybePromise<number> {
    const fd = this.#store.overlay.descriptor(content);
    this.#disk.reserve(runs.reduce((sum, run) => sum + (isStored(content, run) ? 0 : run.bytes.length), 0));
    try {
      zeroTail(content, fd, position);
      for (const [i, run] of runs.entries()) {
        const written = this.#disk.write(fd, run.bytes, run.from);
        if (written !== undefined) return this.#applyWaiting(content, fd, runs.slice(i), written, [position, end]);
        this.#record(content, run);
      }
    } finally {
      this.#noteChange(content, position, end);
    }
    return end - position;
  }

  async #applyWaiting(
    content: Content,
    fd: number,
    runs: readonly Run[],
    first: Promise<void>,
    [position, end]: readonly [number, number],
  ): Promise<number> {
    // It may be what the runs are made of, and is not for others while a thread reads it.
    this.#scratch = NOTHING;
    return await this.#changing(content, position, end, async () => {
      content.beingWritten++;
      try {
        for (const [i, run] of runs.entries()) {
          await (i === 0 ? first : this.#disk.write(fd, run.bytes, run.from));
          this.#record(content, run);
        }
      } finally {
        content.beingWritten--;
      }
      return end - position;
    });
  }

  #record(content: Content, { from, bytes }: Run): void {
    const { overlay } = this.#store;
    const end = from + bytes.length;
    if (isStored(content, { from, bytes }) && end <= content.size) overlay.touch(content, overlay.now());
    else overlay.recordWrite(content, from, end, overlay.now());
  }

  #noteChange(content: Content, position: number, end: number): void {
    const { pieces } = content;
    if (pieces == null) return;
    pieces.noteChange(...inTorrent(content, position, end));
    this.#onChange(content.entry);
  }

  /** @throws EFBIG, ENOSPC, EIO */
  truncate(file: OpenFile, size: number): MaybePromise<void> {
    if (size > LARGEST_FILE) throw new PosixError('EFBIG');
    return file.inTurn(() => {
      const { content, descriptor } = file;
      if (content !== undefined) return size === content.size ? undefined : this.#truncate(content, size);
      if (descriptor === undefined) throw new PosixError('EBADF');
      return this.#truncatePlain(file, descriptor, size);
    });
  }

  async #truncate(content: Content, size: number): Promise<void> {
    const [from, to] = [Math.min(size, content.size), Math.max(size, content.size)];
    await this.#changing(content, from, to, async () => {
      await this.#prepare(content, from, to);
      zeroTail(content, this.#store.overlay.descriptor(content), size);
      this.#store.overlay.recordTruncate(content, size, this.#store.overlay.now());
    });
  }

  async #truncatePlain(file: OpenFile, fd: number, size: number): Promise<void> {
    // By a thread: to free a large file takes its time.
    const work = async (): Promise<void> => await ftruncateAsync(fd, size);
    const inode = this.#store.inode(file.ino);
    if (inode?.torrentOffset === undefined) return await work();
    const before = fs.fstatSync(fd).size;
    return await this.#changingAdopted(inode, Math.min(size, before), Math.max(size, before), work);
  }

  /** Makes `[offset, offset + length)` zeros, as far as the file goes. @throws ENOSPC, EIO */
  async zero(file: OpenFile, offset: number, length: number): Promise<void> {
    const size = file.content?.size ?? fs.fstatSync(file.descriptor ?? -1).size;
    const end = Math.min(size, offset + length);
    const chunk = Buffer.alloc(Math.min(2 ** 20, Math.max(0, end - offset)));
    for (let at = offset; at < end; at += chunk.length) await this.write(file, chunk.subarray(0, end - at), at);
  }
}

/** What the disk says, as a user of the mount should see it. */
export function asPosix(error: unknown): unknown {
  return posixErrorOf(error) ?? error;
}

/** The file is about to reach `end`: what its last block holds behind its end until now means nothing. */
function zeroTail(content: Content, fd: number, end: number): void {
  const { size } = content;
  const block = Math.floor(size / BLOCK_BYTES);
  const until = Math.min(end, (block + 1) * BLOCK_BYTES);
  if (until <= size || !content.blocks.has(block)) return;
  for (let at = size; at < until; ) at += fs.writeSync(fd, ZEROS, 0, until - at, at);
}

/** What the torrent has of `[position, end)` of a file, among all of its bytes: what lies behind its end is nobody's. */
function inTorrent(content: Content, position: number, end: number): [offset: number, end: number] {
  const { torrentOffset = 0, extents } = content;
  return [torrentOffset + Math.min(position, extents.length), torrentOffset + Math.min(end, extents.length)];
}

function hasVerified(content: Content, position: number, end: number): boolean {
  return content.pieces?.hasVerified(...inTorrent(content, position, end)) ?? false;
}

/** Its blocks are in the overlay file already. */
function isStored(content: Content, { from, bytes }: Run): boolean {
  return content.blocks.hasAll(Math.floor(from / BLOCK_BYTES), Math.ceil((from + bytes.length) / BLOCK_BYTES));
}

/** It takes the place of whole blocks: what of the last one is left lies behind the end of the file. */
function isAligned(content: Content, position: number, end: number): boolean {
  return position % BLOCK_BYTES === 0 && (end % BLOCK_BYTES === 0 || end >= content.size);
}

/** No byte of `[position, end)` is in a source, or known to be zero. */
function isNowhere(content: Content, position: number, end: number): boolean {
  const base = content.extents.slice(position, Math.max(0, Math.min(end, content.baseEnd) - position));
  return base.every((extent) => extent.source === GAP);
}

/** Whether a write changes nothing: the bytes are there, and not as those of a gap. */
function isSame(content: Content, old: Buffer, buffer: Buffer, position: number): boolean {
  const end = position + buffer.length;
  const from = position - (position % BLOCK_BYTES);
  if (end > content.size || old.compare(buffer, 0, buffer.length, position - from, end - from) !== 0) return false;
  if (end <= content.baseEnd && content.blocks.isEmpty) return !hasGap(content, position, end);
  for (let at = position; at < end; ) {
    const block = Math.floor(at / BLOCK_BYTES);
    const until = Math.min(end, content.blocks.runEnd(block, Math.ceil(end / BLOCK_BYTES)) * BLOCK_BYTES);
    const written = content.blocks.has(block);
    if (written ? !hasVerified(content, at, until) : until > content.baseEnd || hasGap(content, at, until))
      return false;
    at = until;
  }
  return true;
}

function hasGap(content: Content, position: number, end: number): boolean {
  return content.extents.slice(position, end - position).some((extent) => extent.source === GAP);
}

/**
 * What of a write has to be stored: the blocks that differ, are written already, or have no base. Blocks that are not
 * written yet are filled up from `old`, which holds what the touched blocks held before.
 */
function runsOf(content: Content, old: Buffer, buffer: Buffer, position: number): Run[] {
  const end = position + buffer.length;
  const first = Math.floor(position / BLOCK_BYTES);
  const last = Math.ceil(end / BLOCK_BYTES);
  const from = first * BLOCK_BYTES;
  const size = Math.max(content.size, end);
  const stored: boolean[] = [];
  for (let block = first; block < last; block++) {
    const [begin, until] = [Math.max(position, block * BLOCK_BYTES), Math.min(end, (block + 1) * BLOCK_BYTES)];
    const same = old.compare(buffer, begin - position, until - position, begin - from, until - from) === 0;
    stored.push(!same || content.blocks.has(block) || until > content.baseEnd || hasGap(content, begin, until));
  }
  buffer.copy(old, position - from);
  const runs: Run[] = [];
  for (let block = first; block < last; ) {
    if (stored[block - first] !== true) {
      block++;
      continue;
    }
    let stop = block + 1;
    while (stop < last && stored[stop - first] === true) stop++;
    // A block that is written already holds the rest itself.
    const begin = content.blocks.has(block) ? Math.max(position, block * BLOCK_BYTES) : block * BLOCK_BYTES;
    const until = content.blocks.has(stop - 1) ? Math.min(end, stop * BLOCK_BYTES) : Math.min(size, stop * BLOCK_BYTES);
    runs.push({ from: begin, bytes: old.subarray(begin - from, until - from) });
    block = stop;
  }
  return runs;
}
