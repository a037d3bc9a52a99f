/** Measures what entries have lost for good, and turns it into gaps (docs/sources.md, "What is lost"). */
import type { DoubtedRange, Losses } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { type Extent, GAP } from '../extent/extent.ts';
import type { Condition } from '../source/condition.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';

/** What is needed of the store. */
export interface LossStore {
  condition(source: number): Pick<Condition, 'state' | 'epoch'> | undefined;
  /** Whether a piece of a file's entry was proven at this epoch or later. */
  isProven(file: Pick<StoredFile, 'ino'>, piece: number, epoch: number): boolean;
  files(infoHash: string): AsyncIterable<StoredFile>;
  /** Gives a file new planned extents. False if it has others by now than `was`. */
  remap(infoHash: string, file: StoredFile, extents: readonly Extent[]): Promise<boolean>;
}

/** Doubted ranges in one answer. */
const RANGES = 1000;

/** @throws AutotorrentError('NOT_FOUND') */
export async function lossesOf(store: LossStore, entry: Entry): Promise<Losses> {
  const { infoHash, pieceLength, totalLength } = entry;
  const unsettled = new Set<number>();
  const doubted: DoubtedRange[] = [];
  let lostBytes = 0;
  let downloadBytes = 0;
  let lastPiece = -1;
  for await (const file of store.files(infoHash)) {
    for (const { offset, length, source } of file.extents) {
      const condition = source < 0 ? undefined : store.condition(source);
      if (condition === undefined) continue;
      const { state, epoch } = condition;
      const begin = (file.torrentOffset ?? 0) + offset;
      const [first, last] = [Math.floor(begin / pieceLength), Math.floor((begin + length - 1) / pieceLength)];
      if (state === 'lost') {
        lostBytes += length;
        if (file.torrentOffset === undefined) downloadBytes += Math.ceil(length / pieceLength) * pieceLength;
        else {
          const from = Math.max(first, lastPiece + 1);
          downloadBytes += Math.max(0, Math.min((last + 1) * pieceLength, totalLength) - from * pieceLength);
          lastPiece = Math.max(lastPiece, last);
        }
      } else if (state === 'doubted') {
        if (doubted.length === RANGES || file.state === 'deleted') continue;
        if (file.torrentOffset !== undefined && provenThroughout(store, file, [first, last], epoch)) continue;
        doubted.push({ path: file.path.join('/'), offset, length });
      } else unsettled.add(source);
    }
  }
  return { lostBytes, downloadBytes, unsettled: unsettled.size, doubted };
}

/**
 * Turns what is lost of an entry into gaps. Bytes that a client wrote stay above them. No client may run the torrent.
 * Gives the bytes that have become gaps. @throws AutotorrentError('CONFLICT') if files change too fast, ('NOT_FOUND')
 */
export async function makeGaps(store: LossStore, { infoHash, name }: Entry): Promise<number> {
  let made = 0;
  for (let tries = 0; tries < 3; tries++) {
    let refused = false;
    for await (const file of store.files(infoHash)) {
      if (!file.base.some(({ source }) => isLost(store, source))) continue;
      const extents = file.base.map((extent) =>
        isLost(store, extent.source) ? { ...extent, source: GAP, sourceOffset: 0 } : extent,
      );
      const bytes = file.base.reduce((sum, { source, length }) => sum + (isLost(store, source) ? length : 0), 0);
      if (await store.remap(infoHash, file, extents)) made += bytes;
      else refused = true;
    }
    if (!refused) return made;
  }
  throw new AutotorrentError('CONFLICT', `files of ${name} are being mapped again`, { hint: 'try again in a moment' });
}

function isLost(store: LossStore, source: number): boolean {
  return source >= 0 && store.condition(source)?.state === 'lost';
}

function provenThroughout(
  store: LossStore,
  file: StoredFile,
  [first, last]: readonly [number, number],
  epoch: number,
): boolean {
  for (let piece = first; piece <= last; piece++) if (!store.isProven(file, piece, epoch)) return false;
  return true;
}
