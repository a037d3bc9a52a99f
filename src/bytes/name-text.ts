/**
 * Names and symlink targets as text, without loss: on Linux they are bytes, which need not be UTF-8. Valid UTF-8 is itself; each
 * byte that is not part of it becomes a lone surrogate U+DC80 to U+DCFF (as PEP 383 has it), which UTF-8 cannot hold.
 */
import { isUtf8 } from 'node:buffer';

const ESCAPES = 0xdc00;
/** With the flag `u`, halves of pairs do not match. */
const ESCAPED = /[\udc80-\udcff]/u;
const LONGEST_CHARACTER = 4;

export function nameOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    text += length === 0 ? String.fromCharCode(ESCAPES + bytes[at]!) : bytes.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

export function bytesOfName(name: string): Buffer {
  if (!ESCAPED.test(name)) return Buffer.from(name);
  const parts = Array.from(name, (character) =>
    ESCAPED.test(character) ? Buffer.from([character.charCodeAt(0) - ESCAPES]) : Buffer.from(character),
  );
  return Buffer.concat(parts);
}

/** Gives the bytes of the character at `at`, or 0 where none begins. */
function characterLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= LONGEST_CHARACTER && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}
