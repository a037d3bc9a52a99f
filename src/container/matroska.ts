/**
 * Reads Matroska and WebM (RFC 8794 and 9559). An element has an id, a length and contents. The data begins with the first
 * Cluster of the Segment. Only the SeekHead tells where it ends without reading all elements.
 */
import { type HeaderReader, isInside } from './container.ts';
import { MAX_ELEMENTS, type Payload } from './payload-shape.ts';

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const SEEK_HEAD = 0x114d9b74;
const SEEK = 0x4dbb;
const SEEK_POSITION = 0x53ac;
/** Info and Tracks, which every copy has. */
const NEEDED: ReadonlySet<number> = new Set([0x1549a966, 0x1654ae6b]);
const MAX_SEEK_HEAD = 4096;

interface Element {
  readonly id: number;
  /** The offset of its contents. */
  readonly body: number;
  /** Bytes of its contents. Infinite where it is not known. */
  readonly length: number;
}

export function describeMatroska(reader: HeaderReader): Payload | undefined {
  const { size } = reader;
  const ebml = elementAt(reader, 0);
  if (ebml?.id !== EBML) return undefined;
  const segment = elementAt(reader, ebml.body + ebml.length);
  if (segment?.id !== SEGMENT) return undefined;
  const head: number[] = [];
  const positions: number[] = [];
  for (let at = segment.body, n = 0; n < MAX_ELEMENTS; n++) {
    const element = elementAt(reader, at);
    if (element === undefined) return undefined;
    if (element.id === CLUSTER) {
      const behind = positions.filter((position) => position > at && position < size);
      const end = behind.length === 0 ? size : Math.min(...behind);
      return { size, start: at, end, head, tail: end < size ? [size - end] : [], otherStarts: [], otherTails: [] };
    }
    const next = element.body + element.length;
    if (element.id === SEEK_HEAD)
      positions.push(...seekPositions(reader, element).map((place) => place + segment.body));
    if (!NEEDED.has(element.id)) head.push(next - at);
    at = next;
  }
  return undefined;
}

/** Reads an element's head. Undefined also where its contents would begin beyond the end. */
function elementAt(reader: HeaderReader, at: number): Element | undefined {
  if (!isInside(at, 2, reader.size)) return undefined;
  const bytes = reader.bytes(at, Math.min(12, reader.size - at));
  const idBytes = Math.clz32(bytes?.[0] ?? 0) - 23;
  const lengthBytes = Math.clz32(bytes?.[idBytes] ?? 0) - 23;
  if (bytes === undefined || idBytes > 4 || lengthBytes > 8 || bytes.length < idBytes + lengthBytes) return undefined;
  let length = (bytes[idBytes] ?? 0) & (0xff >>> lengthBytes);
  let unknown = length === 0xff >>> lengthBytes;
  for (let i = 1; i < lengthBytes; i++) {
    const byte = bytes[idBytes + i] ?? 0;
    unknown &&= byte === 0xff;
    length = length * 256 + byte;
  }
  const body = at + idBytes + lengthBytes;
  return { id: bytes.readUIntBE(0, idBytes), body, length: unknown ? Number.POSITIVE_INFINITY : length };
}

/** Finds an offset in the SeekHead, relative to the Segment's contents. */
function seekPositions(reader: HeaderReader, { body, length }: Element): number[] {
  const end = body + Math.min(length, MAX_SEEK_HEAD);
  const positions: number[] = [];
  for (let at = body; at < end; ) {
    const element = elementAt(reader, at);
    if (element === undefined) break;
    if (element.id === SEEK_POSITION && element.length >= 1 && element.length <= 6) {
      const value = reader.bytes(element.body, element.length);
      if (value !== undefined) positions.push(value.readUIntBE(0, value.length));
    }
    at = element.id === SEEK ? element.body : element.body + element.length;
  }
  return positions;
}
