/**
 * Bounds the memory of `add`: estimates what a torrent takes between reading and settling, and how much all may take.
 *
 * The figures are measured (`test/security/million-files.test.ts` fails if they no longer hold): a torrent of a million files
 * weighs some 1.2 GB, and the process then holds 1.6 to 2.5 GB, since V8 collects late. The unit is a byte.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { AutotorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { countDictionaries } from '../metainfo/scan.ts';

/** A file: its names, its place, its candidates, its part of the plan. */
const FILE = 1000;
/** A piece: its hash is in the raw bytes; the rest is what is asked about it. */
const PIECE = 120;
/** A byte of the .torrent: itself, and as the client gets it (base64, in a request). */
const RAW = 6;
/** Torrents that are lighter than this are not worth counting beforehand. */
const SMALL_METAINFO = 64 * 1024;
/** The bytes of the shortest file in a .torrent. */
const SHORTEST_FILE = 24;

/** Estimates what a torrent takes at most, once it is parsed. */
export function weightOf({ raw, files, pieceCount }: Pick<Metainfo, 'raw' | 'files' | 'pieceCount'>): number {
  return raw.length * RAW + files.length * FILE + pieceCount * PIECE;
}

/** Estimates the same before it is parsed: never less, but often more. */
export function expectedWeight(raw: Buffer): number {
  const files = raw.length <= SMALL_METAINFO ? Math.ceil(raw.length / SHORTEST_FILE) : countDictionaries(raw);
  return raw.length * RAW + files * FILE + Math.ceil(raw.length / 20) * PIECE;
}

/** The memory of a run of `add`. */
export interface Room {
  /** What all torrents between read and settled may weigh. A heavier one goes alone. */
  readonly all: number;
  /** A torrent that weighs more would not fit into this process. */
  readonly one: number;
}

const MOST = 512 * 1024 * 1024;

/** By the limit of this process's heap, which depends on the machine's memory and on `--max-old-space-size`. */
export function roomForTorrents(heapBytes: number = getHeapStatistics().heap_size_limit): Room {
  return { all: Math.min(MOST, heapBytes / 4), one: heapBytes * 0.7 };
}

/**
 * Keeps the heap close to what is in use, from the first heavy torrent on. Otherwise V8 lets it grow to twice of that before it
 * looks for garbage, which costs less time and matters only for hundreds of megabytes.
 */
export function prepareForWeight(weight: number, { all }: Room): void {
  if (weight > all / 4) setFlagsFromString('--heap-growing-percent=20');
}

/** @throws AutotorrentError('TORRENT') if a torrent of this weight does not fit into this process */
export function refuseTooHeavy(weight: number, { one }: Room): void {
  if (weight <= one) return;
  const mega = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  throw new AutotorrentError(
    'TORRENT',
    `it is too large for this process: matching it takes about ${mega(weight)} of memory, and ${mega(one)} may be used`,
    { hint: `Run the command with NODE_OPTIONS=--max-old-space-size=${Math.ceil((weight / 0.7) * 1e-6) + 1}.` },
  );
}
