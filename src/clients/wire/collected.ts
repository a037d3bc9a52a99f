/** The bytes of a reply as they arrive. */
import { Excess } from './slices.ts';

const FIRST_BYTES = 16 * 1024;
/** Beyond this the buffer grows in large steps: memory that nothing was written to costs little, and copying does. */
const LARGE = 1024 * 1024;
const LARGE_STEP = 8;

/**
 * One buffer that grows: chunks that are kept as they come take a hundred times their bytes where each has one byte.
 */
export class Collected {
  readonly #limit: number;
  #buffer = Buffer.alloc(0);
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** What has arrived; valid until the next `add`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  /** @throws Excess once more has arrived than the limit */
  add(chunk: Buffer): void {
    const size = this.#size + chunk.length;
    if (size > this.#limit) throw new Excess(`more than ${this.#limit} bytes`);
    if (size > this.#buffer.length) {
      const step = this.#buffer.length < LARGE ? 2 : LARGE_STEP;
      const next = Math.max(FIRST_BYTES, size, this.#buffer.length * step);
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#limit, next));
      this.#buffer.copy(larger, 0, 0, this.#size);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.#size);
    this.#size = size;
  }

  /** Takes the first `count` bytes away. */
  drop(count: number): void {
    this.#buffer.copy(this.#buffer, 0, count, this.#size);
    this.#size -= count;
  }
}
