/**
 * Describes where the bytes of a torrent file lie in a candidate that is not an exact copy.
 *
 * A *shift* is the distance of a byte's place in the candidate from its place in the torrent file: 0 in a copy, positive
 * after an insertion, negative after a removal. A part is a range of the torrent file with one source and one shift. Parts
 * are in order and do not overlap; ranges between them are not proven.
 */
import type { HashSegment } from '../hash/hash-pool.ts';
import type { Source } from './look.ts';

export interface Part {
  /** Offset in the torrent file. */
  readonly offset: number;
  readonly length: number;
  readonly source: Source;
  readonly shift: number;
}

export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** Locates the bytes of `range` in a source. Undefined if it lacks some of them. */
export function bytesIn(source: Source, shift: number, { offset, length }: Range): HashSegment[] | undefined {
  if (offset + shift < 0 || offset + shift + length > source.identity.size) return undefined;
  const { path, identity, seen } = source;
  return [{ path, identity, seen, offset: offset + shift, length }];
}

/** Locates the bytes of `range` in parts. Undefined if they lack some of them. */
export function bytesOfParts(parts: readonly Part[], range: Range): HashSegment[] | undefined {
  const segments: HashSegment[] = [];
  let at = range.offset;
  const end = range.offset + range.length;
  for (const part of parts) {
    if (part.offset + part.length <= at) continue;
    if (at === end) break;
    if (part.offset > at) return undefined;
    const until = Math.min(end, part.offset + part.length);
    const bytes = bytesIn(part.source, part.shift, { offset: at, length: until - at });
    if (bytes === undefined) return undefined;
    segments.push(...bytes);
    at = until;
  }
  return at === end ? segments : undefined;
}

/** Sorts parts, and joins neighbours that continue each other. Parts must not overlap. */
export function joined(parts: readonly Part[]): Part[] {
  const found: Part[] = [];
  for (const part of parts.toSorted((a, b) => a.offset - b.offset)) {
    const last = found.at(-1);
    const goesOn = last?.source.inode === part.source.inode && last.shift === part.shift;
    if (last !== undefined && goesOn && last.offset + last.length === part.offset) {
      found[found.length - 1] = { ...last, length: last.length + part.length };
    } else found.push(part);
  }
  return found;
}
