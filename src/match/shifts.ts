/** Suggests shifts if neither 0 nor the difference in size fits, the likeliest first. */

/** Sizes that programs like for headers, tags and padding: whole sectors and blocks, and the sizes of tags. */
const ROUND = [
  512, 1024, 2048, 4096, 128, 10, 8192, 16_384, 32_768, 65_536, 160, 32, 64, 256, 131_072, 262_144, 524_288,
];
/** Between two known shifts that are no further apart than this, each shift is tried. */
const NEAR = 65_536;

/** Remembers the shifts found in this run, the latest first: a tagger gives all tracks of an album the same header. */
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
 * Suggests shifts without end: first at round distances from the known ones, `left` and `right`, then all between them, then
 * at every distance. It leaves out `left` and `right` themselves.
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
  // From here on nothing repeats that is not skipped, so no set of further shifts has to grow.
  for (let distance = 1; ; distance++) {
    for (const shift of new Set([high + distance, low - distance])) if (!given.has(shift)) yield shift;
  }
}
