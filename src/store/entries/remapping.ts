/**
 * Gives a file of a torrent other extents while it may be open: its bytes were found elsewhere, or are gaps now.
 *
 * Invariants: the extents, the piece map, the proofs, and the sources with their users and conditions change in one
 * batch. What clients have written over the file stays above it, and what a truncate has cut off stays cut off. A read
 * that has begun ends on the old extents; the next one uses the new ones.
 */
import { AutotorrentError } from '../../errors.ts';
import { countBits, hasBit, setBit } from '../../extent/bitfield.ts';
import type { Extent } from '../../extent/extent.ts';
import { ExtentMap } from '../../extent/extent-map.ts';
import type { Condition } from '../../source/condition.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import type { Notices } from '../notices.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { entryKey, extentsKey, fileKey, pieceMapKey } from '../records/key.ts';
import { decodeFile, encodeExtents, encodeFile, type FileRecord, type SourceRecord } from '../records/record.ts';
import type { Conditions } from '../sources/conditions.ts';
import type { Proofs } from '../sources/proofs.ts';
import type { SourceReaders } from '../sources/source-readers.ts';
import { type Sources, using } from '../sources/sources.ts';
import type { Stories } from '../sources/stories.ts';
import type { Tree } from '../tree/tree.ts';
import type { Catalog } from './catalog.ts';
import { formatEntry, type StoredEntry } from './entry.ts';
import type { EntryPieces } from './entry-pieces.ts';
import type { Pieces } from './pieces.ts';
import { ProofDays } from './proof-days.ts';
import { changesOf, doubtfulSources, epochOf, provenInPlace, provenNow, type Range } from './remap-changes.ts';
import type { Unmapped } from './unmapped.ts';

/** New extents of a file. */
export interface Remap {
  /** The version of the extents that they replace (`StoredFile.version`): others that came meanwhile stay. */
  readonly was: number;
  /** Cover the whole file. `source` is an index into `sources`, `ZEROS` or `GAP`. */
  readonly extents: readonly Extent[];
  /** Files as they were when they were looked at, or ids of sources that are recorded. */
  readonly sources: readonly (LookedAtSource | number)[];
  /** The pieces of the torrent that were hashed as the file will be, and agreed. */
  readonly proven: Iterable<number>;
  /** `Store.verificationBegun`, before the file was listed and hashed: pieces that changed since are not believed. */
  readonly since: number;
  /** `Store.living.epoch` then: a source that was doubted later may have other bytes than those that were hashed. */
  readonly epoch: number;
  /** How the bytes were found: a line for the stories of the sources. */
  readonly how: string;
}

export interface RemappingParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly overlay: Overlay;
  readonly catalog: Catalog;
  readonly pieces: Pieces;
  readonly proofs: Proofs;
  readonly sources: Sources;
  readonly readers: SourceReaders;
  readonly conditions: Conditions;
  readonly stories: Stories;
  readonly unmapped: Unmapped;
  readonly notices: Notices;
}

/** A file that is to be remapped, as it is recorded. */
interface Found {
  readonly entry: StoredEntry;
  readonly key: Buffer;
  readonly record: FileRecord;
  readonly torrentOffset: number | undefined;
  readonly extents: ExtentMap;
}

export class Remapping {
  readonly #parts: RemappingParts;

  constructor(parts: RemappingParts) {
    this.#parts = parts;
  }

  /**
   * Gives the file at `index` new extents; they are on the disk when this resolves. False if it has other extents than
   * `was` by now, or is no mapped file any more.
   * Sources of the new extents become doubted if a piece that they supply was not proven.
   * @throws AutotorrentError('NOT_FOUND') for an entry that is not there, ('TORRENT') for extents that do not fit the
   *   file, ('STORE')
   */
  async remap(infoHash: string, index: number, remap: Remap): Promise<boolean> {
    const { db, catalog, sources } = this.#parts;
    catalog.mustHave(infoHash);
    const looked = remap.sources.filter((source) => typeof source !== 'number');
    const shared = await sources.shared(looked);
    return await db.exclusive(async () => {
      const found = this.#find(infoHash, index, remap.was);
      const pieces = found === undefined ? null : await this.#parts.pieces.of(found.entry.id);
      if (found === undefined || pieces === null) return false;
      const adding = sources.adding(shared.map((file) => ({ file, entries: [found.entry.id] })));
      let next = 0;
      const ids = remap.sources.map((source) =>
        typeof source === 'number' ? this.#known(source) : adding.ids[next++]!,
      );
      await this.#commit(found, pieces, remap, { ids, adding, extents: mapOf(found, remap.extents, ids) });
      return true;
    });
  }

  #find(infoHash: string, index: number, was: number): Found | undefined {
    const { db, tree, catalog } = this.#parts;
    const entry = catalog.mustHave(infoHash);
    const key = fileKey(entry.id, index);
    const bytes = db.get(key);
    if (bytes === undefined) return undefined;
    const record = decodeFile(bytes);
    const inode = tree.inode(record.ino);
    if (inode?.entry !== entry.id || inode.type !== 'file' || inode.content === 'plain') return undefined;
    if (tree.extentsVersion(record.ino) !== was) return undefined;
    return { entry, key, record, torrentOffset: inode.torrentOffset, extents: tree.extents(record.ino) };
  }

  #known(id: number): number {
    if (this.#parts.sources.get(id) !== undefined) return id;
    throw new AutotorrentError('NOT_FOUND', `source ${id} is not in the store any more`);
  }

  async #commit(
    found: Found,
    pieces: EntryPieces,
    remap: Remap,
    to: {
      readonly ids: readonly number[];
      readonly adding: ReturnType<Sources['adding']>;
      readonly extents: ExtentMap;
    },
  ): Promise<void> {
    const { db, tree, overlay, conditions, proofs, stories, unmapped, notices } = this.#parts;
    const { entry, key, record } = found;
    const { adding, extents } = to;
    const changed = changesOf(found.extents, extents);
    const inTorrent = rangesInTorrent(found, changed);
    const touched = pieces.touched(inTorrent);
    const among = new Set(touched);
    const believed = pieces.unchanged(
      [...remap.proven].filter((piece) => among.has(piece)),
      remap.since,
    );
    const map = pieces.withoutAll(inTorrent);
    for (const piece of believed) setBit(map, piece);
    const stayed = this.#stayed(found, pieces, remap, { ...to, touched: among });
    for (const piece of stayed.keys()) setBit(map, piece);

    const recordOf = (id: number): SourceRecord | undefined => this.#record(id, remap, to);
    const doubted = new Map<number, Condition>();
    const doubtful = doubtfulSources(changed, extents, found.torrentOffset ?? 0, pieces.pieceLength, believed);
    for (const id of doubtful) {
      if (conditions.get(id) !== undefined) continue;
      const observed = recordOf(id);
      const found = { state: 'doubted', reason: 'was mapped anew', unproven: true } as const;
      doubted.set(id, conditions.next(undefined, { ...found, ...(observed && { observed }) }));
    }
    const proofOf = new Map<number, number>();
    for (const [piece, epoch] of stayed) proofOf.set(piece, Math.max(epoch, proofs.at(entry.id, piece)));
    for (const piece of touched) proofOf.set(piece, 0);
    // After the doubts: what is proven now is proven for them, too.
    const proven = provenNow(believed, {
      extents,
      torrentOffset: found.torrentOffset ?? 0,
      pieceLength: pieces.pieceLength,
      totalLength: entry.totalLength,
      hashedAt: remap.epoch,
      now: db.epoch,
      isYounger: (id) => this.#isYounger(id, remap, to.ids),
    });
    for (const [piece, epoch] of proven) proofOf.set(piece, epoch);

    const { left, came } = sourcesOf(found.extents, extents);
    const atMs = Date.now();
    const [first] = left;
    const from = first === undefined ? undefined : this.#parts.sources.get(first)?.path;
    const writes: Write[] = [...adding.writes];
    for (const id of to.ids) if (!adding.ids.includes(id)) writes.push(...using(id, entry.id));
    writes.push(...unmapped.noting(entry.id, left));
    for (const [id, condition] of doubted) writes.push(conditions.recording(id, condition));
    for (const id of came) {
      const path = recordOf(id)?.path;
      if (path === undefined) continue;
      const before = first !== undefined && adding.fresh.has(id) ? stories.of(first) : [];
      writes.push(stories.recording(id, { atMs, from: from ?? path, to: path, how: remap.how }, before));
    }
    const moreGaps = extents.bytesIn('gaps') - found.extents.bytesIn('gaps');
    const missingBytes = Math.max(0, entry.missingBytes + moreGaps);
    const lostBytes = Math.min(missingBytes, Math.max(0, (entry.lostBytes ?? 0) + moreGaps));
    const described = this.#described(record, extents, map, found, pieces, recordOf);
    await this.#parts.pieces.recorded(pieces, map, async () => {
      await db.commit([
        ...writes,
        ...proofs.recording(entry.id, proofOf),
        // Whatever a scrub found there before says nothing of these bytes.
        ...new ProofDays(db).forgetting(
          entry.infoHash,
          entry.pieceCount,
          touched.filter((piece) => !believed.has(piece)),
        ),
        put(extentsKey(record.ino), encodeExtents(extents)),
        put(key, encodeFile(described)),
        put(pieceMapKey(entry.infoHash), map),
        put(
          entryKey(entry.infoHash),
          formatEntry({ ...entry, missingBytes, lostBytes, verifiedPieces: countBits(map) }),
        ),
      ]);
    });

    tree.forget([record.ino]);
    overlay.remapped(record.ino, extents);
    adding.recorded();
    for (const [offset, end] of inTorrent) pieces.noteChange(offset, end);
    proofs.recorded(entry.id, proofOf);
    for (const [id, condition] of doubted) conditions.recorded(id, condition);
    for (const id of came) stories.recorded(id);
    this.#noteReaders(came);
    notices.stale({ ino: record.ino });
    // Whoever waits for one of them asks for other extents now.
    const replaced = changed.flatMap(([offset, end]) => found.extents.slice(offset, end - offset));
    if (believed.size + stayed.size > 0) notices.proven(entry.id);
    notices.sourcesChanged([...new Set(replaced.map(({ source }) => source).filter((id) => id >= 0))]);
    unmapped.note(entry.id);
  }

  /** Reports whether a source was doubted after its bytes were hashed: it may have others by now. */
  #isYounger(id: number, { epoch, sources }: Remap, ids: readonly number[]): boolean {
    const condition = this.#parts.conditions.get(id);
    if (condition === undefined || condition.epoch <= epoch) return false;
    const hashed = sources[ids.indexOf(id)];
    return epochOf(condition, typeof hashed === 'number' ? undefined : hashed) === undefined;
  }

  /** Returns the proven pieces of which this file's bytes stay where they are, and the epoch at which each counts as proven. */
  #stayed(
    { torrentOffset }: Found,
    pieces: EntryPieces,
    remap: Remap,
    {
      ids,
      extents,
      touched,
    }: { readonly ids: readonly number[]; readonly extents: ExtentMap; readonly touched: ReadonlySet<number> },
  ): Map<number, number> {
    if (torrentOffset === undefined) return new Map();
    const hashed = new Map(remap.sources.map((source, i) => [ids[i], typeof source === 'number' ? undefined : source]));
    const proven = pieces.unchanged(
      [...remap.proven].filter((piece) => !touched.has(piece)),
      remap.since,
    );
    return provenInPlace(proven, extents, torrentOffset, pieces.pieceLength, (id) =>
      epochOf(this.#parts.conditions.get(id), hashed.get(id)),
    );
  }

  /** Returns the record of a source, of one that is being added, too. */
  #record(
    id: number,
    remap: Remap,
    { adding, ids }: { readonly adding: ReturnType<Sources['adding']>; readonly ids: readonly number[] },
  ): SourceRecord | undefined {
    if (!adding.fresh.has(id)) return this.#parts.sources.get(id);
    const source = remap.sources[ids.indexOf(id)];
    return typeof source === 'number' ? undefined : source;
  }

  /** The kernel may know attributes by which more may read the file than may read its new sources. */
  #noteReaders(ids: Iterable<number>): void {
    for (const id of ids) {
      const now = this.#parts.readers.get(id) ?? 'nobody';
      if (now !== 'everyone') this.#parts.notices.readersChanged({ source: id, before: 'everyone', now });
    }
  }

  /** Returns the file's record with the status and the code that its new extents give it. */
  #described(
    record: FileRecord,
    extents: ExtentMap,
    map: Buffer,
    found: Found,
    pieces: EntryPieces,
    recordOf: (id: number) => SourceRecord | undefined,
  ): FileRecord {
    const gaps = extents.bytesIn('gaps');
    if (gaps > 0 && gaps === extents.length) return { ...record, status: 'missing', mode: 'none', code: 'changed' };
    if (gaps > 0) return { ...record, status: 'partial', code: 'pieces-failed' };
    const [only] = extents;
    const same =
      extents.count === 1 &&
      only !== undefined &&
      only.source >= 0 &&
      only.sourceOffset === 0 &&
      recordOf(only.source)?.size === extents.length;
    if (!same) return { ...record, status: 'resized', code: 'realigned' };
    const offset = found.torrentOffset;
    const whole =
      offset !== undefined && pieces.touched([[offset, offset + extents.length]]).every((piece) => hasBit(map, piece));
    return { ...record, status: 'mapped', code: whole ? 'verified' : 'probed' };
  }
}

function mapOf(found: Found, planned: readonly Extent[], ids: readonly number[]): ExtentMap {
  try {
    const withIds = planned.map((extent) => {
      if (extent.source < 0) return extent;
      const source = ids[extent.source];
      if (source === undefined) throw new RangeError(`the extents name source ${extent.source}, which is not listed`);
      return { ...extent, source };
    });
    return ExtentMap.from(withIds, found.extents.length);
  } catch (error) {
    throw new AutotorrentError('TORRENT', `new extents of ${JSON.stringify(found.record.path.join('/'))} do not fit`, {
      cause: error,
    });
  }
}

/** The changed ranges as offsets of the torrent; all of it for a file of a format 1 store, whose offset nobody knows. */
function rangesInTorrent({ torrentOffset, entry }: Found, changed: readonly Range[]): Range[] {
  if (torrentOffset === undefined) return changed.length === 0 ? [] : [[0, entry.totalLength]];
  return changed.map(([offset, end]) => [torrentOffset + offset, torrentOffset + end]);
}

/** The sources that only the old extents name, and those that only the new ones name. */
function sourcesOf(before: Iterable<Extent>, after: Iterable<Extent>): { left: Set<number>; came: Set<number> } {
  const named = (extents: Iterable<Extent>): Set<number> => {
    const ids = new Set<number>();
    for (const { source } of extents) if (source >= 0) ids.add(source);
    return ids;
  };
  const [old, now] = [named(before), named(after)];
  return {
    left: new Set([...old].filter((id) => !now.has(id))),
    came: new Set([...now].filter((id) => !old.has(id))),
  };
}
