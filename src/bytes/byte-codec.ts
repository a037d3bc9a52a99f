/** Writes and reads the basic shapes of records: a writer that grows, and a reader that trusts nothing. */

/** Nanoseconds. */
const SECOND = 1_000_000_000n;

export class ByteWriter {
  #buffer = Buffer.allocUnsafe(64 * 1024);
  #length = 0;

  /** Writes a safe integer, 0 or more, as LEB128: 7 bits a byte, lowest first. */
  integer(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a safe integer of 0 or more: ${value}`);
    this.#grow(8);
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  double(value: number): void {
    this.#grow(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  /** Writes an unsigned integer of 64 bits. */
  wide(value: bigint): void {
    this.#grow(8);
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length);
  }

  /** Writes nanoseconds since 1970: whole seconds as a double, and the rest. */
  time(ns: bigint): void {
    const rest = ((ns % SECOND) + SECOND) % SECOND;
    this.double(Number((ns - rest) / SECOND));
    this.integer(Number(rest));
  }

  /** Writes the bytes alone: the reader must know their number. */
  raw(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  bytes(bytes: Uint8Array): void {
    this.integer(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    const length = Buffer.byteLength(text);
    this.integer(length);
    this.#grow(length);
    this.#length += this.#buffer.write(text, this.#length, length);
  }

  /** Bytes that were written. */
  get length(): number {
    return this.#length;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #grow(room: number): void {
    if (this.#length + room <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + room));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

/** Thrown by a reader; the caller adds what the bytes should have been. */
export class MalformedBytes extends Error {}

/** The bytes end too early; `needed` of them, at least, would be enough to go on. */
export class CutOff extends MalformedBytes {
  readonly needed: number;

  constructor(what: string, needed: number) {
    super(`${what} is cut off`);
    this.needed = needed;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly #buffer: Buffer;
  readonly #partial: boolean;
  #position = 0;

  /** `partial`: more bytes may follow, so that what does not fit is cut off, not malformed. */
  constructor(buffer: Buffer, { partial = false }: { readonly partial?: boolean } = {}) {
    this.#buffer = buffer;
    this.#partial = partial;
  }

  get position(): number {
    return this.#position;
  }

  get left(): number {
    return this.#buffer.length - this.#position;
  }

  /** At most `max`. */
  integer(what: string, max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#byte(what);
      value += (byte & 0x7f) * scale;
      if (value > max || scale > 2 ** 49) throw new MalformedBytes(`${what} is too large`);
      if (byte < 0x80) return value;
    }
  }

  /** Reads a count of at most `max` things that take at least `each` bytes: more than fit in the rest is malformed. */
  count(what: string, each: number, max?: number): number {
    const count = this.integer(what, max);
    if (!this.#partial && count * each > this.left) throw new MalformedBytes(`${what} is more than there are bytes`);
    return count;
  }

  double(what: string): number {
    const value = this.raw(what, 8).readDoubleLE(0);
    if (!Number.isFinite(value)) throw new MalformedBytes(`${what} is not finite`);
    return value;
  }

  wide(what: string): bigint {
    return this.raw(what, 8).readBigUInt64LE(0);
  }

  time(what: string): bigint {
    const seconds = this.double(what);
    if (!Number.isSafeInteger(seconds)) throw new MalformedBytes(`${what} has no whole seconds`);
    return BigInt(seconds) * SECOND + BigInt(this.integer(what, Number(SECOND) - 1));
  }

  /** A view, not a copy. */
  raw(what: string, length: number): Buffer {
    if (length > this.left) throw new CutOff(what, this.#position + length);
    this.#position += length;
    return this.#buffer.subarray(this.#position - length, this.#position);
  }

  /** At most `max` of them. */
  bytes(what: string, max?: number): Buffer {
    return this.raw(what, this.integer(what, max));
  }

  /** At most `max` bytes. */
  text(what: string, max?: number): string {
    try {
      return UTF8.decode(this.bytes(what, max));
    } catch (error) {
      if (error instanceof MalformedBytes) throw error;
      throw new MalformedBytes(`${what} is not UTF-8`);
    }
  }

  #byte(what: string): number {
    const byte = this.#buffer[this.#position];
    if (byte === undefined) throw new CutOff(what, this.#position + 1);
    this.#position++;
    return byte;
  }
}
