/** The extents of a file after an outcome has mapped ranges of it anew. */
import { AutotorrentError } from '../../errors.ts';
import type { Extent } from '../../extent/extent.ts';
import type { MappedRange } from '../../heal/case.ts';

/**
 * Puts new ranges in the place of those that name source `id`. The extents name `count` new sources by their index, and those
 * that stay, which are `kept`, by the indices after these.
 */
export function replaced(
  base: readonly Extent[],
  id: number,
  ranges: readonly MappedRange[],
  count: number,
): { readonly extents: Extent[]; readonly kept: number[] } {
  const kept: number[] = [];
  const keep = (extent: Extent): Extent => {
    if (extent.source < 0) return extent;
    let at = kept.indexOf(extent.source);
    if (at < 0) at = kept.push(extent.source) - 1;
    return { ...extent, source: count + at };
  };
  const extents: Extent[] = [];
  let next = 0;
  for (const extent of base) {
    if (extent.source !== id) {
      extents.push(keep(extent));
      continue;
    }
    const end = extent.offset + extent.length;
    let at = extent.offset;
    const left = (to: number): void => {
      if (to <= at) return;
      // A gap has no place in a source.
      const sourceOffset = extent.source < 0 ? 0 : extent.sourceOffset + at - extent.offset;
      extents.push(keep({ ...extent, offset: at, length: to - at, sourceOffset }));
      at = to;
    };
    for (; next < ranges.length; next++) {
      const range = ranges[next];
      if (range === undefined || range.offset >= end) break;
      if (range.offset < at || range.offset + range.length > end) {
        throw new AutotorrentError('USAGE', 'ranges of an outcome lie outside of those of its source');
      }
      left(range.offset);
      extents.push({ ...range });
      at = range.offset + range.length;
    }
    left(end);
  }
  if (next < ranges.length)
    throw new AutotorrentError('USAGE', 'ranges of an outcome lie outside of those of its source');
  return { extents, kept };
}
