/**
 * The hash modes find candidates with other names and sizes; pieces decide.
 *
 *     hash_name   the same name, a size within `sizeVarying` percent
 *     hash_size   the same size, any name
 *     hash_slow   any name, a size within `sizeVarying` percent, the nearest first
 *
 * Each file is aligned with its candidates in order (`align.ts`). A later candidate may supply what an earlier one lacks, so
 * that two damaged copies make one whole file. Files without a piece of their own are left to the shared pieces
 * (`verify-shared.ts`), which try their candidates unshifted.
 */
import type { CollectionFile, CollectionIndex } from '../collection/index.ts';
import { normaliseName } from '../collection/names.ts';
import { setBit } from '../extent/bitfield.ts';
import type { HashSegment } from '../hash/hash-pool.ts';
import { Alignment, type Budget, CandidateFailed, type Effort } from './align.ts';
import { refusalCode } from './left-out.ts';
import { components, type FolderNames } from './likeness.ts';
import type { Looker, Source } from './look.ts';
import type { HashMode } from './match.ts';
import { joined, type Part, type Range } from './parts.ts';
import type { PieceAnswer, PieceHasher } from './piece-hashing.ts';
import { LearnedShifts } from './shifts.ts';
import type { Chosen, Failure, FileTask, Proposal } from './torrent-task.ts';

export interface HashModeOptions {
  /** Percent by which the size may differ in hash_name and hash_slow. */
  readonly sizeVarying: number;
  /** The limits for one file. */
  readonly limit: HashLimit;
}

export interface HashLimit {
  readonly candidates: number;
  /** Bytes hashed that prove nothing. */
  readonly bytes: number;
}

export interface HashModeDependencies {
  readonly index: CollectionIndex;
  readonly hasher: PieceHasher;
  readonly looker: Looker;
  readonly folders: FolderNames;
  readonly options: HashModeOptions;
  readonly signal?: AbortSignal | undefined;
  /** Shifts that a candidate's own structure suggests. */
  readonly hypotheses?: ((source: Source, wantedLength: number) => readonly number[]) | undefined;
}

/** Files aligned at the same time: each waits for answers before it asks again. */
const AT_ONCE = 6;
/** Candidates that get more than two probes before they are given up. */
const SEARCHED = 2;
/** Pieces that may still be wanted after a candidate has supplied the others. */
const WORTH_A_SEARCH = 4;
/** Candidates of other names and sizes that are still tried after a first one has supplied something. */
const STITCHED = 4;
/** Candidates ranked for each one that is tried. */
const RANKED = 8;

/** Proposes candidates of one hash mode, in one batch of questions, after those that a file has. */
export async function proposeHashed(
  files: readonly FileTask[],
  mode: HashMode,
  { index, options, folders }: Pick<HashModeDependencies, 'index' | 'options' | 'folders'>,
): Promise<void> {
  if (files.length === 0) return;
  const { limit } = options;
  const most = Math.min(Number.MAX_SAFE_INTEGER, limit.candidates * RANKED);
  const ranges = files.map(({ file: { length }, name }) => {
    const varying = mode === 'hash_size' ? 0 : options.sizeVarying / 100;
    // A file without bytes supplies nothing.
    const [min, max] = [Math.max(1, Math.ceil(length * (1 - varying))), Math.floor(length * (1 + varying))];
    return { name, min, max, near: length, limit: Math.min(most, 0x7fff_ffff) };
  });
  const answers = mode === 'hash_name' ? await index.byName(ranges) : await index.bySize(ranges);
  for (const [i, file] of files.entries()) {
    const found = ordered(file, answers[i] ?? [], mode, folders);
    if (found.length > limit.candidates) file.limited = true;
    file.propose(...found.slice(0, limit.candidates).flatMap((candidate) => proposals(file, candidate, mode)));
    if (found.length === 0) file.failure ??= { code: 'no-candidate', reason: NONE[mode] };
  }
}

const NONE: Readonly<Record<HashMode, string>> = {
  hash_name: 'No file has its name and about its size.',
  hash_size: 'No file has its size.',
  hash_slow: 'No file has about its size.',
};

/** A file that only shared pieces can prove is tried at its beginning and at its end. */
function proposals(file: FileTask, candidate: CollectionFile, mode: HashMode): Proposal[] {
  const difference = candidate.size - file.file.length;
  if (file.own.count > 0 || difference === 0) return [{ file: candidate, mode }];
  return difference > 0 ? [0, difference].map((shift) => ({ file: candidate, mode, shift })) : [];
}

/** Ranks the likeliest first: the name, the nearest size, shared folders, the path. */
function ordered(
  { name, folders, file }: FileTask,
  found: readonly CollectionFile[],
  mode: HashMode,
  folderNames: FolderNames,
): CollectionFile[] {
  const wanted = new Set(folders);
  const ending = endingOf(name);
  const scored = found.map((candidate) => {
    const own = normaliseName(components(candidate.path).at(-1) ?? Buffer.alloc(0));
    let score = own === name ? 4 : 0;
    if (endingOf(own) === ending) score += 1;
    if (folderNames.of(candidate).some((folder) => wanted.has(folder))) score += 2;
    return { candidate, score, distance: Math.abs(candidate.size - file.length) };
  });
  return scored
    .toSorted((a, b) => {
      const bySize = a.distance - b.distance;
      const byScore = b.score - a.score;
      const first = mode === 'hash_slow' ? bySize || byScore : byScore || bySize;
      return first || Buffer.compare(a.candidate.path, b.candidate.path);
    })
    .map(({ candidate }) => candidate);
}

function endingOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? '' : name.slice(dot);
}

/** The parts that the torrents of one run share: the shifts that were found, and the limit on files aligned at once. */
export class AlignmentsOfRun {
  readonly learned = new LearnedShifts();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** Runs `work` when fewer than `AT_ONCE` others run, in the order of the calls. */
  async inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#running < AT_ONCE) this.#running++;
    else await new Promise<void>((begin) => this.#waiting.push(begin));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

/** The files of one torrent that are being aligned, over all hash modes. */
export class Alignments {
  readonly #deps: HashModeDependencies;
  readonly #run: AlignmentsOfRun;
  readonly #files = new Map<FileTask, FileAlignment>();

  constructor(dependencies: HashModeDependencies, run: AlignmentsOfRun) {
    this.#deps = dependencies;
    this.#run = run;
  }

  /** Tries the candidates that one mode has proposed. */
  async run(files: readonly FileTask[], mode: HashMode): Promise<void> {
    const align = async (file: FileTask): Promise<void> => {
      this.#deps.signal?.throwIfAborted();
      const alignment = this.#files.get(file) ?? new FileAlignment(file, this.#deps, this.#run.learned);
      this.#files.set(file, alignment);
      await alignment.run(mode);
    };
    await Promise.all(files.map(async (file) => await this.#run.inTurn(async () => await align(file))));
  }

  /** After the last mode, assigns the found parts to the files. */
  settle(): void {
    for (const alignment of this.#files.values()) alignment.settle();
  }
}

/** A file and one candidate; `pieces` are those that were wanted when it began. */
interface CandidateAlignment {
  readonly chosen: Chosen;
  readonly pieces: readonly number[];
  readonly alignment: Alignment;
}

class FileAlignment {
  readonly #task: FileTask;
  readonly #deps: HashModeDependencies;
  readonly #learned: LearnedShifts;
  readonly #budget: Budget;
  readonly #parts: Part[] = [];
  /** Own pieces that nobody has supplied, in order. */
  #wanted: number[];
  /** Bytes that each candidate supplies. */
  readonly #shares = new Map<Chosen, number>();
  readonly #inodes = new Set<string>();
  #tried = 0;
  /** A candidate that changed while it was hashed. */
  #changed: Failure | undefined;
  /** Further candidates of other names and sizes. */
  #extra = STITCHED;

  constructor(task: FileTask, deps: HashModeDependencies, learned: LearnedShifts) {
    this.#task = task;
    this.#deps = deps;
    this.#learned = learned;
    this.#budget = { left: deps.options.limit.bytes, reached: false };
    this.#wanted = [];
    for (let i = 0; i < task.own.count; i++) {
      const piece = task.own.first + i;
      const owner = task.owners?.[i];
      if (owner === undefined) this.#wanted.push(piece);
      else this.#take(owner, [{ ...this.#rangeOf(piece), source: owner, shift: owner.shift }]);
    }
  }

  async run(mode: HashMode): Promise<void> {
    const task = this.#task;
    const later: { readonly alignment: CandidateAlignment; readonly effort: Effort }[] = [];
    for (const proposal of task.queue.filter((one) => one.mode === mode)) {
      if (this.#wanted.length === 0) break;
      const named = isSameName(task, proposal.file);
      const isLike = named || proposal.file.size === task.file.length;
      if (this.#parts.length > 0 && !isLike && this.#extra-- <= 0) continue;
      const source = this.#deps.looker.look(proposal.file);
      if ('refused' in source) {
        const code = refusalCode(source.code);
        task.failure ??= { code, reason: `${proposal.file.path.toString()} ${source.refused}.` };
        task.refuse(proposal.file.path, code);
        continue;
      }
      if (this.#inodes.has(source.inode)) continue;
      this.#inodes.add(source.inode);
      if (this.#tried >= this.#deps.options.limit.candidates || this.#budget.left <= 0) {
        task.limited = true;
        break;
      }
      this.#tried++;
      const chosen: Chosen = { ...source, mode, shift: 0, file: proposal.file };
      const alignment = this.#alignmentWith(chosen);
      if (await this.#align(alignment, 'probe')) continue;
      if (named || this.#tried <= SEARCHED) later.push({ alignment, effort: named ? 'named' : 'search' });
    }
    // Only now, since mostly another candidate is right, as two pieces show.
    for (const { alignment, effort } of later) {
      // A candidate that only fills gaps of another is not worth a search.
      if (this.#wanted.length === 0 || (this.#parts.length > 0 && this.#wanted.length < WORTH_A_SEARCH)) break;
      if (this.#budget.left <= 0) {
        task.limited = true;
        break;
      }
      const current = alignment.pieces === this.#wanted ? alignment : this.#alignmentWith(alignment.chosen);
      await this.#align(current, effort);
    }
    if (this.#wanted.length === 0) task.judged = true;
    else if (this.#budget.reached) task.limited = true;
  }

  #alignmentWith(chosen: Chosen): CandidateAlignment {
    const { hypotheses, looker } = this.#deps;
    const pieces = this.#wanted;
    const alignment = new Alignment({
      source: chosen,
      looker,
      length: this.#task.file.length,
      pieces: pieces.map((piece) => this.#rangeOf(piece)),
      ask: async (questions) => await this.#ask(pieces, questions),
      budget: this.#budget,
      learned: this.#learned,
      hypotheses: hypotheses?.(chosen, this.#task.file.length) ?? [],
    });
    return { chosen, pieces, alignment };
  }

  /** True if the candidate has supplied something, or is out of the question. */
  async #align({ chosen, pieces, alignment }: CandidateAlignment, effort: Effort): Promise<boolean> {
    try {
      const { parts, proven } = await alignment.run(effort);
      if (proven.length === 0) {
        this.#task.refuse(chosen.path, 'hash-mismatch');
        return false;
      }
      this.#take(chosen, parts);
      const { torrent } = this.#task;
      for (const i of proven) setBit(torrent.verified, pieces[i] ?? 0);
      this.#task.provenPieces += proven.length;
      const gone = new Set(proven);
      this.#wanted = pieces.filter((_, i) => !gone.has(i));
    } catch (error) {
      if (!(error instanceof CandidateFailed)) throw error;
      this.#changed ??= { code: 'changed', reason: `${chosen.path.toString()} ${error.message}.` };
      this.#task.refuse(chosen.path, 'changed');
    }
    return true;
  }

  async #ask(
    pieces: readonly number[],
    questions: readonly { readonly piece: number; readonly bytes: readonly HashSegment[] }[],
  ): Promise<PieceAnswer[]> {
    const { torrent } = this.#task;
    const answers = await this.#deps.hasher.ask(
      questions.map(({ piece, bytes }) => ({ torrent, piece: pieces[piece] ?? 0, bytesOf: () => bytes })),
    );
    return answers.map((answer) => answer ?? { agrees: false, why: 'could not be asked about', changed: false });
  }

  #rangeOf(piece: number): Range {
    const { torrent, file } = this.#task;
    const { pieceLength } = torrent.metainfo;
    const offset = Math.max(0, piece * pieceLength - file.offset);
    return { offset, length: Math.min(file.length, (piece + 1) * pieceLength - file.offset) - offset };
  }

  #take(chosen: Chosen, parts: readonly Part[]): void {
    this.#parts.push(...parts);
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    this.#shares.set(chosen, (this.#shares.get(chosen) ?? 0) + bytes);
  }

  settle(): void {
    const task = this.#task;
    const tried = this.#tried;
    const [most] = [...this.#shares].toSorted((a, b) => b[1] - a[1]);
    if (most === undefined) {
      if (task.limited)
        task.failure = { code: 'limit', reason: `hash_limit: ${tried} candidates were tried, not all.` };
      else if (this.#changed !== undefined) task.failure = this.#changed;
      else if (tried > 0) task.reject(`${tried} candidates were hashed, and none has its bytes.`);
      return;
    }
    const [main] = most;
    task.adopt(main);
    task.owners = undefined;
    const parts = joined(this.#parts);
    // An unshifted copy: its bytes in shared pieces are as good as in any mode.
    const isCopy = this.#wanted.length === 0 && this.#shares.size === 1 && main.identity.size === task.file.length;
    task.parts = isCopy && parts.every((part) => part.shift === 0) ? undefined : widened(parts, task.file.length);
    task.judged = true;
  }
}

/** Adds the bytes before the first and after the last piece, if the candidate has them. Shared pieces judge them. */
function widened(parts: readonly Part[], length: number): Part[] {
  const list = [...parts];
  const first = list[0];
  if (first !== undefined) {
    const before = Math.min(first.offset, first.offset + first.shift);
    list[0] = { ...first, offset: first.offset - before, length: first.length + before };
  }
  const last = list.at(-1);
  if (last !== undefined) {
    const end = last.offset + last.length;
    const behind = Math.max(0, Math.min(length - end, last.source.identity.size - (end + last.shift)));
    list[list.length - 1] = { ...last, length: last.length + behind };
  }
  return list;
}

function isSameName(task: FileTask, file: CollectionFile): boolean {
  return normaliseName(file.name) === task.name;
}
