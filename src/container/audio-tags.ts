/**
 * Finds the tags around audio data: ID3v2 (id3.org, 2.3 and 2.4), ID3v1, APEv1 and v2 (wiki.hydrogenaud.io), Lyrics3 (id3.org); and
 * FLAC's metadata blocks (RFC 9639, section 8).
 */
import type { HeaderReader } from './container.ts';
import { MAX_ELEMENTS, type Payload, sum } from './payload-shape.ts';

/** The most tags that are read at one end of a file. */
const MAX_TAGS = 16;
const ID3V1_BYTES = 128;

/** Describes a file. Undefined where it begins neither with a tag nor like FLAC or MPEG audio. */
export function describeAudio(reader: HeaderReader): Payload | undefined {
  const { size } = reader;
  const head = tagsInFront(reader);
  const audio = sum(head);
  const tail = tagsBehind(reader, audio);
  const end = size - sum(tail);
  const flac = flacBlocks(reader, audio);
  if (flac !== undefined) {
    const parts = [...head, ...flac.optional];
    return { size, start: flac.end, end, head: parts, tail, otherStarts: [], otherTails: [ID3V1_BYTES] };
  }
  const frame = reader.bytes(audio, 2);
  const mpeg = frame !== undefined && frame[0] === 0xff && ((frame[1] ?? 0) & 0xe0) === 0xe0;
  if (!mpeg && head.length + tail.length === 0) return undefined;
  return { size, start: audio, end, head, tail, otherStarts: [], otherTails: [ID3V1_BYTES] };
}

function tagsInFront(reader: HeaderReader): number[] {
  const tags: number[] = [];
  for (let at = 0; tags.length < MAX_TAGS; ) {
    const length = id3v2At(reader, at) ?? apeHeaderAt(reader, at);
    if (length === undefined || length > reader.size - at) break;
    tags.push(length);
    at += length;
  }
  return tags;
}

/** Measures the tag that begins here, in bytes, with its header and footer. */
function id3v2At(reader: HeaderReader, at: number): number | undefined {
  const header = reader.bytes(at, 10);
  if (header?.toString('latin1', 0, 3) !== 'ID3') return undefined;
  const length = syncsafe(header);
  return length === undefined ? undefined : 10 + length + (((header[5] ?? 0) & 0x10) === 0 ? 0 : 10);
}

/** Reads 28 bits from four bytes of 7 bits each. */
function syncsafe(header: Buffer): number | undefined {
  const bits = header.readUInt32BE(6);
  if ((bits & 0x80808080) !== 0) return undefined;
  return ((bits >>> 24) << 21) | (((bits >>> 16) & 0x7f) << 14) | (((bits >>> 8) & 0x7f) << 7) | (bits & 0x7f);
}

function apeHeaderAt(reader: HeaderReader, at: number): number | undefined {
  const header = reader.bytes(at, 32);
  return header?.toString('latin1', 0, 8) === 'APETAGEX' ? 32 + header.readUInt32LE(12) : undefined;
}

/** Finds the tags at the end, from the last to the first. Each ends where the next begins; none reaches into `[0, from)`. */
function tagsBehind(reader: HeaderReader, from: number): number[] {
  const tags: number[] = [];
  for (let end = reader.size; tags.length < MAX_TAGS; ) {
    const length =
      id3v1Before(reader, end, tags.length) ??
      apeFooterBefore(reader, end) ??
      lyricsBefore(reader, end) ??
      id3v2FooterBefore(reader, end);
    if (length === undefined || length > end - from) break;
    tags.unshift(length);
    end -= length;
  }
  return tags;
}

/** Measures a tag that stands only at the very end. */
function id3v1Before(reader: HeaderReader, end: number, behind: number): number | undefined {
  if (behind > 0 || reader.bytes(end - ID3V1_BYTES, 3)?.toString('latin1') !== 'TAG') return undefined;
  const extended = reader.bytes(end - ID3V1_BYTES - 227, 4)?.toString('latin1') === 'TAG+';
  return ID3V1_BYTES + (extended ? 227 : 0);
}

function apeFooterBefore(reader: HeaderReader, end: number): number | undefined {
  const footer = reader.bytes(end - 32, 32);
  if (footer?.toString('latin1', 0, 8) !== 'APETAGEX') return undefined;
  const length = footer.readUInt32LE(12);
  if (length < 32) return undefined;
  return length + (footer.readUInt32LE(20) >= 0x80000000 ? 32 : 0);
}

/** Measures a Lyrics3 tag. Version 1 says no length: it is at most 5,100 bytes of text. */
const LYRICS_MOST = 5100 + 11 + 9;

function lyricsBefore(reader: HeaderReader, end: number): number | undefined {
  const last = reader.bytes(end - 9, 9)?.toString('latin1');
  if (last === 'LYRICS200') {
    const digits = reader.bytes(end - 15, 6)?.toString('latin1') ?? '';
    return /^[0-9]{6}$/.test(digits) ? Number(digits) + 15 : undefined;
  }
  if (last !== 'LYRICSEND') return undefined;
  const most = Math.min(LYRICS_MOST, end);
  const at = reader.bytes(end - most, most)?.lastIndexOf('LYRICSBEGIN') ?? -1;
  return at === -1 ? undefined : most - at;
}

function id3v2FooterBefore(reader: HeaderReader, end: number): number | undefined {
  const footer = reader.bytes(end - 10, 10);
  if (footer?.toString('latin1', 0, 3) !== '3DI') return undefined;
  const length = syncsafe(footer);
  return length === undefined ? undefined : length + 20;
}

/** Reads the blocks. All are optional but STREAMINFO, which comes first and has 38 bytes with its header. */
function flacBlocks(
  reader: HeaderReader,
  at: number,
): { readonly end: number; readonly optional: number[] } | undefined {
  if (reader.bytes(at, 4)?.toString('latin1') !== 'fLaC') return undefined;
  const optional: number[] = [];
  let offset = at + 4;
  for (let block = 0; block < MAX_ELEMENTS; block++) {
    const header = reader.bytes(offset, 4)?.readUInt32BE(0);
    if (header === undefined) return undefined;
    const length = 4 + (header & 0xffffff);
    if (block > 0) optional.push(length);
    offset += length;
    if (header >>> 31 === 1) return { end: offset, optional };
  }
  return undefined;
}
