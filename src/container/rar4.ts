/**
 * Blocks of RAR 1.5 to 4 (`technote.txt` of RAR 3.93 and unrar's `headers.hpp`):
 *
 *     u16 CRC | u8 type | u16 flags | u16 bytes of the header | u32 bytes of data behind it, where flags & 0x8000
 *
 * The CRC is the lower half of the CRC-32 of the header from its type on.
 */

import { type HeaderReader, isInside } from './container.ts';
import { crc32 } from './crc32.ts';
import type { RarBlock, RarFile, RarFormat } from './rar-block.ts';

const MAIN = 0x73;
const FILE = 0x74;
const END = 0x7b;
const HAS_DATA = 0x8000;
/** The header holds an old-style comment, which its CRC does not cover. */
const MAIN_COMMENT = 0x0002;
const FILE_COMMENT = 0x0008;

const STORED = 0x30;
const UNKNOWN_SIZE = 0xffffffff;

export const RAR4: RarFormat = {
  signature: Buffer.from('526172211a0700', 'hex'),
  block: readBlock,
};

function readBlock(reader: HeaderReader, offset: number): RarBlock | undefined {
  const fixed = reader.bytes(offset, 7);
  if (fixed === undefined) return undefined;
  const type = fixed[2] ?? 0;
  const flags = fixed.readUInt16LE(3);
  const length = fixed.readUInt16LE(5);
  const header = length < 7 ? undefined : reader.bytes(offset, length);
  if (header === undefined) return undefined;
  const commented = (type === MAIN && (flags & MAIN_COMMENT) !== 0) || (type === FILE && (flags & FILE_COMMENT) !== 0);
  if (!commented && (crc32(header.subarray(2)) & 0xffff) !== header.readUInt16LE(0)) return undefined;

  if (type === FILE) return readFile(reader, header, offset, flags);
  if ((flags & HAS_DATA) !== 0 && length < 11) return undefined;
  // The service blocks of RAR 3 have the layout of a file block. None with 64 bits for its data was met in practice.
  const data = (flags & HAS_DATA) !== 0 ? header.readUInt32LE(7) : 0;
  const end = offset + length + data;
  if (type === MAIN) {
    return { kind: 'main', end, volume: (flags & 1) !== 0, number: undefined, encrypted: (flags & 0x80) !== 0 };
  }
  if (type === END) return { kind: 'end', end, more: (flags & 1) !== 0 };
  return { kind: 'other', end };
}

function readFile(reader: HeaderReader, header: Buffer, offset: number, flags: number): RarBlock | undefined {
  if (header.length < 32) return undefined;
  const large = (flags & 0x100) !== 0;
  const nameAt = large ? 40 : 32;
  const nameLength = header.readUInt16LE(26);
  if (header.length < nameAt + nameLength) return undefined;
  const highPacked = large ? header.readUInt32LE(32) : 0;
  const highUnpacked = large ? header.readUInt32LE(36) : 0;
  const dataLength = highPacked * 2 ** 32 + header.readUInt32LE(7);
  const dataOffset = offset + header.length;
  if (!isInside(dataOffset, dataLength, reader.size)) return undefined;
  const lowUnpacked = header.readUInt32LE(11);
  const host = header[15] ?? 0;
  const attributes = header.readUInt32LE(28);
  const unknownSize = lowUnpacked === UNKNOWN_SIZE && (!large || highUnpacked === UNKNOWN_SIZE);
  const file: RarFile = {
    name: memberName(header.subarray(nameAt, nameAt + nameLength), (flags & 0x200) !== 0),
    size: unknownSize ? Number.NaN : highUnpacked * 2 ** 32 + lowUnpacked,
    stored: header[25] === STORED,
    encrypted: (flags & 0x04) !== 0,
    regular: (flags & 0xe0) !== 0xe0 && (flags & 0x800) === 0 && !isUnixLink(host, attributes),
    splitBefore: (flags & 0x01) !== 0,
    splitAfter: (flags & 0x02) !== 0,
  };
  return { kind: 'file', end: dataOffset + dataLength, file, dataOffset, dataLength };
}

function isUnixLink(host: number, attributes: number): boolean {
  return host === 3 && (attributes & 0xf000) === 0xa000;
}

const BACKSLASH = 0x5c;
const SLASH = 0x2f;

/** The format separates components by backslashes on every host. */
function memberName(raw: Buffer, unicode: boolean): Buffer {
  const zero = raw.indexOf(0);
  let name = Buffer.from(zero === -1 ? raw : raw.subarray(0, zero));
  if (unicode && zero !== -1) {
    const decoded = decodeUtf16Name(name, raw.subarray(zero + 1));
    name = Buffer.from(decoded.replaceAll('\0', ''), 'utf8');
  }
  for (const [i, byte] of name.entries()) if (byte === BACKSLASH) name[i] = SLASH;
  return name;
}

/**
 * Decodes a name in UTF-16, which is packed as differences to the name in single bytes (`EncodeFileName::Decode` of unrar):
 * a common high byte, then two bits for each character or run of characters that say how it is written.
 */
function decodeUtf16Name(narrow: Buffer, packed: Buffer): string {
  const units: number[] = [];
  const high = (packed[0] ?? 0) << 8;
  let at = 1;
  let flags = 0;
  let flagBits = 0;
  while (at < packed.length && units.length <= MAX_NAME) {
    if (flagBits === 0) {
      flags = packed[at++] ?? 0;
      flagBits = 8;
    }
    flagBits -= 2;
    const how = (flags >>> flagBits) & 3;
    const byte = packed[at++] ?? 0;
    if (how === 0) units.push(byte);
    else if (how === 1) units.push(high | byte);
    else if (how === 2) units.push(byte | ((packed[at++] ?? 0) << 8));
    else {
      const corrected = (byte & 0x80) !== 0;
      const correction = corrected ? (packed[at++] ?? 0) : 0;
      for (let n = (byte & 0x7f) + 2; n > 0 && units.length < narrow.length; n--) {
        const unit = narrow[units.length] ?? 0;
        units.push(corrected ? high | ((unit + correction) & 0xff) : unit);
      }
    }
  }
  return String.fromCharCode(...units);
}

/** The most characters of a name. RAR's own limit is 1,024. */
const MAX_NAME = 4096;
