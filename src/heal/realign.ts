/**
 * Maps the ranges of one source anew: aligns a file of an entry with candidates by the means of the hash modes, since a tag that
 * grew moves all bytes after it.
 *
 * Pieces that lie whole in the source's ranges are aligned (`match/align.ts`). Pieces that other files share are asked about
 * with the bytes of those files as they are mapped; where these cannot be had, the bytes beside an aligned part are taken to
 * continue it, unproven: reads hash them when that can be done. Where something was kept of the source, they are taken from that:
 * a guess may be wrong, and what was kept is lost once no file names it.
 */
import type { Extent } from '../extent/extent.ts';
import { Alignment, type Budget, CandidateFailed } from '../match/align.ts';
import { Looker, type Source } from '../match/look.ts';
import { bytesIn, joined, type Part, type Range } from '../match/parts.ts';
import type { LearnedShifts } from '../match/shifts.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { EntryPieces, HealFile } from './entry-pieces.ts';
import type { Seen } from './sight.ts';

export interface RealignTools {
  readonly access: SourceAccess;
  readonly learned: LearnedShifts;
  /** Shifts that a candidate's own structure suggests. */
  readonly hypotheses: (source: Source, wantedLength: number) => readonly number[];
  readonly signal: AbortSignal;
}

/** A candidate; `named` ones get more effort. `kept`: it has the source's old bytes at their places, and holes. */
export interface AlignCandidate {
  readonly seen: Seen;
  readonly source: Source;
  readonly named: boolean;
  readonly kept?: boolean;
}

export interface Realigned {
  /** In order, within the source's ranges; what they leave out is nowhere. */
  readonly parts: readonly Part[];
  readonly proven: readonly number[];
}

/** Pieces that are asked about at once. */
const PASS = 1024;
/** Hashed bytes that prove nothing, beside twice the file's own. */
const SEARCH_BYTES = 512 * 2 ** 20;

export class Realignment {
  readonly #pieces: EntryPieces;
  readonly #file: HealFile;
  readonly #id: number;
  readonly #mine: readonly Extent[];
  readonly #tools: RealignTools;
  readonly #length: number;
  readonly #start: number;
  readonly #parts: Part[] = [];
  readonly #proven: number[] = [];
  readonly #candidates: Source[] = [];
  readonly #kept: Source[] = [];
  /** Pieces whose bytes all lie in the source, at one shift, and those that do not. */
  #whole: number[] = [];
  #shared: number[] = [];
  readonly #budget: Budget;

  constructor(pieces: EntryPieces, id: number, file: HealFile, tools: RealignTools) {
    this.#pieces = pieces;
    this.#file = file;
    this.#id = id;
    this.#tools = tools;
    this.#mine = file.extents.filter(({ source }) => source === id);
    const meta = pieces.entry.metainfo.files[file.index];
    this.#length = meta?.length ?? 0;
    this.#start = meta?.offset ?? 0;
    this.#budget = { left: 2 * this.#length + SEARCH_BYTES, reached: false };
    const own = pieces.torrent.shares.own[file.index] ?? { first: 0, count: 0 };
    for (const piece of pieces.piecesOf(file.index, this.#mine)) {
      const range = this.#rangeOf(piece);
      const alone = piece >= own.first && piece < own.first + own.count;
      const inside = this.#mine.some(
        ({ offset, length }) => range.offset >= offset && range.offset + range.length <= offset + length,
      );
      if (alone && inside) this.#whole.push(piece);
      else this.#shared.push(piece);
    }
  }

  /** True while a further candidate may supply something. */
  get wants(): boolean {
    return this.#whole.length > 0 || (this.#shared.length > 0 && this.#parts.length === 0);
  }

  /** Tries a candidate. */
  async run({ source, named, kept }: AlignCandidate): Promise<void> {
    if (kept === true) return await this.#takeKept(source);
    this.#candidates.push(source);
    if (this.#whole.length === 0) return;
    const looker = new Looker(this.#tools.access);
    const wanted = this.#whole;
    const alignment = new Alignment({
      source,
      looker,
      length: this.#length,
      pieces: wanted.map((piece) => this.#rangeOf(piece)),
      ask: async (questions) =>
        await this.#pieces.askWith(questions.map(({ piece, bytes }) => ({ piece: wanted[piece] ?? 0, bytes }))),
      budget: this.#budget,
      learned: this.#tools.learned,
      hypotheses: [...this.#shiftsBefore(source), ...this.#tools.hypotheses(source, this.#length)],
    });
    try {
      let found = await alignment.run('probe');
      if (found.proven.length === 0) found = await alignment.run(named ? 'named' : 'search');
      this.#tools.signal.throwIfAborted();
      const gone = new Set(found.proven);
      this.#parts.push(...found.parts);
      for (const i of found.proven) this.#proven.push(wanted[i] ?? 0);
      this.#whole = wanted.filter((_, i) => !gone.has(i));
    } catch (error) {
      // It changed while it was hashed: its case comes again.
      if (!(error instanceof CandidateFailed)) throw error;
    }
  }

  /** Takes the pieces from what was kept of the source that nothing else has. */
  async #takeKept(source: Source): Promise<void> {
    this.#kept.push(source);
    const questions = this.#whole.flatMap((piece) => {
      const part = { ...this.#rangeOf(piece), source, shift: this.#shiftAt(this.#rangeOf(piece)) };
      const bytes = bytesIn(source, part.shift, part);
      return bytes === undefined ? [] : [{ piece, bytes, part }];
    });
    const found = new Set<number>();
    for (let from = 0; from < questions.length; from += PASS) {
      const some = questions.slice(from, from + PASS);
      const answers = await this.#pieces.askWith(some);
      this.#tools.signal.throwIfAborted();
      for (const [i, { piece, part }] of some.entries()) {
        if (answers[i]?.agrees !== true) continue;
        found.add(piece);
        this.#parts.push(part);
        this.#proven.push(piece);
      }
    }
    this.#whole = this.#whole.filter((piece) => !found.has(piece));
  }

  /** The shift at which the source had the bytes of a range that lies in one of its extents. */
  #shiftAt(range: Range): number {
    const extent = this.#mine.find(({ offset, length }) => offset <= range.offset && range.offset < offset + length);
    return extent === undefined ? 0 : extent.sourceOffset - extent.offset;
  }

  /** Asks about the shared pieces. */
  async finish(): Promise<Realigned> {
    for (const piece of this.#shared) await this.#share(piece);
    return { parts: joined(this.#parts), proven: this.#proven.toSorted((a, b) => a - b) };
  }

  async #share(piece: number): Promise<void> {
    const ranges = this.#mine.flatMap((extent) => clipped(this.#rangeOf(piece), extent) ?? []);
    const kept = this.#kept.map((source): readonly Part[] =>
      ranges.map((range) => ({ ...range, source, shift: this.#shiftAt(range) })),
    );
    let unknown: readonly Part[] | undefined;
    for (const parts of [...this.#guesses(ranges), ...kept]) {
      const [answer] = await this.#pieces.ask([piece], (file, { source }, range) => {
        if (source !== this.#id || file !== this.#file.index) return undefined;
        const part = parts.find(
          ({ offset, length }) => range.offset >= offset && range.offset + range.length <= offset + length,
        );
        return part === undefined ? 'none' : (bytesIn(part.source, part.shift, range) ?? 'none');
      });
      if (answer === undefined) unknown = kept.includes(parts) ? parts : (unknown ?? parts);
      else if (answer.agrees) {
        this.#parts.push(...parts);
        this.#proven.push(piece);
        return;
      }
    }
    if (unknown === undefined) return;
    // Only beside a part that was proven: a file of which nothing was is not believed.
    if (this.#proven.length > 0 || kept.includes(unknown)) this.#parts.push(...unknown);
  }

  /** Suggests where the bytes of ranges in one shared piece lie: as those of the parts beside them do. */
  #guesses(ranges: readonly Range[]): Part[][] {
    const guesses: Part[][] = [];
    const add = (source: Source, shiftOf: (range: Range) => number): void => {
      const parts = ranges.map((range) => ({ ...range, source, shift: shiftOf(range) }));
      if (parts.some((part) => bytesIn(source, part.shift, part) === undefined)) return;
      const isKnown = (other: readonly Part[]): boolean =>
        other.every((part, i) => part.source === source && part.shift === parts[i]?.shift);
      if (!guesses.some(isKnown)) guesses.push(parts);
    };
    const sorted = joined(this.#parts);
    const [range] = ranges;
    if (range === undefined) return guesses;
    const after = sorted.find(({ offset }) => offset >= range.offset);
    const before = sorted.findLast(({ offset }) => offset < range.offset);
    // The beginning of a file belongs to what follows it, the end to what comes before.
    for (const part of range.offset === 0 ? [after, before] : [before, after]) {
      if (part !== undefined) add(part.source, () => part.shift);
    }
    for (const source of this.#candidates) {
      for (const shift of this.#shiftsBefore(source)) add(source, () => shift);
    }
    return guesses;
  }

  /** The shifts at which the source had its bytes, and these with the difference in size. */
  #shiftsBefore(source: Source): number[] {
    const record = this.#pieces.entry.sources.get(this.#id);
    const grown = source.identity.size - (record?.size ?? source.identity.size);
    const shifts = new Set(this.#mine.slice(0, 4).map(({ offset, sourceOffset }) => sourceOffset - offset));
    return [...new Set([...shifts, ...[...shifts].map((shift) => shift + grown)])];
  }

  /** The range of the file in a piece. */
  #rangeOf(piece: number): Range {
    const { pieceLength } = this.#pieces.entry.metainfo;
    const offset = Math.max(0, piece * pieceLength - this.#start);
    return { offset, length: Math.min(this.#length, (piece + 1) * pieceLength - this.#start) - offset };
  }
}

function clipped(range: Range, extent: Range): Range | undefined {
  const offset = Math.max(range.offset, extent.offset);
  const length = Math.min(range.offset + range.length, extent.offset + extent.length) - offset;
  return length > 0 ? { offset, length } : undefined;
}
