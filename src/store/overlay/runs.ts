/**
 * Decides, by blocks of 4 KiB, which bytes of a write into a mapped file must be stored. All functions here only read,
 * except `zeroTail`.
 */
import fs from 'node:fs';
import { GAP } from '../../extent/extent.ts';
import type { MappedContent } from './content.ts';
import { BLOCK_BYTES } from './written-blocks.ts';

/** A run of blocks to write, with its bytes for the overlay file. */
export interface Run {
  readonly from: number;
  readonly bytes: Buffer;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Zeros the rest of the last block before the file grows to `end`: the bytes after its present end mean nothing. */
export function zeroTail(content: MappedContent, fd: number, end: number): void {
  const { size } = content;
  const block = Math.floor(size / BLOCK_BYTES);
  const until = Math.min(end, (block + 1) * BLOCK_BYTES);
  if (until <= size || !content.blocks.has(block)) return;
  for (let at = size; at < until; ) at += fs.writeSync(fd, ZEROS, 0, until - at, at);
}

/**
 * The part of `[position, end)` of a file that lies in the torrent, as offsets of the torrent; bytes after the file's
 * end there belong to no file.
 */
export function inTorrent(content: MappedContent, position: number, end: number): [offset: number, end: number] {
  const { torrentOffset = 0, extents } = content;
  return [torrentOffset + Math.min(position, extents.length), torrentOffset + Math.min(end, extents.length)];
}

export function hasVerified(content: MappedContent, position: number, end: number): boolean {
  return content.pieces?.hasVerified(...inTorrent(content, position, end)) ?? false;
}

/** True if the blocks of a run are in the overlay file already. */
export function isStored(content: MappedContent, { from, bytes }: Run): boolean {
  return content.blocks.hasAll(Math.floor(from / BLOCK_BYTES), Math.ceil((from + bytes.length) / BLOCK_BYTES));
}

/** True if a write replaces whole blocks; the rest of the last one lies after the end of the file. */
export function isAligned(content: MappedContent, position: number, end: number): boolean {
  return position % BLOCK_BYTES === 0 && (end % BLOCK_BYTES === 0 || end >= content.size);
}

/** True if no byte of `[position, end)` is in a source or known to be zero. */
export function isNowhere(content: MappedContent, position: number, end: number): boolean {
  const base = content.extents.slice(position, Math.max(0, Math.min(end, content.baseEnd) - position));
  return base.every((extent) => extent.source === GAP);
}

/** True if a write changes nothing: the bytes are there, and not as those of a gap. */
export function isSame(content: MappedContent, old: Buffer, buffer: Buffer, position: number): boolean {
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

function hasGap(content: MappedContent, position: number, end: number): boolean {
  return content.extents.slice(position, end - position).some((extent) => extent.source === GAP);
}

/**
 * Returns the blocks of a write that must be stored: those that differ, are written already, or have no base. Blocks
 * that are not written yet are filled up from `old`, the former bytes of the touched blocks.
 */
export function runsOf(content: MappedContent, old: Buffer, buffer: Buffer, position: number): Run[] {
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
    // A block that is written already has the rest itself.
    const begin = content.blocks.has(block) ? Math.max(position, block * BLOCK_BYTES) : block * BLOCK_BYTES;
    const until = content.blocks.has(stop - 1) ? Math.min(end, stop * BLOCK_BYTES) : Math.min(size, stop * BLOCK_BYTES);
    runs.push({ from: begin, bytes: old.subarray(begin - from, until - from) });
    block = stop;
  }
  return runs;
}
