/** The bytes of a reply as they arrive. */
import { Excess } from './slices.ts';

const FIRST_BYTES = 16 * 1024;
/** Beyond this the buffer gets its largest size at once: memory that nothing was written to costs nothing, and copying does. */
const LAST_COPIED = 1024 * 1024;

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
      const next = size > LAST_COPIED ? this.#limit : Math.max(FIRST_BYTES, size, this.#buffer.length * 2);
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
