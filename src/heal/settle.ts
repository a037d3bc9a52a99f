/** Decides cases: the glossary and the invariants are in `case.ts`. */
import type { CollectionIndex } from '../collection/index.ts';
import { type Extent, GAP } from '../extent/extent.ts';
import { LearnedShifts } from '../match/shifts.ts';
import { isSameContent } from '../source/identity.ts';
import { folderOf } from '../source/paths.ts';
import { type Case, type Outcome, type Remap, wasOf } from './case.ts';
import { CasePieces, type CasePiecesTools } from './case-pieces.ts';
import { leftAt } from './disappearance.ts';
import { elsewhere, type Proposal } from './elsewhere.ts';
import type { EntryPieces, HealEntry } from './entry-pieces.ts';
import { FarSearch } from './far-search.ts';
import { Folders, joined } from './folders.ts';
import { fillGaps } from './gaps.ts';
import { GoneRule } from './gone-rule.ts';
import { type Freshness, IndexUsed } from './index-used.ts';
import { Moves } from './moves.ts';
import { type AlignCandidate, Realignment, type RealignTools } from './realign.ts';
import { howMapped, remapOf, withLost } from './remaps.ts';
import { type DiskTools, type Grade, gradeOf, isSameHandle, type Seen, Sight, sourceOf } from './sight.ts';

export interface SettlerOptions extends CasePiecesTools {
  readonly disks: DiskTools;
  /** The collection's index; undefined if there is none. */
  readonly index: () => Promise<CollectionIndex | undefined>;
  /**
   * Sees that the index was begun after the bytes of a case left their place (`leftMs`, since 1970). Then `index` gives that
   * one. Without an index it is always fresh.
   */
  readonly freshIndex: (one: Case, leftMs: number) => Promise<Freshness>;
  readonly sourcesBelow: (folder: Buffer) => AsyncIterable<{ readonly id: number; readonly path: Buffer }>;
  readonly hypotheses: RealignTools['hypotheses'];
  /** Percent by which the size of another copy may differ. */
  readonly sizeVarying: number;
  readonly now?: () => number;
}

/** Milliseconds for which a file that was written lately is not judged: it may still be written. */
const FRESH_MS = 5000;
/** Milliseconds for which a file is not given up: what moves it may not have made the new name yet. */
const PATIENCE_MS = 10_000;
/** Milliseconds after which the disks are not searched for it any more: the index knows by then where it went. */
const FAR_MS = 60 * 60_000;
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
  readonly index: IndexUsed;
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
  readonly #far: FarSearch;
  readonly #learned = new LearnedShifts();
  readonly #gone: GoneRule;
  #entries = new WeakMap<HealEntry, EntryPieces>();
  readonly #now: () => number;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#sight = new Sight(options.access, options.disks);
    this.#folders = new Folders(options.access);
    this.#far = new FarSearch(options.access);
    this.#now = options.now ?? Date.now;
    this.#gone = new GoneRule({
      sourcesBelow: options.sourcesBelow,
      isThere: (path) => this.#sight.isThere(path),
      rootsOf: async ({ record }) => await this.#rootsOf(record),
    });
  }

  /** Forgets what was read of folders and neighbours: call it before each batch. */
  begin(): void {
    this.#folders.begin();
    this.#entries = new WeakMap();
  }

  /** Decides a case of a source that these entries use, or gives the work that decides it. @throws the signal's reason; errors of the index and the pool */
  async settle(one: Case, infoHashes: readonly string[]): Promise<readonly Outcome[] | Heavy> {
    const { record } = one;
    if (one.seenDeleted || one.givenUp || one.state === 'lost') this.#gone.explain(one.id);
    const here = await this.#sight.look(record.path);
    const isRecord = here !== undefined && (await this.#sight.isAsRecorded(record));
    if (isRecord && !hasFailed(one, here)) {
      return [same(one, here, true, 'is as it was recorded again')];
    }
    if (here === undefined && !one.givenUp && (await this.#isAway(one))) {
      return [{ kind: 'waiting', id: one.id, reason: 'is on a disk that is not mounted', ...diskOf(one) }];
    }
    const pieces = new CasePieces(one.id, infoHashes, this.#options, this.#entries);
    // A file whose pieces failed where they are mapped: only another one can be right.
    if (here !== undefined && here.size === record.size && !hasFailed(one, here)) {
      const found = await this.#judge(one, here, pieces, gradeOf(record, here));
      if (found !== undefined) return [found];
    }
    const moved: Seen[] = [];
    let probes = 0;
    const index = new IndexUsed(this.#options.index);
    for await (const { path, means } of this.#proposals(one, here, index)) {
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
    const again = async (): Promise<readonly Outcome[]> => {
      const found = await this.settle(one, infoHashes);
      return 'work' in found ? await found.work() : found;
    };
    return {
      work: async () => (await this.#realign(one, { index, here, isRecord, moved }, pieces)) ?? (await again()),
    };
  }

  /**
   * Judges if a file elsewhere is a source's (`relocate`). `pieces-failed`: it has another content; `gone`: no file is there.
   */
  async at(one: Case, infoHashes: readonly string[], path: Buffer): Promise<Outcome | 'gone' | 'pieces-failed'> {
    const seen = await this.#sight.look(path);
    if (seen === undefined) return 'gone';
    const grade = gradeOf(one.record, seen);
    if (grade === 'other' || hasFailed(one, seen)) return 'pieces-failed';
    const pieces = new CasePieces(one.id, infoHashes, this.#options, this.#entries);
    return (await this.#judge(one, seen, pieces, grade, 'where relocate named it')) ?? 'pieces-failed';
  }

  /** Finds bytes of the collection for the gaps of an entry. `onlyNew`: not in the files that supply the rest of it. */
  async fillGaps(infoHash: string, { onlyNew = false } = {}): Promise<readonly Remap[]> {
    const [pieces] = await new CasePieces(GAP, [infoHash], this.#options, this.#entries).entries();
    const tools = { ...this.#options, learned: this.#learned, sight: this.#sight, onlyNew };
    return pieces === undefined ? [] : await fillGaps(pieces, tools);
  }

  async *#proposals(one: Case, here: Seen | undefined, used: IndexUsed): AsyncGenerator<Proposal, void, undefined> {
    const { record, sinceMs } = one;
    const index = async (): Promise<CollectionIndex | undefined> => await used.get();
    yield* elsewhere(record, { sight: this.#sight, moves: this.#moves, folders: this.#folders, index });
    // A search takes a while: not for what is there, or is being copied.
    if (here !== undefined || this.#now() - sinceMs >= FAR_MS || (await this.#growing(one)) !== undefined) return;
    for (const path of await this.#far.filesLike(record.path, record.size, record.mtimeNs)) {
      yield { path, means: 'by a search of the disks' };
    }
  }

  /** Takes a file of the right size if its identity or a few pieces prove enough to map it, doubted. */
  async #judge(one: Case, seen: Seen, pieces: CasePieces, grade: Grade, means?: string): Promise<Outcome | undefined> {
    const { record } = one;
    const moved = !seen.path.equals(record.path);
    const isFile = grade === 'same' || grade === 'inode';
    if (isFile && moved) {
      const proof = grade === 'same' ? 'it is the same file, unchanged' : 'it is the same file';
      return same(one, seen, grade === 'same', `was moved, found ${means ?? ''}: ${proof}`);
    }
    const { verdict, asked } = await pieces.probe(sourceOf(seen));
    if (verdict === 'fails') return undefined;
    // No piece can be asked about: a client cannot claim it either, and it is hashed as soon as that can be done.
    if (verdict === 'unknown' && moved && grade !== 'times') return undefined;
    const proof = verdict === 'agrees' ? `${asked} of its pieces agree` : await unproven(pieces);
    if (moved) return same(one, seen, false, `was moved or copied, found ${means ?? ''}: ${proof}`);
    const touched = Number(record.ino) === Number(seen.ino);
    const bytes = verdict === 'agrees' ? 'with the same bytes' : 'of the same size';
    const what = touched ? 'was touched' : `was replaced by a file ${bytes}`;
    return same(one, seen, false, `${what}: ${proof}`);
  }

  async #spare(one: Case, pieces: CasePieces): Promise<Outcome | undefined> {
    for (const spare of one.spares) {
      const seen = await this.#sight.look(spare.path);
      if (seen === undefined || seen.size !== one.record.size) continue;
      if (gradeOf(spare, seen) === 'same') {
        return same(one, seen, true, 'is taken from another copy, which is as it was when it was hashed');
      }
      const { verdict, asked } = await pieces.probe(sourceOf(seen));
      if (verdict !== 'agrees') continue;
      return same(one, seen, false, `is taken from another copy: ${asked} of its pieces agree`);
    }
    return undefined;
  }

  /** Aligns what changed, then copies of other sizes; the rest is lost. Undefined if there is a newer index to ask. */
  async #realign(one: Case, left: Left, pieces: CasePieces): Promise<readonly Outcome[] | undefined> {
    const { here, isRecord, moved } = left;
    if (here !== undefined && this.#isFresh(here)) {
      return [later(one, 'is still written to', FRESH_MS - this.#ageOf(here))];
    }
    const changed = [...(here === undefined ? [] : [here]), ...moved].filter(({ size }) => size > 0);
    const candidates = changed.map((seen) => ({ seen, source: sourceOf(seen), named: true }));
    const others = [...candidates, ...(await this.#copies(one, candidates, left.index))];
    // What was kept comes last: it takes room.
    const all: readonly AlignCandidate[] = [...others, ...(await this.#kept(one))];
    const remaps: { readonly remap: Remap; readonly extents: readonly Extent[] }[] = [];
    const entries = await pieces.entries();
    let [wanted, found, fromOthers] = [0, 0, 0];
    for (const entry of entries) {
      for (const { file, extents } of entry.usesOf(one.id)) {
        const realignment = new Realignment(entry, one.id, file, { ...this.#options, learned: this.#learned });
        for (const candidate of all) {
          if (realignment.wants || candidate.kept === true) await realignment.run(candidate);
        }
        const { parts, proven } = await realignment.finish();
        wanted += bytesOf(extents);
        found += bytesOf(parts);
        fromOthers += bytesOf(parts.filter(({ source }) => others.some((other) => other.source === source)));
        if (parts.length === 0) continue;
        const { infoHash, since, epoch } = entry.entry;
        const { index, version } = file;
        const fits = all.filter(({ source }) => parts.some((part) => part.source.inode === source.inode));
        const how = howMapped(fits, one);
        const remap = remapOf({ id: one.id, infoHash, since, epoch, index, version, how }, { parts, proven }, all);
        remaps.push({ remap, extents });
      }
    }
    const mapped = remaps.map(({ remap }) => remap);
    if (wanted === 0) return [later(one, 'is used by no entry')];
    // What was kept of a file is served meanwhile, in case that it is only away.
    if (fromOthers === 0 && here === undefined) {
      const wait = await this.#mayBeAway(one);
      if (wait !== undefined) return [wait];
    }
    if (found === wanted) return mapped;
    const open = await this.#mayBeIndexed(one, left);
    if (open === 'ask again') return undefined;
    // What the remaps leave out stays with the source. Its record may be of this very file: then they would change nothing.
    if (open !== undefined) return isRecord ? [open] : [...mapped, open];
    // The record is of this file, whose bytes are wrong: it cannot stand for what is lost, too.
    const lossy = isRecord ? remaps.map(({ remap, extents }) => withLost(remap, one.record, extents)) : mapped;
    if (found > 0 && isRecord && here !== undefined)
      return [...lossy, same(one, here, false, 'has wrong bytes in places, which are lost')];
    this.#gone.explain(one.id);
    const rest = found > 0 ? 'lost a part of its bytes' : here === undefined ? 'is gone' : 'has other bytes now';
    return [...lossy, { kind: 'lost', id: one.id, reason: `${rest}, and no copy of them was found` }];
  }

  /** What was kept of a source that changed or is gone, the newest first. */
  async #kept({ kept }: Case): Promise<AlignCandidate[]> {
    const found: AlignCandidate[] = [];
    for (const { path } of kept.toReversed()) {
      const seen = await this.#sight.look(path);
      if (seen !== undefined) found.push({ seen, source: sourceOf(seen), named: true, kept: true });
    }
    return found;
  }

  /** Undefined if the index that was asked is newer than the loss, and all disks are there. */
  async #mayBeIndexed(one: Case, { index, isRecord }: Left): Promise<Outcome | 'ask again' | undefined> {
    // That was asked when it was lost.
    if (one.state === 'lost') return undefined;
    // Bytes that rotted in their place have left it nobody knows when.
    const leftMs = isRecord ? one.sinceMs : Math.min(one.sinceMs, leftAt(one.record.path, this.#options.access));
    const fresh = await this.#options.freshIndex(one, leftMs);
    switch (fresh.state) {
      case 'fresh':
        return (await index.isNewest()) ? undefined : 'ask again';
      case 'away':
        return { kind: 'waiting', id: one.id, reason: fresh.reason, disk: fresh.disk };
      default:
        return { kind: 'later', id: one.id, reason: fresh.reason, awaits: 'index' };
    }
  }

  /** Finds files of about the same name and size. */
  async #copies({ record }: Case, known: readonly AlignCandidate[], used: IndexUsed): Promise<AlignCandidate[]> {
    const index = record.size === 0 ? undefined : await used.get();
    if (index === undefined) return [];
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
    const goneMs = this.#now() - one.sinceMs;
    if (goneMs < PATIENCE_MS) return later(one, 'is gone since a moment', PATIENCE_MS - goneMs);
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

  /** Milliseconds since a file was written to. */
  #ageOf({ mtimeNs, ctimeNs }: Seen): number {
    return this.#now() - Math.max(Number(mtimeNs / 1_000_000n), Number((ctimeNs ?? 0n) / 1_000_000n));
  }

  #isFresh(seen: Seen): boolean {
    const age = this.#ageOf(seen);
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

/** Tells if pieces of this very file were hashed and failed: then it is not believed again. */
function hasFailed({ state, observed, failed, record }: Case, here: Seen): boolean {
  // Other cases may have seen the file, too: a descriptor of it was open when it was deleted.
  if (state !== 'lost' && failed === undefined) return false;
  const wrong = observed ?? (state === 'lost' ? undefined : record);
  return wrong !== undefined && isSameContent(wrong, here);
}

function same(one: Case, seen: Seen, trusted: boolean, how: string): Outcome {
  return { kind: 'same', id: one.id, was: wasOf(one.record), now: seen, trusted, how };
}

/** Why nothing could be asked about a file: a clause. */
async function unproven(pieces: CasePieces): Promise<string> {
  if ((await pieces.entries()).length === 0) return 'no torrent has bytes of it any more';
  return 'it is hashed once that is possible, since each of its pieces has bytes that are missing';
}

/** `due`: milliseconds after which it can be judged, if that is known. */
function later(one: Case, reason: string, due?: number): Outcome {
  return { kind: 'later', id: one.id, reason, ...(due === undefined ? {} : { due: Math.max(0, Math.ceil(due)) }) };
}

function diskOf({ record: { disk } }: Case): { readonly disk?: string } {
  return disk === undefined ? {} : { disk };
}

function bytesOf(ranges: readonly { readonly length: number }[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}
