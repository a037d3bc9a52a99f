/**
 * The ways to make up one shared piece from the candidates of the files that it spans, the likeliest first.
 *
 * An *option* of a file is its present source (the first one) or another candidate. A *place* is a folder of the collection
 * in which the torrent would lie (`FolderNames.placeOf`). The order:
 *
 * 1. Each file from the place that has proven most of the files beside it in the torrent: the parts of a set may lie apart.
 * 2. For each place: all files from there, as far as it has them; the other files as they are.
 * 3. From the first of these, from what the files have now, and from the best place: one file's next option; then two steps
 *    away (two files, or one file's option after that), and so on. Files that nothing proves yet change first.
 */
import { hashText } from '../collection/names.ts';
import type { PieceSpan } from '../metainfo/metainfo.ts';
import { pieceSpans } from '../metainfo/piece-layout.ts';
import type { FolderNames } from './likeness.ts';
import type { Looker } from './look.ts';
import { isHashMode } from './match.ts';
import { bytesIn } from './parts.ts';
import { bytesKey, type Chosen, type FileTask, type Proposal, type TorrentTask } from './torrent-task.ts';

/** Candidates of one file, and places, that are considered for one piece. */
const MAX_OPTIONS = 32;
const MAX_PLACES = 16;
/** Combinations drawn for one piece: candidates that cannot be used make many of them equal. */
const MAX_DRAWN = 4096;

/** Other sources than the present ones, by file. */
export type Variant = ReadonlyMap<FileTask, Chosen>;

/** Counts how many files each place has proven, for each folder of the torrent and all below it. */
export class PlaceScores {
  /** By the folder's path in the torrent, the nearest name first; '' is the whole torrent. */
  readonly #byFolder = new Map<string, Map<string, number>>();
  readonly #paths = new WeakMap<readonly string[], readonly string[]>();

  add(task: FileTask, place: string): void {
    for (const path of this.#pathsOf(task)) {
      const scores = this.#byFolder.get(path) ?? new Map<string, number>();
      this.#byFolder.set(path, scores);
      scores.set(place, (scores.get(place) ?? 0) + 1);
    }
  }

  of(place: string): number {
    return this.#byFolder.get('')?.get(place) ?? 0;
  }

  /** True if `place` has proven more of the files beside `task` than `other`; the nearest folder that tells decides. */
  isBetter(task: FileTask, place: string, other: string | undefined): boolean {
    for (const path of this.#pathsOf(task)) {
      const scores = this.#byFolder.get(path);
      const difference = (scores?.get(place) ?? 0) - (other === undefined ? 0 : (scores?.get(other) ?? 0));
      if (difference !== 0) return difference > 0;
    }
    return false;
  }

  #pathsOf({ folders }: FileTask): readonly string[] {
    let paths = this.#paths.get(folders);
    if (paths === undefined) {
      paths = [...folders, ''].map((_, depth) => folders.slice(depth).join('/'));
      this.#paths.set(folders, paths);
    }
    return paths;
  }
}

interface Option {
  readonly proposal: Proposal;
  readonly place: string;
  /** Undefined until it is looked at; null if it cannot supply the bytes, or would supply those that the file has now. */
  chosen?: Chosen | null;
  /** True if the file had no such candidate when its pieces were tried before. */
  readonly isNew: boolean;
}

interface Spanned {
  readonly task: FileTask;
  readonly span: PieceSpan;
  readonly options: readonly Option[];
  /** The place of the present source, if it is known. */
  readonly place: string | undefined;
}

/** Options by the place of their file in the piece, as an index into its list; files that stay as they are, are not in it. */
type Picks = ReadonlyMap<number, number>;

export interface VariantDependencies {
  readonly looker: Looker;
  readonly folders: FolderNames;
  readonly scores: PlaceScores;
  /**
   * How many candidates each file had when its pieces were tried before; only variants with a candidate that came since are
   * given.
   */
  readonly before?: ReadonlyMap<FileTask, number>;
}

export class PieceVariants {
  readonly piece: number;
  readonly #looker: Looker;
  readonly #files: readonly Spanned[];
  readonly #onlyNew: boolean;
  readonly #scores: PlaceScores;
  readonly #tried: Set<number>;
  readonly #left: Generator<Picks, void, undefined>;
  /** By file: the options of it and of all files after it. */
  readonly #optionsFrom: readonly number[];
  #drawn = 0;

  /** `tried`: hashes of what was tried for this piece before; what is given is added. */
  constructor(
    torrent: TorrentTask,
    piece: number,
    { looker, folders, scores, before }: VariantDependencies,
    tried: Set<number>,
  ) {
    this.piece = piece;
    this.#looker = looker;
    this.#scores = scores;
    this.#tried = tried.add(hashText(''));
    this.#onlyNew = before !== undefined;
    this.#files = spannedFiles(torrent, piece, folders, before).toSorted(
      (a, b) => Math.min(a.task.provenPieces, 1) - Math.min(b.task.provenPieces, 1),
    );
    const optionsFrom = [0];
    for (const { options } of this.#files.toReversed()) optionsFrom.unshift((optionsFrom[0] ?? 0) + options.length);
    this.#optionsFrom = optionsFrom;
    this.#left = this.#inOrder();
  }

  get files(): readonly FileTask[] {
    return this.#files.map(({ task }) => task);
  }

  /** Gives the next variants, `most` at most. Fewer: there are no more. */
  next(most: number): Variant[] {
    const found: Variant[] = [];
    // What other pieces have proven meanwhile may have changed it.
    const likeliest = most > 0 ? this.#resolve(this.#likeliest()) : undefined;
    if (likeliest !== undefined) found.push(likeliest);
    while (found.length < most) {
      if (this.#drawn >= MAX_DRAWN) break;
      this.#drawn++;
      const { value: picks } = this.#left.next();
      if (picks === undefined) break;
      const variant = this.#resolve(picks);
      if (variant !== undefined) found.push(variant);
    }
    return found;
  }

  /** Notes the places of a variant that agreed. */
  score(variant: Variant): void {
    for (const { task, options, place } of this.#files) {
      const chosen = variant.get(task);
      const from = chosen === undefined ? place : options.find((one) => one.chosen === chosen)?.place;
      if (from !== undefined) this.#scores.add(task, from);
    }
  }

  /** Looks at the candidates. Undefined for a variant that was given before, or has nothing new. */
  #resolve(picks: Picks): Variant | undefined {
    const variant = new Map<FileTask, Chosen>();
    const parts: string[] = [];
    let hasNew = !this.#onlyNew;
    for (const [at, i] of picks) {
      const file = this.#files[at];
      const option = file?.options[i];
      if (file === undefined || option === undefined) continue;
      if (option.chosen === undefined) option.chosen = this.#look(file, option.proposal);
      if (option.chosen === null) continue;
      variant.set(file.task, option.chosen);
      hasNew ||= option.isNew;
      parts.push(`${file.span.file}=${bytesKey(option.chosen)}`);
    }
    const key = hashText(parts.toSorted().join(' '));
    if (!hasNew || this.#tried.has(key)) return undefined;
    this.#tried.add(key);
    return variant;
  }

  #look({ task, span }: Spanned, proposal: Proposal): Chosen | null {
    const chosen = task.look(proposal, this.#looker);
    const bytes = chosen === undefined ? undefined : bytesIn(chosen, chosen.shift, span);
    if (chosen === undefined || bytes === undefined) return null;
    const [now, ...more] = task.bytes(this.piece, span) ?? [];
    const [then] = bytes;
    const isSame =
      now !== undefined && then !== undefined && more.length === 0 && 'path' in now && 'path' in then
        ? now.offset === then.offset && now.path.equals(then.path)
        : false;
    return isSame ? null : chosen;
  }

  *#inOrder(): Generator<Picks, void, undefined> {
    const places = this.#places();
    yield* places;
    const bases: Picks[] = [this.#likeliest(), new Map<number, number>(), ...places.slice(0, 1)];
    for (let steps = 1; steps <= (this.#optionsFrom[0] ?? 0); steps++) {
      for (const base of bases) {
        for (const changes of this.#changes(base, steps, 0)) yield new Map([...base, ...changes]);
      }
    }
  }

  /** Takes each file from the place that has proven most of the files beside it. */
  #likeliest(): Picks {
    const picks = new Map<number, number>();
    for (const [at, { task, options, place }] of this.#files.entries()) {
      let best = place;
      for (const [i, option] of options.entries()) {
        if (option.place === best || !this.#scores.isBetter(task, option.place, best)) continue;
        best = option.place;
        picks.set(at, i);
      }
    }
    return picks;
  }

  /** Makes a variant of each place: those with the most proof first, then those that supply the most of these files. */
  #places(): Picks[] {
    const scores = this.#scores;
    const byPlace = new Map<string, { readonly picks: Map<number, number>; readonly used: Set<string> }>();
    for (const [at, { options }] of this.#files.entries()) {
      for (const [i, { place, proposal }] of options.entries()) {
        const { picks, used } = byPlace.get(place) ?? { picks: new Map<number, number>(), used: new Set<string>() };
        byPlace.set(place, { picks, used });
        if (picks.has(at)) continue;
        // Several files of the piece may have one size, and so the same candidates.
        const path = isHashMode(proposal.mode) ? proposal.file.path.toString('latin1') : undefined;
        if (path !== undefined && used.has(path)) continue;
        if (path !== undefined) used.add(path);
        picks.set(at, i);
      }
    }
    return [...byPlace]
      .toSorted(([a, some], [b, others]) => scores.of(b) - scores.of(a) || others.picks.size - some.picks.size)
      .slice(0, MAX_PLACES)
      .map(([, { picks }]) => picks);
  }

  /** Lists the changes of the files from `from` on that are `steps` away from `base`. */
  *#changes(base: Picks, steps: number, from: number): Generator<(readonly [number, number])[], void, undefined> {
    if (steps === 0) {
      yield [];
      return;
    }
    for (let at = from; at < this.#files.length; at++) {
      const present = base.get(at) ?? -1;
      const most = Math.min(steps, this.#files[at]?.options.length ?? 0);
      for (let step = 1; step <= most; step++) {
        if (steps - step > (this.#optionsFrom[at + 1] ?? 0)) continue;
        // The options in their order without the base's own, which is the present source where the base has none.
        const option = present === -1 ? step - 1 : step - 2 >= present ? step - 1 : step - 2;
        for (const rest of this.#changes(base, steps - step, at + 1)) yield [[at, option], ...rest];
      }
    }
  }
}

function spannedFiles(
  torrent: TorrentTask,
  piece: number,
  folders: FolderNames,
  before: ReadonlyMap<FileTask, number> | undefined,
): Spanned[] {
  return pieceSpans(torrent.metainfo, piece).flatMap((span): Spanned[] => {
    const task = torrent.byIndex[span.file];
    if (task === undefined) return [];
    const known = before?.get(task) ?? 0;
    const proposals = task.otherProposals.map((proposal, i) => ({
      proposal,
      isNew: before !== undefined && i >= known && i < task.queue.length,
    }));
    const fresh = before === undefined ? [] : proposals.filter(({ isNew }) => isNew).slice(0, MAX_OPTIONS);
    const old = before === undefined ? proposals : proposals.filter(({ isNew }) => !isNew);
    const options = [...fresh, ...old.slice(0, MAX_OPTIONS)].flatMap(({ proposal, isNew }): Option[] => {
      const place = folders.placeOf(task, proposal.file);
      const longer = proposal.file.size - task.file.length;
      if (proposal.shift !== undefined || longer === 0) return [{ proposal, place, isNew }];
      // Nothing tells where an edge of the file lies in a longer or shorter candidate: at its beginning, or at its end.
      return [0, longer].map((shift) => ({ proposal: { ...proposal, shift }, place, isNew }));
    });
    const now = task.parts === undefined ? task.sourceOf(piece)?.file : undefined;
    return [{ task, span, options, place: now === undefined ? undefined : folders.placeOf(task, now) }];
  });
}
