/**
 * Blocks of RAR 5 and later (the archive format of RARLAB's `technote.htm` of RAR 5):
 *
 *     u32 CRC-32 of what follows | vint bytes of the header from here on | vint type | vint flags
 *     | vint bytes of the extra area, where flags & 1 | vint bytes of data behind the header, where flags & 2 | …
 *
 * A vint has 7 bits a byte, the lowest first, and the top bit set where more follow.
 */

import { type HeaderReader, isInside } from './container.ts';
import { crc32 } from './crc32.ts';
import type { RarBlock, RarFile, RarFormat } from './rar-block.ts';

const MAIN = 1;
const FILE = 2;
const ENCRYPTION = 4;
const END = 5;
/** The most bytes of a header. The format allows 2 MiB; file headers are far smaller. */
const MAX_HEADER = 65_536;

export const RAR5: RarFormat = {
  signature: Buffer.from('526172211a070100', 'hex'),
  block: readBlock,
};

function readBlock(reader: HeaderReader, offset: number): RarBlock | undefined {
  const start = reader.bytes(offset, Math.min(7, reader.size - offset));
  if (start === undefined || start.length < 6) return undefined;
  const sizeOnly = new Fields(start, 4);
  const length = sizeOnly.vint();
  if (!(length > 0 && length <= MAX_HEADER)) return undefined;
  const header = reader.bytes(offset, sizeOnly.at + length);
  if (header === undefined || crc32(header.subarray(4)) !== header.readUInt32LE(0)) return undefined;

  const fields = new Fields(header, sizeOnly.at);
  const type = fields.vint();
  const flags = fields.vint();
  const extraLength = has(flags, 0x01) ? fields.vint() : 0;
  const dataLength = has(flags, 0x02) ? fields.vint() : 0;
  const dataOffset = offset + header.length;
  if (!isInside(dataOffset, dataLength, reader.size) || !(extraLength <= header.length - fields.at)) return undefined;
  const end = dataOffset + dataLength;
  if (type === MAIN) {
    const archive = fields.vint();
    const number = has(archive, 0x02) ? fields.vint() : 0;
    return fields.overrun ? undefined : { kind: 'main', end, volume: has(archive, 0x01), number, encrypted: false };
  }
  if (type === FILE) {
    const file = readFile(fields, flags, new Fields(header, header.length - extraLength));
    return file === undefined ? undefined : { kind: 'file', end, file, dataOffset, dataLength };
  }
  if (type === ENCRYPTION) return { kind: 'encrypted', end };
  if (type === END) return { kind: 'end', end, more: has(fields.vint(), 0x01) };
  return { kind: 'other', end };
}

function readFile(fields: Fields, flags: number, extra: Fields): RarFile | undefined {
  const fileFlags = fields.vint();
  const size = fields.vint();
  fields.vint(); // attributes
  if (has(fileFlags, 0x02)) fields.skip(4); // mtime
  if (has(fileFlags, 0x04)) fields.skip(4); // CRC-32 of the contents
  const compression = fields.vint();
  fields.vint(); // host
  const name = fields.bytes(fields.vint());
  if (name === undefined || fields.overrun) return undefined;
  const kinds = extraKinds(extra);
  if (kinds === undefined) return undefined;
  return {
    name: Buffer.from(name),
    size: has(fileFlags, 0x08) ? Number.NaN : size,
    stored: ((compression >>> 7) & 7) === 0,
    encrypted: kinds.has(1),
    regular: !has(fileFlags, 0x01) && !kinds.has(4) && !kinds.has(5), // 4: an older version, 5: a link or a copy
    splitBefore: has(flags, 0x08),
    splitAfter: has(flags, 0x10),
  };
}

/** The types of the records in the extra area. */
function extraKinds(extra: Fields): ReadonlySet<number> | undefined {
  const kinds = new Set<number>();
  while (!extra.atEnd) {
    const length = extra.vint();
    const next = extra.at + length;
    kinds.add(extra.vint());
    if (!(length > 0) || extra.at > next) return undefined;
    extra.skip(next - extra.at);
    if (extra.overrun) return undefined;
  }
  return kinds;
}

/** Flags may have more bits than an int; those that are known here do not. */
function has(flags: number, flag: number): boolean {
  return ((flags % 2 ** 31) & flag) !== 0;
}

/** Reads fields in order. A field beyond the end reads as NaN or undefined, and sets `overrun`. */
class Fields {
  at: number;
  overrun = false;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  /** Reads at most ten bytes. A number beyond 2^53 is no safe integer, which `isInside` refuses. */
  vint(): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    this.overrun = true;
    return Number.NaN;
  }

  skip(length: number): void {
    if (!(length <= this.#bytes.length - this.at)) this.overrun = true;
    else this.at += length;
  }

  bytes(length: number): Buffer | undefined {
    const from = this.at;
    this.skip(length);
    return this.overrun ? undefined : this.#bytes.subarray(from, from + length);
  }
}
