/** Makes the inputs of a target: its seeds and corpus as they are, then mutations of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Random } from './random.ts';
import type { FuzzTarget } from './target.ts';

/** Seeds as files, and inputs that once were findings: each is run at the beginning of every run. */
export const CORPUS = resolve('test/fuzz/corpus');
const MAX_BYTES = 65_536;
const MAX_MUTATIONS = 6;
/** Numbers at which parsers break. */
const LIMITS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

export class Inputs {
  readonly #target: FuzzTarget;
  readonly #seeds: readonly Buffer[];
  readonly #tokens: readonly Buffer[];
  readonly #seed: number;

  private constructor(target: FuzzTarget, seeds: readonly Buffer[], seed: number) {
    this.#target = target;
    this.#seeds = seeds;
    this.#tokens = (target.tokens ?? []).map((token) => Buffer.from(token));
    this.#seed = seed;
  }

  static async of(name: string, target: FuzzTarget, seed: number): Promise<Inputs> {
    return new Inputs(target, [...(await target.seeds()), ...corpusOf(name)], seed);
  }

  /** The number of inputs before the first mutation. */
  get unchanged(): number {
    return this.#seeds.length;
  }

  /** The input of this number; the first ones are the seeds themselves. */
  at(number: number): Buffer {
    const whole = this.#seeds[number];
    if (whole !== undefined) return Buffer.from(whole);
    const random = new Random(this.#seed, number);
    if (this.#target.make !== undefined && random.chance(2)) {
      const made = this.#cut(this.#target.make(random));
      return random.chance(2) ? made : this.#mutated(made, random);
    }
    return this.#mutated(random.pick(this.#seeds), random);
  }

  #mutated(seed: Buffer, random: Random): Buffer {
    let input: Buffer = Buffer.from(seed);
    // One change leaves most of the input sound, and so reaches furthest.
    for (let left = random.chance(2) ? 1 : 1 + random.below(MAX_MUTATIONS); left > 0; left--)
      input = this.#cut(this.#change(input, random));
    if (this.#target.repair !== undefined && !random.chance(4)) this.#target.repair(input);
    return input;
  }

  #change(input: Buffer, random: Random): Buffer {
    const at = random.below(input.length + 1);
    const length = random.below(Math.min(64, input.length - at) + 1);
    switch (random.below(11)) {
      case 0: // a bit
        if (at < input.length) input[at] = (input[at] ?? 0) ^ (1 << random.below(8));
        return input;
      case 1: // a byte
        if (at < input.length) input[at] = random.below(256);
        return input;
      case 2: // cut off
        return input.subarray(0, at);
      case 3: // cut out
        return spliced(input, at, length, Buffer.alloc(0));
      case 4: // a part of another seed
        return spliced(input, at, length, part(random.pick(this.#seeds), random));
      case 5: // the head of one, the tail of another
        return Buffer.concat([input.subarray(0, at), tail(random.pick(this.#seeds), random)]);
      case 6: // a number at a limit, in either order of bytes
        return limited(input, at, random);
      case 7: // a number in decimal digits
        return spliced(input, at, length, Buffer.from(decimal(random)));
      case 8: // a block again and again, up to the size of all
        return spliced(input, at, 0, repeated(input.subarray(at, at + length), random));
      case 9:
        if (this.#tokens.length > 0)
          return spliced(input, at, random.chance(2) ? 0 : length, random.pick(this.#tokens));
        return spliced(input, at, length, random.bytes(length));
      default:
        return spliced(input, at, 0, random.bytes(1 + random.below(8)));
    }
  }

  #cut(input: Buffer): Buffer {
    return input.subarray(0, this.#target.maxBytes ?? MAX_BYTES);
  }
}

function corpusOf(name: string): Buffer[] {
  let files: string[];
  try {
    files = readdirSync(join(CORPUS, name)).toSorted();
  } catch {
    return []; // a target whose seeds are all made
  }
  return files.map((file) => readFileSync(join(CORPUS, name, file)));
}

function spliced(input: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), insert, input.subarray(at + remove)]);
}

function part(of: Buffer, random: Random): Buffer {
  const from = random.below(of.length + 1);
  return of.subarray(from, from + random.below(of.length - from + 1));
}

function tail(of: Buffer, random: Random): Buffer {
  return of.subarray(random.below(of.length + 1));
}

function limited(input: Buffer, at: number, random: Random): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(random.pick(LIMITS), 0);
  if (random.chance(2)) bytes.fill(bytes[0] ?? 0, 4);
  const number = bytes.subarray(0, random.pick([1, 2, 4, 8]));
  if (random.chance(2)) number.reverse();
  return spliced(input, at, number.length, number);
}

function decimal(random: Random): string {
  const numbers = [...LIMITS, -1, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e21, '9'.repeat(30), '00', '-0', '1e9', '0.1'];
  return String(random.pick(numbers));
}

function repeated(block: Buffer, random: Random): Buffer {
  if (block.length === 0) return block;
  const times = random.chance(4) ? Math.floor(MAX_BYTES / block.length) : 1 + random.below(20);
  return Buffer.alloc(times * block.length, block);
}
