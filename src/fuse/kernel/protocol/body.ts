/** Reads the fields of one request, none of which it believes to be there. */
import { nameOf } from '../../../bytes/name-text.ts';
import { type PosixCode, PosixError } from '../../../errors.ts';
import type { Timestamp } from '../../../native/timestamp.ts';
import type { Layout } from './structures.ts';

const HIGH = 2 ** 32;
/** The upper halves of safe integers are below it. */
const SAFE_HIGH = 2 ** 21;
const LAST_NANOSECOND = 999_999_999;

/**
 * A message that is no request (EIO), or that asks for what has no number here (another code).
 * `unique` is the request that gets the code as its answer: absent where there is none to answer.
 */
export class RequestError extends PosixError {
  readonly opcode: number | undefined;
  readonly unique: bigint | undefined;

  constructor(message: string, code: PosixCode = 'EIO', opcode?: number, unique?: bigint) {
    super(code, message);
    this.name = 'RequestError';
    this.opcode = opcode;
    this.unique = unique;
  }
}

export class Body {
  readonly #message: Buffer;
  readonly #end: number;
  #at: number;

  /** Reads `message` from `start` to `end`. */
  constructor(message: Buffer, start: number, end: number) {
    this.#message = message;
    this.#at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  /** Goes past a structure, and gives its fields. */
  take({ bytes }: Layout<string>): Fields {
    return new Fields(this.#message, this.#advance(bytes));
  }

  /** As `take`, of as many bytes as there are; the fields that are not there must not be read. */
  takeSome({ bytes }: Layout<string>, atLeast: number): Fields {
    return new Fields(this.#message, this.#advance(Math.max(atLeast, Math.min(bytes, this.left))));
  }

  /** Gives text that ends with a NUL, and goes past it. */
  text(): string {
    const start = this.#at;
    const nul = this.#message.indexOf(0, start);
    if (nul < 0 || nul >= this.#end) throw new RequestError('a name has no end');
    if (nul === start) throw new RequestError('a name is empty');
    this.#at = nul + 1;
    return nameOf(this.#message.subarray(start, nul));
  }

  /** Gives a view of the next bytes. */
  bytes(count: number): Buffer {
    const start = this.#advance(count);
    return this.#message.subarray(start, start + count);
  }

  #advance(count: number): number {
    const start = this.#at;
    if (count > this.#end - start) throw new RequestError(`${count} bytes are due, ${this.#end - start} are there`);
    this.#at = start + count;
    return start;
  }
}

/** The fields of a structure that is there whole. Offsets are relative to it. */
export class Fields {
  readonly #message: Buffer;
  readonly #start: number;

  constructor(message: Buffer, start: number) {
    this.#message = message;
    this.#start = start;
  }

  u16(at: number): number {
    return this.#message.readUInt16LE(this.#start + at);
  }

  u32(at: number): number {
    return this.#message.readUInt32LE(this.#start + at);
  }

  u64(at: number): bigint {
    return this.#message.readBigUInt64LE(this.#start + at);
  }

  /** An unsigned number of 64 bits. @throws RequestError `code` for one that is no safe integer */
  safe(at: number, code: PosixCode): number {
    const high = this.u32(at + 4);
    if (high >= SAFE_HIGH) throw new RequestError('a number is too large', code);
    return high * HIGH + this.u32(at);
  }

  /** As `safe`; what is larger counts as the largest safe integer. */
  capped(at: number): number {
    const high = this.u32(at + 4);
    return high >= SAFE_HIGH ? Number.MAX_SAFE_INTEGER : high * HIGH + this.u32(at);
  }

  /** A signed number of 64 bits. What is beyond the safe integers counts as the last of them on its side. */
  signed(at: number): number {
    const high = this.#message.readInt32LE(this.#start + at + 4);
    if (high >= SAFE_HIGH) return Number.MAX_SAFE_INTEGER;
    return Math.max(Number.MIN_SAFE_INTEGER, high * HIGH + this.u32(at));
  }

  time(seconds: number, nanoseconds: number): Timestamp {
    const ns = this.u32(nanoseconds);
    if (ns > LAST_NANOSECOND) throw new RequestError('a time has more than 999,999,999 nanoseconds', 'EINVAL');
    return { seconds: this.signed(seconds), nanoseconds: ns };
  }
}
