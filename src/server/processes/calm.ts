/** Tells whether clients read little just now, so that background work may read. */

/** Milliseconds over which the rate is measured. */
const OVER_MS = 3000;
/** Bytes a second that count as a lot: a few peers at home take less. */
const A_LOT = 8_000_000;

export class Calm {
  readonly #bytesRead: () => number;
  #points: { readonly at: number; readonly bytes: number }[] = [];

  constructor(bytesRead: () => number) {
    this.#bytesRead = bytesRead;
  }

  /** Takes a measurement; called about every second while it matters. */
  look(now: number = performance.now()): void {
    this.#points.push({ at: now, bytes: this.#bytesRead() });
    // The newest of those that are old enough stays: the rate is since then.
    while (this.#points.length > 2 && this.#points[1]!.at <= now - OVER_MS) this.#points.shift();
  }

  get isCalm(): boolean {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (first === undefined || last === undefined || last.at <= first.at) return true;
    return ((last.bytes - first.bytes) / (last.at - first.at)) * 1000 < A_LOT;
  }
}
