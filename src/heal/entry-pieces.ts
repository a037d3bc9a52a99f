/** Asks if pieces of an entry agree, with other bytes in the place of those of one source. */
import type { Extent } from '../extent/extent.ts';
import { GAP, OVERLAY, ZEROS } from '../extent/extent.ts';
import type { HashPool, HashSegment } from '../hash/hash-pool.ts';
import type { Source } from '../match/look.ts';
import { samplePieces } from '../match/own-pieces.ts';
import { bytesIn, type Range } from '../match/parts.ts';
import { type PieceAnswer, PieceHasher } from '../match/piece-hashing.ts';
import { TorrentTask } from '../match/torrent-task.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import { differenceOf, type Recorded } from '../source/identity.ts';
import { lookAtSource } from '../source/open-source.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { HealRecord } from './case.ts';

/** A file of an entry as the server maps it now. */
export interface HealFile {
  readonly index: number;
  readonly version: number;
  /** `source`: a source's id, `ZEROS`, `GAP` or `OVERLAY`. */
  readonly extents: readonly Extent[];
  /** The file in the overlay, if a client wrote to it. */
  readonly overlay?: Buffer;
}

export interface HealEntry {
  readonly infoHash: string;
  readonly metainfo: Metainfo;
  /** The number of the entry's last change, asked for before its files were listed. */
  readonly since: number;
  /** The newest doubt of all sources (docs/sources.md), asked for with it. */
  readonly epoch: number;
  /** By index. */
  readonly files: ReadonlyMap<number, HealFile>;
  /** A record that changes is replaced by another object. */
  readonly sources: ReadonlyMap<number, HealRecord>;
  /** Where files have come to that may have what is missing. */
  readonly places: readonly Buffer[];
}

/** Where the bytes of a range of a file of the entry lie instead. Undefined: as the entry has them. `none`: nowhere. */
export type Instead = (file: number, extent: Extent, range: Range) => readonly HashSegment[] | 'none' | undefined;

/** Pieces that decide on a candidate (see `match/verify-own.ts`). */
const PROBED_PIECES = 5;

/** `asked`: the number of pieces that were hashed; `unknown`: none could be. */
export interface Probe {
  readonly verdict: 'agrees' | 'fails' | 'unknown';
  readonly asked: number;
}

interface Known {
  readonly record: HealRecord | undefined;
  readonly file: Source | undefined;
}

/** A file that names a source, with the extents that do. */
interface Use {
  readonly file: HealFile;
  readonly extents: readonly Extent[];
}

export class EntryPieces {
  readonly entry: HealEntry;
  readonly torrent: TorrentTask;
  readonly #access: SourceAccess;
  readonly #hasher: PieceHasher;
  #uses: ReadonlyMap<number, readonly Use[]> | undefined;
  /** By source id, and by overlay path: the file as it is now, if that is what this record says. */
  readonly #known = new Map<number | string, Known>();

  constructor(entry: HealEntry, pool: HashPool, access: SourceAccess, signal: AbortSignal) {
    this.entry = entry;
    this.torrent = new TorrentTask(entry.infoHash, entry.metainfo);
    this.#access = access;
    this.#hasher = new PieceHasher(pool, signal, undefined);
  }

  /** Lists the files that name a source, with the extents that do. */
  usesOf(id: number): readonly Use[] {
    this.#uses ??= usesIn(this.entry);
    return this.#uses.get(id) ?? [];
  }

  /**
   * Asks about pieces. Undefined for those that cannot be asked: some of their bytes are missing, or lie in a file that is not
   * as recorded either.
   */
  async ask(pieces: readonly number[], instead: Instead): Promise<(PieceAnswer | undefined)[]> {
    return await this.#hasher.ask(
      pieces.map((piece) => ({
        torrent: this.torrent,
        piece,
        bytesOf: (task, range) => this.#bytes(task.file.index, range, instead),
      })),
    );
  }

  /** Asks about one piece for each list of bytes, all of which lie in one file. */
  async askWith(
    questions: readonly { readonly piece: number; readonly bytes: readonly HashSegment[] }[],
  ): Promise<PieceAnswer[]> {
    const answers = await this.#hasher.ask(
      questions.map(({ piece, bytes }) => ({ torrent: this.torrent, piece, bytesOf: () => bytes })),
    );
    return answers.map((answer) => answer ?? { agrees: false, why: 'could not be asked about', changed: false });
  }

  /** Tells by a few pieces if `candidate` has the bytes of source `id`, at the same places. */
  async probe(id: number, candidate: Source): Promise<Probe> {
    const pieces: number[] = [];
    for (const { file, extents } of this.usesOf(id)) {
      const touched = this.piecesOf(file.index, extents);
      const picked = samplePieces({ first: 0, count: touched.length }, PROBED_PIECES);
      for (const i of picked) pieces.push(touched[i] ?? 0);
    }
    const answers = await this.ask(pieces, (_, { source, offset, sourceOffset }, range) => {
      if (source !== id) return undefined;
      return bytesIn(candidate, sourceOffset - offset, range) ?? 'none';
    });
    const known = answers.filter((answer) => answer !== undefined);
    const asked = known.length;
    if (asked === 0) return { verdict: 'unknown', asked };
    return { verdict: known.every(({ agrees }) => agrees) ? 'agrees' : 'fails', asked };
  }

  /** Lists the pieces with bytes of these extents, in order. */
  piecesOf(index: number, extents: readonly Extent[]): number[] {
    const { metainfo } = this.entry;
    const { pieceLength } = metainfo;
    const { offset = 0 } = metainfo.files[index] ?? {};
    const touched = touchedPieces(metainfo, index);
    const found = new Set<number>();
    for (const extent of extents) {
      if (extent.length === 0) continue;
      const first = Math.floor((offset + extent.offset) / pieceLength);
      const last = Math.floor((offset + extent.offset + extent.length - 1) / pieceLength);
      for (let piece = Math.max(first, touched.first); piece <= last; piece++) found.add(piece);
    }
    return [...found].toSorted((a, b) => a - b);
  }

  #bytes(index: number, range: Range, instead: Instead): HashSegment[] | undefined {
    const file = this.entry.files.get(index);
    if (file === undefined) return undefined;
    const segments: HashSegment[] = [];
    let covered = 0;
    for (const extent of file.extents) {
      const from = Math.max(extent.offset, range.offset);
      const length = Math.min(extent.offset + extent.length, range.offset + range.length) - from;
      if (length <= 0) continue;
      const other = instead(index, extent, { offset: from, length });
      if (other === 'none') return undefined;
      const found = other ?? this.#asMapped(file, extent, { offset: from, length });
      if (found === undefined) return undefined;
      segments.push(...found);
      covered += length;
    }
    return covered === range.length ? segments : undefined;
  }

  #asMapped(file: HealFile, { source: id, offset, sourceOffset }: Extent, range: Range): HashSegment[] | undefined {
    if (id === ZEROS) return [{ zeros: range.length }];
    if (id === GAP) return undefined;
    const source = id === OVERLAY ? this.#overlay(file.overlay) : this.#source(id);
    return source === undefined ? undefined : bytesIn(source, sourceOffset - offset, range);
  }

  #overlay(path: Buffer | undefined): Source | undefined {
    return path === undefined ? undefined : this.#look(path.toString('latin1'), path, undefined);
  }

  #source(id: number): Source | undefined {
    const record = this.entry.sources.get(id);
    return record === undefined ? undefined : this.#look(id, record.path, record);
  }

  #look(key: number | string, path: Buffer, record: HealRecord | undefined): Source | undefined {
    const known = this.#known.get(key);
    if (known !== undefined && known.record === record) return known.file;
    const looked = lookAtSource({ path }, this.#access);
    let file: Source | undefined;
    if (looked.state === 'as recorded') {
      const { identity } = looked;
      // A neighbour that changed would be blamed on this file.
      if (record === undefined || differenceOf(contentOf(record), identity) === undefined) {
        file = { path, identity, inode: `${identity.dev}:${identity.ino}` };
      }
    }
    this.#known.set(key, { record, file });
    return file;
  }
}

const contentOf = ({ size, mtimeNs, ctimeNs }: HealRecord): Recorded => ({ size, mtimeNs, ctimeNs });

function usesIn({ files }: HealEntry): Map<number, Use[]> {
  const uses = new Map<number, Use[]>();
  for (const file of files.values()) {
    const named = new Map<number, Extent[]>();
    for (const extent of file.extents) {
      if (extent.source < 0) continue;
      const extents = named.get(extent.source);
      if (extents === undefined) named.set(extent.source, [extent]);
      else extents.push(extent);
    }
    for (const [id, extents] of named) {
      const known = uses.get(id);
      if (known === undefined) uses.set(id, [{ file, extents }]);
      else known.push({ file, extents });
    }
  }
  return uses;
}
