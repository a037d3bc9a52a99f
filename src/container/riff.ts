/**
 * Reads RIFF. A chunk has a name, a length and as many bytes, padded to even offsets. WAVE has its audio in `data`, AVI its
 * frames in the list `movi`.
 */
import type { HeaderReader } from './container.ts';
import { MAX_ELEMENTS, type Payload } from './payload-shape.ts';

/** Offsets of the data that encoders write: after a `fmt ` of 16, 18 or 40 bytes, the last with a `fact`. */
const WAVE_STARTS = [44, 46, 68, 80];

export function describeRiff(reader: HeaderReader): Payload | undefined {
  const { size } = reader;
  const form = reader.bytes(0, 12)?.toString('latin1');
  const wave = form?.endsWith('WAVE') === true;
  if (form?.startsWith('RIFF') !== true || !(wave || form.endsWith('AVI '))) return undefined;
  const head: number[] = [];
  for (let at = 12, chunk = 0; chunk < MAX_ELEMENTS; chunk++) {
    const header = reader.bytes(at, 12) ?? reader.bytes(at, 8);
    if (header === undefined) return undefined;
    const name = header.toString('latin1', 0, 4);
    const length = header.readUInt32LE(4);
    const list = header.toString('latin1', 8);
    if (name === 'data' || (name === 'LIST' && list === 'movi')) {
      const start = at + (wave ? 8 : 12);
      const end = Math.min(at + 8 + length, size);
      const tail = size - end - (length & 1);
      const otherStarts = wave ? WAVE_STARTS : [];
      return { size, start, end, head, tail: tail > 0 ? [tail + (length & 1)] : [], otherStarts, otherTails: [] };
    }
    const whole = 8 + length + (length & 1);
    if (name !== 'fmt ' && list !== 'hdrl') head.push(whole);
    at += whole;
  }
  return undefined;
}
