/**
 * Names and symlink targets as text, without loss: on Linux they are bytes, which need not be UTF-8. Valid UTF-8 is itself; each
 * byte that is not part of it becomes a lone surrogate U+DC80 to U+DCFF (as PEP 383 has it), which UTF-8 cannot hold.
 *
 * No two byte strings become one text. Text from elsewhere (JSON, a torrent) may hold lone surrogates that no byte string
 * becomes: others than these, or escapes of bytes that are UTF-8 together. `isNameText` tells; whatever is not, is no name.
 * In JSON the escapes stand as `\udc80` to `\udcff`, so that a name comes back as it was.
 */
import { isUtf8 } from 'node:buffer';

const ESCAPES = 0xdc00;
/** With the flag `u`, halves of pairs do not match. */
const ESCAPED = /[\udc80-\udcff]/u;
const ESCAPED_ALL = /[\udc80-\udcff]/gu;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** UTF-8 as the Unicode standard has it (table 3-7), in text of one character for each byte; or one byte that is not of it. */
const PARTS =
  /((?:[\0-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+)|[\x80-\xff]/g;

export function nameOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return bytes
    .toString('latin1')
    .replace(PARTS, (part, valid: string | undefined) =>
      valid === undefined
        ? String.fromCharCode(ESCAPES + part.charCodeAt(0))
        : Buffer.from(valid, 'latin1').toString('utf8'),
    );
}

/** Gives the bytes of a name. Of text that is none (`isNameText`), what is no escape becomes U+FFFD. */
export function bytesOfName(name: string): Buffer {
  if (!ESCAPED.test(name)) return Buffer.from(name);
  const parts: Buffer[] = [];
  let end = 0;
  for (const { index } of name.matchAll(ESCAPED_ALL)) {
    parts.push(Buffer.from(name.slice(end, index)), Buffer.from([name.charCodeAt(index) - ESCAPES]));
    end = index + 1;
  }
  return Buffer.concat([...parts, Buffer.from(name.slice(end))]);
}

/** Counts the bytes of a name. */
export function lengthOfName(name: string): number {
  const length = Buffer.byteLength(name);
  // It counts three bytes for a lone surrogate.
  return length > name.length && ESCAPED.test(name) ? bytesOfName(name).length : length;
}

/** Tells whether text is that of some byte string. */
export function isNameText(text: string): boolean {
  return !LONE_SURROGATE.test(text) || nameOf(bytesOfName(text)) === text;
}

/** Tells whether a name is of UTF-8, so that every program can show it. */
export function isPlainName(name: string): boolean {
  return !ESCAPED.test(name);
}

/** Gives a name for the calls of `node:fs`: as text where that is the same. */
export function pathOfName(name: string): string | Buffer {
  return ESCAPED.test(name) ? bytesOfName(name) : name;
}
