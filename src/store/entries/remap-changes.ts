/** Compares the extents of a file before and after it was remapped. Everything here only computes. */
import { type Extent, GAP } from '../../extent/extent.ts';
import type { ExtentMap } from '../../extent/extent-map.ts';
import type { Condition } from '../../source/condition.ts';
import { type FileIdentity, isSameIdentity } from '../../source/identity.ts';

export type Range = readonly [offset: number, end: number];

/** Lists the ranges of a file that come from another place than before, in order; neighbours are one. */
export function changesOf(before: ExtentMap, after: ExtentMap): Range[] {
  const changed: [number, number][] = [];
  const [old, now] = [before[Symbol.iterator](), after[Symbol.iterator]()];
  let [a, b] = [old.next(), now.next()];
  for (let at = 0; a.done !== true && b.done !== true; ) {
    const end = Math.min(endOf(a.value), endOf(b.value));
    if (!isSamePlace(a.value, b.value, at)) {
      const last = changed.at(-1);
      if (last?.[1] === at) last[1] = end;
      else changed.push([at, end]);
    }
    at = end;
    if (endOf(a.value) === end) a = old.next();
    if (endOf(b.value) === end) b = now.next();
  }
  return changed;
}

const endOf = ({ offset, length }: Extent): number => offset + length;

function isSamePlace(a: Extent, b: Extent, at: number): boolean {
  if (a.source !== b.source) return false;
  return a.source < 0 || a.sourceOffset + (at - a.offset) === b.sourceOffset + (at - b.offset);
}

/**
 * Lists the sources that supply changed bytes of pieces that were not `proven`. A piece with a gap counts for none: nobody can
 * prove it, and its bytes are served as they are.
 */
export function doubtfulSources(
  changed: readonly Range[],
  extents: ExtentMap,
  torrentOffset: number,
  pieceLength: number,
  proven: ReadonlySet<number>,
): Set<number> {
  const doubtful = new Set<number>();
  if (pieceLength <= 0) return doubtful;
  const gaps = new Set<number>();
  const piecesOf = function* (offset: number, end: number): Generator<number, void, undefined> {
    const last = Math.ceil((torrentOffset + end) / pieceLength);
    for (let piece = Math.floor((torrentOffset + offset) / pieceLength); piece < last; piece++) yield piece;
  };
  for (const { source, offset, length } of extents) {
    if (source !== GAP) continue;
    // Only the first and the last piece of a gap hold other bytes.
    for (const at of [offset, offset + length - 1]) gaps.add(Math.floor((torrentOffset + at) / pieceLength));
  }
  for (const [from, to] of changed) {
    for (const { source, offset, length } of extents.slice(from, to - from)) {
      if (source < 0 || doubtful.has(source)) continue;
      for (const piece of piecesOf(offset, offset + length)) {
        if (proven.has(piece) || gaps.has(piece)) continue;
        doubtful.add(source);
        break;
      }
    }
  }
  return doubtful;
}

/** The epoch at which bytes of the file `hashed` are proven for its source. Undefined if another file lies there by now. */
export function epochOf(condition: Condition | undefined, hashed: FileIdentity | undefined): number | undefined {
  if (condition === undefined) return 0;
  const { observed, epoch } = condition;
  return observed !== undefined && hashed !== undefined && isSameIdentity(observed, hashed) ? epoch : undefined;
}

/** Lists the sources that supply bytes of a piece in a file. */
function* sourcesInPiece(
  piece: number,
  extents: ExtentMap,
  torrentOffset: number,
  pieceLength: number,
): Generator<number, void, undefined> {
  const offset = Math.max(0, piece * pieceLength - torrentOffset);
  const end = Math.min(extents.length, (piece + 1) * pieceLength - torrentOffset);
  for (const { source } of extents.slice(offset, Math.max(0, end - offset))) if (source >= 0) yield source;
}

/** Gives the epoch at which each of `proven` counts as proven: of each source of its bytes in the file, `epochOf` says one. */
export function provenInPlace(
  proven: Iterable<number>,
  extents: ExtentMap,
  torrentOffset: number,
  pieceLength: number,
  epochOf: (source: number) => number | undefined,
): Map<number, number> {
  const known = new Map<number, number | undefined>();
  const found = new Map<number, number>();
  for (const piece of proven) {
    let epoch = 0;
    let isKnown = true;
    for (const source of sourcesInPiece(piece, extents, torrentOffset, pieceLength)) {
      if (!known.has(source)) known.set(source, epochOf(source));
      const one = known.get(source);
      if (one === undefined) isKnown = false;
      else epoch = Math.max(epoch, one);
    }
    if (isKnown) found.set(piece, epoch);
  }
  return found;
}

export interface HashedNow {
  /** The file's new extents. */
  readonly extents: ExtentMap;
  readonly torrentOffset: number;
  readonly pieceLength: number;
  readonly totalLength: number;
  /** The newest epoch before the pieces were hashed, and the one of now. */
  readonly hashedAt: number;
  readonly now: number;
  /** Tells if a source was doubted since, and may have other bytes by now. */
  readonly isYounger: (source: number) => boolean;
}

/**
 * Gives the epoch at which each of `believed`, pieces that have bytes of the file, is proven. Nothing is known here of the sources of
 * other files: a piece with bytes of them was proven when it was hashed.
 */
export function provenNow(believed: Iterable<number>, file: HashedNow): Map<number, number> {
  const { extents, torrentOffset, pieceLength, totalLength, hashedAt, now, isYounger } = file;
  const younger = new Map<number, boolean>();
  const found = new Map<number, number>();
  for (const piece of believed) {
    let isOwn = true;
    for (const source of sourcesInPiece(piece, extents, torrentOffset, pieceLength)) {
      if (!younger.has(source)) younger.set(source, isYounger(source));
      if (younger.get(source) === true) isOwn = false;
    }
    const from = piece * pieceLength - torrentOffset;
    const isShared = from < 0 || Math.min(from + pieceLength, totalLength - torrentOffset) > extents.length;
    if (isOwn) found.set(piece, isShared ? Math.min(now, hashedAt) : now);
  }
  return found;
}
