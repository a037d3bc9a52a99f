/** Makes outcomes of what was aligned. */
import type { Extent } from '../extent/extent.ts';
import { type Case, type HealRecord, LOST_CTIME_NS, type MappedRange, type Remap } from './case.ts';
import type { AlignCandidate, Realigned } from './realign.ts';
import type { Seen } from './sight.ts';

type RemappedFile = Pick<Remap, 'id' | 'infoHash' | 'since' | 'epoch' | 'index' | 'version' | 'how'>;

/** Maps the parts that were found; each lies in a candidate. */
export function remapOf(
  file: RemappedFile,
  { parts, proven }: Realigned,
  candidates: readonly AlignCandidate[],
): Remap {
  const sources: Seen[] = [];
  const ranges = parts.map(({ offset, length, source, shift }): MappedRange => {
    const seen = candidates.find((candidate) => candidate.source.inode === source.inode)?.seen;
    if (seen === undefined) throw new Error('a part has a source that was no candidate');
    let at = sources.indexOf(seen);
    if (at < 0) at = sources.push(seen) - 1;
    return { offset, length, source: at, sourceOffset: offset + shift };
  });
  return { kind: 'remap', ...file, ranges, sources, proven };
}

/** Tells from what the bytes of a source are put together: a predicate. */
export function howMapped(fits: readonly AlignCandidate[], { record }: Case): string {
  const others = fits.filter(({ kept }) => kept !== true);
  const rest = fits.length > others.length;
  if (rest && others.length === 0) return 'is gone; its bytes are taken from what was kept of it';
  if (!others.every(({ seen }) => seen.path.equals(record.path))) return 'is put together from what was found of it';
  return rest
    ? 'changed; what it no longer has is taken from what was kept of it'
    : 'changed; what of it fits is mapped again';
}

/** Maps what a remap leaves out to a record that no file agrees with. */
export function withLost(remap: Remap, record: HealRecord, extents: readonly Extent[]): Remap {
  const lost = remap.sources.length;
  const rest: MappedRange[] = [];
  for (const { offset, length, sourceOffset } of extents) {
    let at = offset;
    for (const range of [...remap.ranges, { offset: offset + length, length: 0 }]) {
      const end = Math.min(Math.max(range.offset, at), offset + length);
      if (end > at) rest.push({ offset: at, length: end - at, source: lost, sourceOffset: sourceOffset + at - offset });
      at = Math.max(at, Math.min(range.offset + range.length, offset + length));
    }
  }
  if (rest.length === 0) return remap;
  const ranges = [...remap.ranges, ...rest].toSorted((a, b) => a.offset - b.offset);
  // No file has been changed at the beginning of the epoch.
  return { ...remap, ranges, sources: [...remap.sources, { ...record, ctimeNs: LOST_CTIME_NS }] };
}
