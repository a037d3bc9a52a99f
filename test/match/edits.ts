/** Kinds of changed copies, and how many pieces a perfect matcher finds in them. */
import { content } from './fixtures.ts';

/** An edit of the original, at a place in it. */
export type Edit = readonly ['insert' | 'delete' | 'zero' | 'flip', at: number, bytes: number];

export function edited(original: Buffer, edits: readonly Edit[]): Buffer {
  const parts: Buffer[] = [];
  let position = 0;
  for (const [kind, at, bytes] of edits.toSorted((a, b) => a[1] - b[1])) {
    parts.push(original.subarray(position, at));
    position = kind === 'insert' ? at : at + bytes;
    if (kind === 'insert') parts.push(content(`insert ${at}`, bytes));
    if (kind === 'zero') parts.push(Buffer.alloc(bytes));
    if (kind === 'flip') parts.push(Buffer.from(original.subarray(at, at + bytes).map((byte) => byte ^ 0xff)));
  }
  parts.push(original.subarray(position));
  return Buffer.concat(parts);
}

/** Counts pieces whose every byte is in the edited file, except those with an insertion inside. */
export function recoverable(length: number, edits: readonly Edit[], piece: number, splits: boolean): number {
  let count = 0;
  for (let from = 0; from < length; from += piece) {
    const to = Math.min(length, from + piece);
    const hit = edits.some(([kind, at, bytes]) =>
      kind === 'insert' ? !splits && at > from && at < to : at < to && at + bytes > from,
    );
    if (!hit) count++;
  }
  return count;
}
