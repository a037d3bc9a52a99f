/**
 * Reads ZIP archives by their central directory (PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.12 to 4.3.16). Sizes
 * come from it, so that members with data descriptors are like others. Split archives, and archives after other data
 * (self-extractors), are left out.
 */
import {
  type Archive,
  isInside,
  MAX_HEADERS,
  type Member,
  type Part,
  readUint64,
  type Unusable,
  type Volumes,
} from './container.ts';
import { crc32 } from './crc32.ts';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;

/** The first bytes of a ZIP with members, and of an empty one. */
const BEGINNINGS: ReadonlySet<string> = new Set(['PK\x03\x04', 'PK\x05\x06']);
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const MAX_COMMENT = 0xffff;
/** The largest central directory that is read: `MAX_HEADERS` entries of 256 bytes. */
export const MAX_DIRECTORY = 16 << 20;

/** Opens a ZIP. Undefined for another file, and where the central directory is damaged or beyond the limits. */
export function openZip(volumes: Volumes): Archive | undefined {
  if (volumes.size(0) < END_BYTES || !BEGINNINGS.has(volumes.read(0, 0, 4).toString('latin1'))) return undefined;
  if (volumes.count !== 1) return undefined;
  const directory = findDirectory(volumes);
  return directory === undefined ? undefined : new ZipArchive(volumes, directory);
}

interface Directory {
  readonly offset: number;
  readonly length: number;
  readonly entries: number;
}

interface ZipMember extends Member {
  readonly local: number;
}

class ZipArchive implements Archive {
  readonly members: readonly ZipMember[];
  readonly #volumes: Volumes;
  readonly #directory: Directory;

  constructor(volumes: Volumes, directory: Directory) {
    this.#volumes = volumes;
    this.#directory = directory;
    this.members = readDirectory(volumes.read(0, directory.offset, directory.length), directory.entries);
  }

  locate(member: Member): readonly Part[] | Unusable {
    if (member.unusable !== undefined) return member.unusable;
    const found = this.members.find((other) => other === member);
    if (found === undefined) return 'damaged';
    // The data follows the local header, whose extra field may differ in length from the directory's.
    const { local, size } = found;
    const end = this.#directory.offset;
    if (!isInside(local, 30, end)) return 'damaged';
    const header = this.#volumes.read(0, local, 30);
    if (header.length < 30 || header.readUInt32LE(0) !== LOCAL) return 'damaged';
    if ((header.readUInt16LE(6) & ENCRYPTED) !== 0) return 'encrypted';
    if (header.readUInt16LE(8) !== 0) return 'compressed';
    const offset = local + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    if (!isInside(offset, size, end)) return 'damaged';
    return size === 0 ? [] : [{ volume: 0, offset, length: size }];
  }
}

function findDirectory(volumes: Volumes): Directory | undefined {
  const size = volumes.size(0);
  // Hardly any ZIP has a comment, so its end is tried first.
  for (const most of [END_BYTES, END_BYTES + MAX_COMMENT]) {
    const length = Math.min(size, most + LOCATOR_BYTES);
    const from = size - length;
    const tail = volumes.read(0, from, length);
    for (let at = tail.length - END_BYTES; at >= 0; at--) {
      if (tail[at] !== 0x50 || tail.readUInt32LE(at) !== END) continue;
      if (at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) continue;
      return checked(readEnd(volumes, tail, from, at), volumes);
    }
    if (length === size) break;
  }
  return undefined;
}

function readEnd(volumes: Volumes, tail: Buffer, from: number, at: number): Directory | undefined {
  const disk = tail.readUInt16LE(at + 4);
  const entries = tail.readUInt16LE(at + 10);
  const length = tail.readUInt32LE(at + 12);
  const offset = tail.readUInt32LE(at + 16);
  const locator = at >= LOCATOR_BYTES ? tail.subarray(at - LOCATOR_BYTES, at) : undefined;
  if (locator !== undefined && locator.readUInt32LE(0) === LOCATOR64) {
    const end64 = readUint64(locator, 8);
    if (locator.readUInt32LE(16) > 1 || !isInside(end64, 56, from + at)) return undefined;
    const record = volumes.read(0, end64, 56);
    if (record.length < 56 || record.readUInt32LE(0) !== END64 || record.readUInt32LE(16) !== 0) return undefined;
    return { entries: readUint64(record, 32), length: readUint64(record, 40), offset: readUint64(record, 48) };
  }
  return disk === 0 ? { entries, length, offset } : undefined;
}

function checked(directory: Directory | undefined, volumes: Volumes): Directory | undefined {
  if (directory === undefined) return undefined;
  const { entries, length, offset } = directory;
  if (!(entries <= MAX_HEADERS && length <= MAX_DIRECTORY)) return undefined;
  return isInside(offset, length, volumes.size(0)) ? directory : undefined;
}

const ENCRYPTED = 0x2041; // plain, strong, or with a masked directory

function readDirectory(bytes: Buffer, entries: number): ZipMember[] {
  const members: ZipMember[] = [];
  for (let at = 0; members.length < entries && at + 46 <= bytes.length; ) {
    if (bytes.readUInt32LE(at) !== CENTRAL) break;
    const nameEnd = at + 46 + bytes.readUInt16LE(at + 28);
    const extraEnd = nameEnd + bytes.readUInt16LE(at + 30);
    const end = extraEnd + bytes.readUInt16LE(at + 32);
    if (end > bytes.length) break;
    members.push(readEntry(bytes.subarray(at, nameEnd), bytes.subarray(nameEnd, extraEnd)));
    at = end;
  }
  return members;
}

function readEntry(entry: Buffer, extra: Buffer): ZipMember {
  const flags = entry.readUInt16LE(8);
  const attributes = entry.readUInt32LE(38);
  const numbers = {
    size: entry.readUInt32LE(24),
    packed: entry.readUInt32LE(20),
    local: entry.readUInt32LE(42),
    disk: entry.readUInt16LE(34),
  };
  let name = Buffer.from(entry.subarray(46));
  let damaged = false;
  for (let at = 0; at + 4 <= extra.length; ) {
    const id = extra.readUInt16LE(at);
    const from = at + 4;
    at = from + extra.readUInt16LE(at + 2);
    if (at > extra.length) break;
    const field = extra.subarray(from, at);
    if (id === 0x0001) damaged = !widen(numbers, field);
    else if (id === 0x7075) name = unicodePath(field, name);
  }
  const { size, packed, local, disk } = numbers;
  const unix = entry[5] === 3 ? (attributes >>> 16) & 0xf000 : 0;
  const unusable = ((): Unusable | undefined => {
    if (name.at(-1) === SLASH || unix === 0xa000 || unix === 0x4000) return 'not a file';
    if ((flags & ENCRYPTED) !== 0) return 'encrypted';
    if (entry.readUInt16LE(10) !== 0) return 'compressed';
    return damaged || disk !== 0 || packed !== size || !Number.isSafeInteger(size) ? 'damaged' : undefined;
  })();
  return { name, size, local, ...(unusable === undefined ? {} : { unusable }) };
}

const SLASH = 0x2f;

/** Reads the Zip64 numbers for those fields that are full, in this order. False where one is missing. */
function widen(numbers: { size: number; packed: number; local: number; disk: number }, field: Buffer): boolean {
  let at = 0;
  for (const key of ['size', 'packed', 'local'] as const) {
    if (numbers[key] !== 0xffffffff) continue;
    if (at + 8 > field.length) return false;
    numbers[key] = readUint64(field, at);
    at += 8;
  }
  if (numbers.disk !== 0xffff) return true;
  if (at + 4 > field.length) return false;
  numbers.disk = field.readUInt32LE(at);
  return true;
}

/** Reads Info-ZIP's name in UTF-8, if its CRC says that it was made for this name. */
function unicodePath(field: Buffer, name: Buffer): Buffer<ArrayBuffer> {
  if (field.length < 5 || field[0] !== 1 || field.readUInt32LE(1) !== crc32(name)) return Buffer.from(name);
  return Buffer.from(field.subarray(5));
}
