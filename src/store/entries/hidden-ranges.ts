/** Finds the bytes of a file that its base has and that are not shown any more: cut off, or under what clients wrote. */
import { type Extent, GAP, OVERLAY, ZEROS } from '../../extent/extent.ts';
import { BLOCK_BYTES } from '../overlay/written-blocks.ts';
import type { StoredFile } from './entry-files.ts';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Lists them in order. A file that was deleted or replaced has none: all of it is gone.
 *
 * A block that holds bytes of a gap as well does not count where a client wrote to it: it was filled up from the base when the gap's
 * bytes came, so that it holds the same.
 */
export function hiddenRanges({ state, base, extents }: Pick<StoredFile, 'state' | 'base' | 'extents'>): ByteRange[] {
  if (state === 'deleted' || state === 'replaced') return [];
  const hidden: ByteRange[] = [];
  const hide = (from: number, to: number): void => {
    if (to > from) hidden.push({ offset: from, length: to - from });
  };
  let next = 0;
  for (const { parts, least, most } of runsOf(base)) {
    for (const part of parts) {
      const end = endOf(part);
      let at = part.offset;
      while (next < extents.length && endOf(extents[next]) <= at) next++;
      for (let i = next; i < extents.length && at < end; i++) {
        const now = extents[i];
        if (now === undefined || now.offset >= end) break;
        const until = Math.min(end, endOf(now));
        if (now.source === OVERLAY) hide(Math.max(at, least), Math.min(until, most));
        // Zeros that a source lies under come from a truncate.
        else if (now.source === ZEROS && part.source !== ZEROS) hide(at, until);
        at = Math.max(at, until);
      }
      hide(at, end);
    }
  }
  return hidden;
}

/** Extents between gaps; their blocks without a byte of a gap lie in `[least, most)`. */
interface Run {
  readonly parts: readonly Extent[];
  readonly least: number;
  readonly most: number;
}

function* runsOf(base: readonly Extent[]): Generator<Run> {
  let parts: Extent[] = [];
  for (const [i, part] of base.entries()) {
    if (part.source === GAP) continue;
    parts.push(part);
    const isLast = i + 1 === base.length;
    if (!isLast && base[i + 1]?.source !== GAP) continue;
    const [from, to] = [parts[0]?.offset ?? 0, endOf(part)];
    yield {
      parts,
      least: from === 0 ? 0 : Math.ceil(from / BLOCK_BYTES) * BLOCK_BYTES,
      most: isLast ? to : Math.floor(to / BLOCK_BYTES) * BLOCK_BYTES,
    };
    parts = [];
  }
}

const endOf = (extent: Extent | undefined): number => (extent === undefined ? 0 : extent.offset + extent.length);
