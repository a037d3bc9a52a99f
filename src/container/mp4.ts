/**
 * Reads MP4 and QuickTime (ISO/IEC 14496-12). A box has a length, a name and contents. The data is the largest `mdat`. The
 * index `moov` lies before or after it, as the writing program chose, and has the same length in both places.
 */
import { type HeaderReader, readUint64BE } from './container.ts';
import { MAX_ELEMENTS, type Payload, sum } from './payload-shape.ts';

const FIRST: ReadonlySet<string> = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp']);

interface Box {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** Bytes of the box's header. */
  readonly header: number;
}

export function describeMp4(reader: HeaderReader): Payload | undefined {
  const boxes = readBoxes(reader);
  const [first] = boxes;
  if (first === undefined || !FIRST.has(first.name)) return undefined;
  let data: Box | undefined;
  for (const box of boxes) if (box.name === 'mdat' && box.length > (data?.length ?? 0)) data = box;
  if (data === undefined) return undefined;
  const { header, offset } = data;
  const end = offset + data.length;
  const fixed = first.name === 'ftyp' ? first.length : 0;
  const head = boxes.filter((box) => box.offset < offset && box.name !== 'ftyp').map(({ length }) => length);
  const tail = boxes.filter((box) => box.offset >= end).map(({ length }) => length);
  const moov = boxes.find(({ name }) => name === 'moov')?.length ?? 0;
  // The index lies before or after the data, before which ffmpeg leaves an empty box of eight bytes.
  const otherStarts = [0, moov].flatMap((front) => [0, 8].map((empty) => fixed + front + empty + header));
  return { size: reader.size, start: offset + header, end, head, tail, otherStarts, otherTails: [moov, sum(head)] };
}

/** Lists the top-level boxes, up to the first that cannot be one. */
function readBoxes(reader: HeaderReader): Box[] {
  const { size } = reader;
  const boxes: Box[] = [];
  for (let offset = 0; boxes.length < MAX_ELEMENTS && size - offset >= 8; ) {
    const start = reader.bytes(offset, 8);
    if (start === undefined) break;
    let header = 8;
    let length = start.readUInt32BE(0);
    if (length === 0) length = size - offset;
    else if (length === 1) {
      const long = reader.bytes(offset + 8, 8);
      if (long === undefined) break;
      header = 16;
      length = readUint64BE(long, 0);
    }
    if (!(length >= header && length <= size - offset)) break;
    boxes.push({ name: start.toString('latin1', 4), offset, length, header });
    offset += length;
  }
  return boxes;
}
