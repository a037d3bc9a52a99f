/** Decides cases: the glossary and the invariants are in `case.ts`. */
import type { CollectionIndex } from '../collection/index.ts';
import type { Extent } from '../extent/extent.ts';
import type { HashPool } from '../hash/hash-pool.ts';
import type { Source } from '../match/look.ts';
import { LearnedShifts } from '../match/shifts.ts';
import { folderOf } from '../source/paths.ts';
import type { SourceAccess } from '../source/source-access.ts';
import {
  type Case,
  type HealRecord,
  LOST_CTIME_NS,
  type MappedRange,
  type Outcome,
  type Remap,
  wasOf,
} from './case.ts';
import { elsewhere } from './elsewhere.ts';
import { EntryPieces, type HealEntry, type Probe } from './entry-pieces.ts';
import { Folders, joined } from './folders.ts';
import { GoneRule } from './gone-rule.ts';
import { Moves } from './moves.ts';
import { type AlignCandidate, type Realigned, Realignment, type RealignTools } from './realign.ts';
import { type DiskTools, type Grade, gradeOf, isSameHandle, type Seen, Sight } from './sight.ts';

export interface SettlerOptions {
  readonly access: SourceAccess;
  readonly disks: DiskTools;
  readonly pool: () => Promise<HashPool>;
  /** The collection's index; undefined if there is none. */
  readonly index: () => Promise<CollectionIndex | undefined>;
  /** An entry as it is mapped. The same object, as long as nothing changed. */
  readonly entry: (infoHash: string) => Promise<HealEntry>;
  readonly sourcesBelow: (folder: Buffer) => AsyncIterable<{ readonly id: number; readonly path: Buffer }>;
  readonly hypotheses: RealignTools['hypotheses'];
  /** Percent by which the size of another copy may differ. */
  readonly sizeVarying: number;
  readonly signal: AbortSignal;
  readonly now?: () => number;
}

/** Milliseconds for which a file that was written lately is not judged: it may still be written. */
const FRESH_MS = 5000;
/** Milliseconds for which a file is not given up: what moves it may not have made the new name yet. */
const PATIENCE_MS = 10_000;
/** Copies of other sizes that are aligned. */
const MOST_COPIES = 8;
/** Files of the same size that are probed. */
const MOST_PROBED = 24;

/** A case that takes long: its bytes must be aligned, which reads whole files. */
export interface Heavy {
  readonly work: () => Promise<readonly Outcome[]>;
}

/** What looks have left over. */
interface Left {
  /** What stands at the source's path. */
  readonly here: Seen | undefined;
  readonly isRecord: boolean;
  /** The same file, by its handle, with another content. */
  readonly moved: readonly Seen[];
}

export class Settler {
  readonly #options: SettlerOptions;
  readonly #sight: Sight;
  readonly #moves = new Moves();
  readonly #folders: Folders;
  readonly #learned = new LearnedShifts();
  readonly #gone: GoneRule;
  readonly #entries = new WeakMap<HealEntry, EntryPieces>();
  readonly #now: () => number;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#sight = new Sight(options.access, options.disks);
    this.#folders = new Folders(options.access);
    this.#now = options.now ?? Date.now;
    this.#gone = new GoneRule({
      sourcesBelow: options.sourcesBelow,
      isThere: (path) => this.#sight.isThere(path),
      rootsOf: async ({ record }) => await this.#rootsOf(record),
    });
  }

  /** Forgets what was read of folders: call it before each batch. */
  begin(): void {
    this.#folders.begin();
  }

  /** Decides a case of a source that these entries use, or gives the work that decides it. @throws the signal's reason; errors of the index and the pool */
  async settle(one: Case, infoHashes: readonly string[]): Promise<readonly Outcome[] | Heavy> {
    const { record } = one;
    if (one.seenDeleted || one.givenUp || one.state === 'lost') this.#gone.explain(one.id);
    const here = await this.#sight.look(record.path);
    const isRecord = here !== undefined && (await this.#sight.isAsRecorded(record));
    if (isRecord && !hasFailed(one, here)) {
      return [same(one, here, true, 'is as it was recorded')];
    }
    if (here === undefined && !one.givenUp && (await this.#isAway(one))) {
      return [{ kind: 'waiting', id: one.id, reason: 'is on a disk that is not mounted', ...diskOf(one) }];
    }
    const pieces = new PiecesOf(one.id, infoHashes, this.#options, this.#entries);
    // A file whose pieces failed where they are mapped: only another one can be right.
    if (here !== undefined && here.size === record.size && !hasFailed(one, here)) {
      const found = await this.#judge(one, here, pieces, gradeOf(record, here));
      if (found !== undefined) return [found];
    }
    const moved: Seen[] = [];
    let probes = 0;
    for await (const { path, means } of elsewhere(record, this.#tools)) {
      this.#options.signal.throwIfAborted();
      const seen = await this.#sight.look(path);
      if (seen === undefined || hasFailed(one, seen)) continue;
      const grade = gradeOf(record, seen);
      if (grade === 'other' || grade === 'size') {
        if (isSameHandle(record, seen)) moved.push(seen);
        if (grade === 'other' || probes++ >= MOST_PROBED) continue;
      }
      const found = await this.#judge(one, seen, pieces, grade, means);
      if (found === undefined) continue;
      this.#moves.learn(record.path, path);
      return [found];
    }
    const spare = await this.#spare(one, pieces);
    if (spare !== undefined) return [spare];
    return { work: async () => await this.#realign(one, { here, isRecord, moved }, pieces) };
  }

  /**
   * Judges if a file elsewhere is a source's (`relocate`). `pieces-failed`: it has another content; `gone`: no file is there.
   */
  async at(one: Case, infoHashes: readonly string[], path: Buffer): Promise<Outcome | 'gone' | 'pieces-failed'> {
    const seen = await this.#sight.look(path);
    if (seen === undefined) return 'gone';
    const grade = gradeOf(one.record, seen);
    if (grade === 'other') return 'pieces-failed';
    const pieces = new PiecesOf(one.id, infoHashes, this.#options, this.#entries);
    return (await this.#judge(one, seen, pieces, grade, 'where relocate named it')) ?? 'pieces-failed';
  }

  get #tools() {
    const { index } = this.#options;
    return { sight: this.#sight, moves: this.#moves, folders: this.#folders, index };
  }

  /** Takes a file of the right size if its identity or a few pieces prove enough to map it, doubted. */
  async #judge(one: Case, seen: Seen, pieces: PiecesOf, grade: Grade, means?: string): Promise<Outcome | undefined> {
    const { record } = one;
    const moved = !seen.path.equals(record.path);
    const isFile = grade === 'same' || grade === 'inode';
    if (isFile && moved) {
      return same(one, seen, grade === 'same', `was moved, found ${means ?? ''}`);
    }
    const probe = await pieces.probe(sourceOf(seen));
    if (probe === 'fails') return undefined;
    // No piece can be asked about: a client cannot claim it either, and it is hashed as soon as that can be done.
    if (probe === 'unknown' && moved && grade !== 'times') return undefined;
    if (moved) return same(one, seen, false, `has the same bytes in another file, found ${means ?? ''}`);
    const touched = Number(record.ino) === Number(seen.ino);
    return same(one, seen, false, touched ? 'was touched' : 'was replaced by a file with the same bytes');
  }

  async #spare(one: Case, pieces: PiecesOf): Promise<Outcome | undefined> {
    for (const spare of one.spares) {
      const seen = await this.#sight.look(spare.path);
      if (seen === undefined || seen.size !== one.record.size) continue;
      if (gradeOf(spare, seen) === 'same') return same(one, seen, true, 'is taken from a verified copy');
      if ((await pieces.probe(sourceOf(seen))) === 'agrees')
        return same(one, seen, false, 'is taken from another copy');
    }
    return undefined;
  }

  /** Aligns what changed, then copies of other sizes; the rest is lost. */
  async #realign(one: Case, { here, isRecord, moved }: Left, pieces: PiecesOf): Promise<readonly Outcome[]> {
    if (here !== undefined && this.#isFresh(here)) return [later(one, 'is still written to')];
    const changed = [...(here === undefined ? [] : [here]), ...moved].filter(({ size }) => size > 0);
    const candidates = changed.map((seen) => ({ seen, source: sourceOf(seen), named: true }));
    const all = [...candidates, ...(await this.#copies(one, candidates))];
    const remaps: Remap[] = [];
    const entries = await pieces.entries();
    let [wanted, found] = [0, 0];
    for (const entry of entries) {
      for (const { file, extents } of entry.usesOf(one.id)) {
        const realignment = new Realignment(entry, one.id, file, { ...this.#options, learned: this.#learned });
        for (const candidate of all) if (realignment.wants) await realignment.run(candidate);
        const { parts, proven } = await realignment.finish();
        wanted += bytesOf(extents);
        found += bytesOf(parts);
        if (parts.length === 0) continue;
        const { infoHash, since } = entry.entry;
        const { index, version } = file;
        const remap = remapOf(one, { infoHash, since, index, version }, { parts, proven }, all);
        // The record is of this file, whose bytes are wrong: it cannot stand for what is lost, too.
        remaps.push(isRecord ? withLost(remap, one.record, extents) : remap);
      }
    }
    if (wanted === 0) return [later(one, 'is used by no entry')];
    if (found === wanted) return remaps;
    if (found === 0 && here === undefined) {
      const wait = await this.#mayBeAway(one);
      if (wait !== undefined) return [wait];
    }
    if (found > 0 && isRecord && here !== undefined)
      return [...remaps, same(one, here, false, 'has wrong bytes in places, which are lost')];
    this.#gone.explain(one.id);
    const rest = found > 0 ? 'lost a part of its bytes' : here === undefined ? 'is gone' : 'has other bytes now';
    return [...remaps, { kind: 'lost', id: one.id, reason: `${rest}, and no copy of them was found` }];
  }

  /** Finds files of about the same name and size. */
  async #copies({ record }: Case, known: readonly AlignCandidate[]): Promise<AlignCandidate[]> {
    const index = await this.#options.index();
    if (index === undefined || record.size === 0) return [];
    const name = record.path.subarray(record.path.lastIndexOf(0x2f) + 1).toString();
    const varying = this.#options.sizeVarying / 100;
    const [min, max] = [Math.max(1, Math.ceil(record.size * (1 - varying))), Math.floor(record.size * (1 + varying))];
    const [named = []] = await index.byName([{ name, min, max }]);
    const near = named.toSorted((a, b) => Math.abs(a.size - record.size) - Math.abs(b.size - record.size));
    const inodes = new Set(known.map(({ source }) => source.inode));
    const copies: AlignCandidate[] = [];
    for (const { path } of near.slice(0, 4 * MOST_COPIES)) {
      if (copies.length >= MOST_COPIES) break;
      const seen = await this.#sight.look(path);
      if (seen === undefined) continue;
      const source = sourceOf(seen);
      if (inodes.has(source.inode)) continue;
      inodes.add(source.inode);
      copies.push({ seen, source, named: false });
    }
    return copies;
  }

  /** Undefined if nothing speaks against its being lost. */
  async #mayBeAway(one: Case): Promise<Outcome | undefined> {
    if (one.givenUp) return undefined;
    const growing = await this.#growing(one);
    if (growing !== undefined) return later(one, `may be ${growing.toString()}, which is still written to`);
    if (one.seenDeleted) return undefined;
    if (this.#now() - one.sinceMs < PATIENCE_MS) return later(one, 'is gone since a moment');
    const many = await this.#gone.tooMany(one);
    if (many === undefined) return undefined;
    return {
      kind: 'waiting',
      id: one.id,
      reason: `is gone with ${many.gone - 1} others of ${many.all} on its disk, and nobody was seen to delete them`,
      ...diskOf(one),
    };
  }

  /** Finds a file of the same name, near the old one or where its siblings went, that was written to a moment ago. */
  async #growing({ record }: Case): Promise<Buffer | undefined> {
    const name = record.path.subarray(record.path.lastIndexOf(0x2f) + 1);
    const places = [
      ...this.#moves.proposals(record.path),
      ...this.#folders.beside(record.path),
      ...[...this.#folders.around(record.path)].map((folder) => joined(folder, name)),
    ];
    for (const path of places) {
      if (path.equals(record.path)) continue;
      const seen = await this.#sight.look(path);
      if (seen !== undefined && this.#isFresh(seen)) return path;
    }
    return undefined;
  }

  #isFresh({ mtimeNs, ctimeNs }: Seen): boolean {
    const newest = Math.max(Number(mtimeNs / 1_000_000n), Number((ctimeNs ?? 0n) / 1_000_000n));
    const age = this.#now() - newest;
    return age >= -FRESH_MS && age < FRESH_MS;
  }

  /** Tells if the disk of a source is mounted nowhere. */
  async #isAway({ record }: Case): Promise<boolean> {
    if (record.disk === undefined) return false;
    return !(await this.#options.disks.disksMounted()).has(record.disk);
  }

  async #rootsOf({ disk, path }: Case['record']): Promise<readonly Buffer[]> {
    const mounted = disk === undefined ? undefined : (await this.#options.disks.disksMounted()).get(disk);
    if (mounted !== undefined && mounted.length > 0) return mounted;
    const disks = this.#options.access.rules.disks.map((one) => Buffer.from(one as string));
    const holder = disks.filter((one) => path.subarray(0, one.length).equals(one));
    return holder.length > 0 ? holder.slice(0, 1) : [folderOf(path)];
  }
}

/** The entries that use a source, asked for when they are needed. */
class PiecesOf {
  readonly #id: number;
  readonly #infoHashes: readonly string[];
  readonly #options: SettlerOptions;
  readonly #known: WeakMap<HealEntry, EntryPieces>;

  constructor(
    id: number,
    infoHashes: readonly string[],
    options: SettlerOptions,
    known: WeakMap<HealEntry, EntryPieces>,
  ) {
    this.#id = id;
    this.#infoHashes = infoHashes;
    this.#options = options;
    this.#known = known;
  }

  async entries(): Promise<readonly EntryPieces[]> {
    const { access, signal } = this.#options;
    const found: EntryPieces[] = [];
    for (const infoHash of this.#infoHashes) {
      const entry = await this.#options.entry(infoHash);
      let pieces = this.#known.get(entry);
      if (pieces === undefined) {
        pieces = new EntryPieces(entry, await this.#options.pool(), access, signal);
        this.#known.set(entry, pieces);
      }
      found.push(pieces);
    }
    return found;
  }

  /** All entries must agree, as far as they can be asked. */
  async probe(candidate: Source): Promise<Probe> {
    let answer: Probe = 'unknown';
    for (const entry of await this.entries()) {
      const found = await entry.probe(this.#id, candidate);
      if (found === 'fails') return 'fails';
      if (found === 'agrees') answer = 'agrees';
    }
    return answer;
  }
}

/** The reason of a condition that a failed piece has caused (`server/source-conditions.ts`). */
const FAILED = /^does not have the bytes of piece/;

/** Tells if pieces of this very file were hashed and failed: then it is not believed again. */
function hasFailed({ state, observed, reason, record }: Case, here: Seen): boolean {
  // A case with another reason may have seen the file, too: a descriptor of it was open when it was deleted.
  if (state !== 'lost' && (state !== 'healing' || !FAILED.test(reason))) return false;
  const failed = observed ?? (state === 'healing' ? record : undefined);
  return failed?.size === here.size && failed.mtimeNs === here.mtimeNs && failed.ctimeNs === here.ctimeNs;
}

function same(one: Case, seen: Seen, trusted: boolean, how: string): Outcome {
  return { kind: 'same', id: one.id, was: wasOf(one.record), now: seen, trusted, how };
}

function later(one: Case, reason: string): Outcome {
  return { kind: 'later', id: one.id, reason };
}

function diskOf({ record: { disk } }: Case): { readonly disk?: string } {
  return disk === undefined ? {} : { disk };
}

function sourceOf(seen: Seen): Source {
  const { dev, ino, size, mtimeNs, ctimeNs } = seen;
  return { path: seen.path, identity: { dev, ino, size, mtimeNs, ctimeNs }, inode: `${dev}:${ino}` };
}

function bytesOf(ranges: readonly { readonly length: number }[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}

function remapOf(
  { id, record }: Case,
  file: Pick<Remap, 'infoHash' | 'since' | 'index' | 'version'>,
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
  const same = sources.every(({ path }) => path.equals(record.path));
  const how = same ? 'changed; what of it fits is mapped again' : 'is put together from what was found of it';
  return { kind: 'remap', id, ...file, ranges, sources, proven, how };
}

/** Maps what a remap leaves out to a record that no file agrees with. */
function withLost(remap: Remap, record: HealRecord, extents: readonly Extent[]): Remap {
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
