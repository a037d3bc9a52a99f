/** Random numbers and bytes from a seed: the same on every machine and in every version of Node. */
import { type Cipher, createCipheriv, createHash } from 'node:crypto';

const REFILL_BYTES = 65_536;

/** A stream of random values. Streams of different seeds have nothing in common. */
export class Random {
  readonly #keystream: Cipher;
  #unused: Buffer = Buffer.alloc(0);

  /** The parts of the seed are joined: `new Random('tree', 1)`. */
  constructor(...seed: readonly (string | number)[]) {
    const key = createHash('sha256').update(seed.join('\0')).digest();
    this.#keystream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  }

  /** Gives a number of at least 0, less than 1. */
  fraction(): number {
    if (this.#unused.length < 8) this.#unused = this.bytes(REFILL_BYTES);
    const [high, low] = [this.#unused.readUInt32LE(0), this.#unused.readUInt32LE(4)];
    this.#unused = this.#unused.subarray(8);
    return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53;
  }

  /** Gives a whole number; both bounds are included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** True in this share of the cases. */
  chance(share: number): boolean {
    return this.fraction() < share;
  }

  /** Picks an element. @throws RangeError for an empty list */
  pick<T>(list: readonly T[]): T {
    const index = this.between(0, list.length - 1);
    if (index >= list.length || index < 0) throw new RangeError('nothing to pick from');
    return list[index] as T;
  }

  /** Picks at most `count` elements, each at most once, in random order. */
  sample<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    const taken: T[] = [];
    while (taken.length < count && rest.length > 0) taken.push(...rest.splice(this.between(0, rest.length - 1), 1));
    return taken;
  }

  /** Gives bytes that do not compress. */
  bytes(length: number): Buffer {
    return this.#keystream.update(Buffer.alloc(length));
  }
}
