/** Shifts worth trying where neither 0 nor the difference in size fits, the likeliest first. */

/** What writes headers, tags and padding likes: whole sectors and blocks, and the sizes of tags. */
const ROUND = [
  512, 1024, 2048, 4096, 128, 10, 8192, 16_384, 32_768, 65_536, 160, 32, 64, 256, 131_072, 262_144, 524_288,
];
/** Between two shifts that are known, each in between is tried, if they are not further apart. */
const NEAR = 65_536;

/** Shifts that were found in this run: a tagger gives all tracks of an album the same header. The latest first. */
export class LearnedShifts {
  readonly #shifts: number[] = [];

  add(shift: number): void {
    if (shift === 0) return;
    const at = this.#shifts.indexOf(shift);
    if (at >= 0) this.#shifts.splice(at, 1);
    this.#shifts.unshift(shift);
    if (this.#shifts.length > 8) this.#shifts.pop();
  }

  get all(): readonly number[] {
    return this.#shifts;
  }
}

/**
 * Without end: first round distances from the known ones, `left` and `right`, then those that lie between them, then every
 * distance. `left` and `right` themselves are not among them.
 */
export function* shiftsAround(left: number, right: number): Generator<number, void, undefined> {
  const [low, high] = [Math.min(left, right), Math.max(left, right)];
  const given = new Set([left, right]);
  const once = function* (shift: number): Generator<number> {
    if (given.has(shift)) return;
    given.add(shift);
    yield shift;
  };
  for (const distance of ROUND)
    for (const base of [left, right]) for (const sign of [1, -1]) yield* once(base + sign * distance);
  if (high - low <= NEAR) for (let shift = low + 1; shift < high; shift++) yield* once(shift);
  // All that was given before lies behind or is skipped; a set of every further one would grow for nothing.
  for (let distance = 1; ; distance++) {
    for (const shift of new Set([high + distance, low - distance])) if (!given.has(shift)) yield shift;
  }
}
