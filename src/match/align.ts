/**
 * Aligns a torrent file with a candidate that is longer, shorter or damaged: finds where the file's bytes lie in it.
 *
 * The candidate is taken to be the file with ranges inserted and removed: its *shift* (see `parts.ts`) is constant between
 * *breakpoints*. Pieces that lie whole in the file are tested at shifts; one that agrees is an *anchor*.
 *
 *  1. Two probes rule out almost every wrong candidate: the first piece at shift 0, and the last one at the difference in
 *     size, which any insertion or removal before it makes its shift.
 *  2. A binary search finds the breakpoint between two anchors of different shifts.
 *  3. Every other piece is hashed at the shift of its anchors.
 *  4. A run of pieces that fail lies between two more breakpoints, or is damaged. It is tried with shifts that are known from
 *     elsewhere, then with shifts near those (`shiftsAround`), as far as the budget goes.
 *  5. In a small piece every place for an insertion is tried. A large one with an insertion inside is a gap.
 *
 * Only hashes count: each part of the result is one or several neighbouring pieces that agreed.
 */
import { closeSync, readSync } from 'node:fs';
import type { HashSegment } from '../hash/hash-pool.ts';
import type { Looker, Source } from './look.ts';
import { bytesIn, joined, type Part, type Range } from './parts.ts';
import type { PieceAnswer } from './piece-hashing.ts';
import { type LearnedShifts, shiftsAround } from './shifts.ts';

/** The cost that one alignment may have beyond the bytes that it proves: bytes that were hashed and did not agree. */
export interface Budget {
  left: number;
  /** True if something was not tried because too little of the budget was left. */
  reached: boolean;
}

export interface AlignOptions {
  readonly source: Source;
  /** Opens the source. */
  readonly looker: Pick<Looker, 'open'>;
  /** Bytes of the torrent file. */
  readonly length: number;
  /** Pieces that lie whole in the file and are not proven yet, in order, each as its range of the file. */
  readonly pieces: readonly Range[];
  /** Asks about pieces, by their index in `pieces`, each with its bytes. */
  readonly ask: (
    questions: readonly { readonly piece: number; readonly bytes: readonly HashSegment[] }[],
  ) => Promise<readonly PieceAnswer[]>;
  readonly budget: Budget;
  readonly learned: LearnedShifts;
  /** Shifts that the candidate's own structure suggests, the likeliest first. */
  readonly hypotheses: readonly number[];
}

/** `probe`: two pieces decide. `search`: tries more before it gives the candidate up; `named`: tries much more. */
export type Effort = 'probe' | 'search' | 'named';

/** The candidate changed or cannot be read. Nothing of it may be used. */
export class CandidateFailed extends Error {}

/** Shifts tried at once on one piece. */
const BATCH = 16;
/** The largest piece in which every place for an insertion is tried: 32768² / 2 bytes take half a second. */
const SPLIT_PIECE = 32_768;
/** Bytes hashed in search of one piece's shift; less if nothing of the candidate agreed yet. */
const SEARCH_BYTES = 256 * 2 ** 20;
const NAMED_SEARCH_BYTES = 512 * 2 ** 20;
const FIRST_SEARCH_BYTES = 18 * 2 ** 20;
/** Places tried at once in one piece. */
const SPLIT_BATCH = 2048;
/** Pieces hashed at once: few, so that results guide the next ones. */
const PASS = 1024;
/** Bytes read to see if a place is blank. */
const LOOK_BYTES = 4096;

/** The shifts of the nearest anchors before and after a piece. Undefined where there is none. */
interface Beside {
  readonly left: number | undefined;
  readonly right: number | undefined;
}

interface Question {
  readonly piece: number;
  readonly shift: number;
}

export class Alignment {
  readonly #options: AlignOptions;
  /** The candidate's size minus the file's. */
  readonly #delta: number;
  /** Piece to the shift at which it agreed. */
  readonly #anchors = new Map<number, number>();
  readonly #failed = new Set<string>();
  /** Pieces with a breakpoint inside, in two parts. */
  readonly #split = new Map<number, Part[]>();
  /** Pieces around which, and pieces inside which, everything was tried. */
  readonly #given = new Set<number>();
  readonly #divided = new Set<number>();

  constructor(options: AlignOptions) {
    this.#options = options;
    this.#delta = options.source.identity.size - options.length;
  }

  /** Aligns, and gives the proven parts. If there are none, it may run again with more effort. @throws CandidateFailed */
  async run(effort: Effort): Promise<{ readonly parts: Part[]; readonly proven: readonly number[] }> {
    const { pieces, learned, source } = this.#options;
    if (pieces.length > 0 && (await this.#findAnchor(effort))) {
      do {
        await this.#findBreakpoints();
        await this.#hashRest();
      } while (await this.#searchRuns());
      for (const shift of this.#anchors.values()) learned.add(shift);
    }
    const parts = [...this.#anchors].map(([piece, shift]): Part => ({ ...this.#range(piece), source, shift }));
    return {
      parts: joined([...parts, ...[...this.#split.values()].flat()]),
      proven: [...this.#anchors.keys(), ...this.#split.keys()].toSorted((a, b) => a - b),
    };
  }

  #range(piece: number): Range {
    return this.#options.pieces[piece] ?? { offset: 0, length: 0 };
  }

  async #findAnchor(effort: Effort): Promise<boolean> {
    const { pieces, learned, hypotheses } = this.#options;
    const last = pieces.length - 1;
    await this.#test([
      { piece: 0, shift: 0 },
      { piece: last, shift: this.#delta },
    ]);
    if (this.#anchors.size > 0) return true;
    const middle = last >> 1;
    const usual = [...new Set([0, this.#delta])];
    if (effort === 'probe') return false;
    const likely = [...usual, ...hypotheses, ...learned.all];
    for (const piece of new Set([middle, 0, last, last >> 2, last - (last >> 2)])) {
      await this.#test(likely.map((shift) => ({ piece, shift })));
      if (this.#anchors.size > 0) return true;
    }
    // The candidate is most likely wrong. One that has the name may be worth more.
    const most = effort === 'named' ? Math.min(NAMED_SEARCH_BYTES, 2 * this.#options.length) : 0;
    return await this.#search(middle, 0, this.#delta, Math.max(most, FIRST_SEARCH_BYTES));
  }

  /** Narrows each breakpoint down until the anchors at both sides of it are neighbours. */
  async #findBreakpoints(): Promise<void> {
    for (let changed = true; changed; ) {
      changed = false;
      const anchors = this.#sorted();
      for (const [i, [right, shiftRight]] of anchors.entries()) {
        const [left, shiftLeft] = anchors[i - 1] ?? [right, shiftRight];
        if (shiftLeft === shiftRight) continue;
        if (await this.#halve(left, shiftLeft, right, shiftRight)) changed = true;
      }
    }
  }

  /** Searches for a breakpoint. True where it found a third shift, and so more breakpoints. */
  async #halve(left: number, shiftLeft: number, right: number, shiftRight: number): Promise<boolean> {
    let [low, high] = [left, right];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#given.has(middle)) return false;
      await this.#test([{ piece: middle, shift: shiftLeft }]);
      if (!this.#anchors.has(middle)) await this.#test([{ piece: middle, shift: shiftRight }]);
      const found =
        this.#anchors.get(middle) ?? (await this.#besideBroken(middle, [low, shiftLeft], [high, shiftRight]));
      if (found === shiftLeft) low = Math.max(middle, low + 1);
      else if (found === shiftRight) high = middle;
      else {
        // The piece is damaged, or lies between two more breakpoints.
        this.#given.add(middle);
        return await this.#search(middle, shiftLeft, shiftRight);
      }
    }
    return false;
  }

  /**
   * Asks the neighbours of a piece that agrees with neither side: the breakpoint may lie in it, or it is damaged. Gives the
   * shift of the side on which the breakpoint does not lie; undefined where the neighbours agree with neither, either.
   */
  async #besideBroken(
    middle: number,
    [low, shiftLeft]: readonly [number, number],
    [high, shiftRight]: readonly [number, number],
  ): Promise<number | undefined> {
    const after = middle + 1 >= high ? shiftRight : undefined;
    const before = middle - 1 <= low ? shiftLeft : undefined;
    if (after === undefined) {
      await this.#test([
        { piece: middle + 1, shift: shiftRight },
        { piece: middle + 1, shift: shiftLeft },
      ]);
    }
    const right = after ?? this.#anchors.get(middle + 1);
    if (right === shiftLeft) return shiftLeft;
    if (before === undefined) await this.#test([{ piece: middle - 1, shift: shiftLeft }]);
    const left = before ?? this.#anchors.get(middle - 1);
    if (left === shiftLeft && right === shiftRight) return shiftRight;
    return right === shiftRight ? shiftRight : left;
  }

  /** Tests all other pieces at the shift of the anchors around them; where these differ, at both. */
  async #hashRest(): Promise<void> {
    for (const other of [false, true]) {
      const questions: Question[] = [];
      for (let piece = 0; piece < this.#options.pieces.length; piece++) {
        if (this.#isProven(piece)) continue;
        const { left, right } = this.#shiftsBeside(piece);
        if (!other) questions.push({ piece, shift: left ?? right ?? 0 });
        else if (right !== undefined) questions.push({ piece, shift: right });
      }
      for (let from = 0; from < questions.length; from += PASS) await this.#test(questions.slice(from, from + PASS));
    }
  }

  #shiftsBeside(piece: number): Beside {
    const anchors = this.#sorted();
    let low = 0;
    let high = anchors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((anchors[middle]?.[0] ?? 0) < piece) low = middle + 1;
      else high = middle;
    }
    return { left: anchors[low - 1]?.[1], right: anchors[low]?.[1] };
  }

  #order: [number, number][] | undefined;

  #sorted(): readonly [number, number][] {
    if (this.#order?.length !== this.#anchors.size) this.#order = [...this.#anchors].toSorted(([a], [b]) => a - b);
    return this.#order;
  }

  /** Searches for the shift of runs of pieces that failed. True where it found one, so that its neighbours can be tested. */
  async #searchRuns(): Promise<boolean> {
    const { length } = this.#options.pieces;
    for (let first = 0; first < length; first++) {
      if (this.#isProven(first)) continue;
      let end = first + 1;
      while (end < length && !this.#isProven(end)) end++;
      const beside = this.#shiftsBeside(first);
      const { left = 0, right = this.#delta } = beside;
      if (end - first === 1) await this.#findSplit(first, left, right);
      else if (!this.#isCutOff((first + end - 1) >> 1, beside)) {
        // Several places, since any one piece may have a breakpoint inside.
        const places = [4, 2, 6, 3, 5].map((eighths) => first + Math.floor(((end - first - 1) * eighths) / 8));
        for (const piece of new Set(places)) {
          if (this.#given.has(piece)) continue;
          this.#given.add(piece);
          if (await this.#search(piece, left, right)) return true;
        }
      }
      first = end;
    }
    return false;
  }

  /** True where a piece lies beyond an end of the candidate at the shift of its only neighbour: the candidate was cut. */
  #isCutOff(piece: number, { left, right }: Beside): boolean {
    const shift = left === undefined ? right : right === undefined ? left : undefined;
    return shift !== undefined && this.#bytes({ piece, shift }) === undefined;
  }

  /** Tries one piece at likely shifts until one agrees or the budget is spent. */
  async #search(piece: number, left: number, right: number, most = SEARCH_BYTES): Promise<boolean> {
    const { learned, hypotheses, budget } = this.#options;
    if (this.#isBlank(piece, left)) return false;
    const tried = new Set([left, right]);
    const likely = [...new Set([0, this.#delta, ...this.#anchors.values(), ...learned.all, ...hypotheses])];
    const rest = shiftsAround(left, right);
    const bytes = this.#range(piece).length;
    let batch = likely.filter((shift) => !tried.has(shift));
    for (const shift of batch) tried.add(shift);
    const least = Math.max(0, budget.left - most);
    while (budget.left >= least + bytes * batch.length) {
      await this.#test(batch.map((shift) => ({ piece, shift })));
      if (this.#anchors.has(piece)) return true;
      batch = [];
      // Shifts beyond both ends of the candidate end the search.
      for (let misses = 0; batch.length < BATCH && misses < 4 * BATCH; ) {
        const next = rest.next();
        if (next.done === true) break;
        if (tried.has(next.value)) continue;
        if (this.#bytes({ piece, shift: next.value }) === undefined) misses++;
        else batch.push(next.value);
      }
      if (batch.length === 0) return false;
    }
    if (budget.left < bytes) budget.reached = true;
    return false;
  }

  /** True for a hole or a range that was never downloaded: a search there would find nothing. */
  #isBlank(piece: number, shift: number): boolean {
    const { source, looker } = this.#options;
    const { offset, length } = this.#range(piece);
    const at = Math.max(0, Math.min(offset + shift, source.identity.size - LOOK_BYTES));
    const bytes = Buffer.alloc(Math.min(LOOK_BYTES, length));
    const opened = looker.open(source);
    if (opened.state !== 'as recorded') return true;
    try {
      const read = readSync(opened.fd, bytes, 0, bytes.length, at);
      return bytes.subarray(0, read).every((byte) => byte === bytes[0]);
    } catch {
      return true;
    } finally {
      closeSync(opened.fd);
    }
  }

  /** Finds the place of an insertion inside a piece, if the piece is small enough to try every place. */
  async #findSplit(piece: number, left: number, right: number): Promise<void> {
    const { ask, budget, source } = this.#options;
    const range = this.#range(piece);
    if (this.#divided.has(piece) || right <= left || range.length > SPLIT_PIECE) return;
    this.#divided.add(piece);
    if (budget.left < range.length ** 2) {
      budget.reached = true;
      return;
    }
    for (let from = 1; from < range.length; from += SPLIT_BATCH) {
      const halves: [Part, Part][] = [];
      for (let at = from; at < Math.min(range.length, from + SPLIT_BATCH); at++) {
        halves.push([
          { offset: range.offset, length: at, source, shift: left },
          { offset: range.offset + at, length: range.length - at, source, shift: right },
        ]);
      }
      const questions = halves.flatMap((parts) => {
        const bytes = parts.map((part) => bytesIn(source, part.shift, part));
        return bytes.some((one) => one === undefined)
          ? []
          : [{ piece, bytes: bytes.flatMap((one) => one ?? []), parts }];
      });
      const answers = await ask(questions);
      budget.left -= questions.length * range.length;
      const found = answers.findIndex((answer) => answer.agrees);
      const parts = questions[found]?.parts;
      if (parts === undefined) continue;
      this.#split.set(piece, parts);
      return;
    }
  }

  #isProven(piece: number): boolean {
    return this.#anchors.has(piece) || this.#split.has(piece);
  }

  #bytes({ piece, shift }: Question): HashSegment[] | undefined {
    return bytesIn(this.#options.source, shift, this.#range(piece));
  }

  /** Asks the questions whose answers are not known yet, and notes the answers. */
  async #test(questions: readonly Question[]): Promise<void> {
    const asked: (Question & { readonly bytes: HashSegment[] })[] = [];
    const keys = new Set<string>();
    for (const { piece, shift } of questions) {
      const bytes = this.#bytes({ piece, shift });
      const key = `${piece}/${shift}`;
      if (bytes === undefined || this.#isProven(piece) || this.#failed.has(key) || keys.has(key)) continue;
      keys.add(key);
      asked.push({ piece, shift, bytes });
    }
    if (asked.length === 0) return;
    const answers = await this.#options.ask(asked);
    for (const [i, { piece, shift }] of asked.entries()) {
      const answer = answers[i];
      if (answer?.agrees === true) this.#anchors.set(piece, shift);
      else {
        if (answer?.changed === true) throw new CandidateFailed(answer.why);
        this.#failed.add(`${piece}/${shift}`);
        this.#options.budget.left -= this.#range(piece).length;
      }
    }
  }
}
