/**
 * Compares names: case folded, in NFC, every run of space, `_`, `.` and `-` as one space.
 *
 * Inside this folder a name off the disk travels as a *byte string*: one character (U+0000 to U+00FF) a byte, which
 * is what Node's `latin1` reads and writes. It loses nothing, and compares and concatenates as fast as any string.
 */
import { isAscii, isUtf8 } from 'node:buffer';

const NOT_ASCII = /[\u0080-\u{10ffff}]/u;

/**
 * Returns the form of `name` in which names are compared. The result is its own normal form.
 * Bytes that are not UTF-8 are read as Latin-1, as the torrents that hold such names were.
 */
export function normaliseName(name: Buffer | string): string {
  const text = typeof name === 'string' ? name : decodeName(name);
  if (!NOT_ASCII.test(text)) return foldSeparators(text.toLowerCase());
  // Upper case first: it takes apart what lower case leaves alone (ß, final sigma), which is Unicode's full folding.
  return foldSeparators(text.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC'));
}

function foldSeparators(text: string): string {
  return text.replaceAll(/[ _.-]+/g, ' ');
}

/** Decodes bytes as UTF-8 if they are that, else as Latin-1. */
export function decodeName(name: Buffer): string {
  return !isAscii(name) && isUtf8(name) ? name.toString('utf8') : name.toString('latin1');
}

const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** 32 bits of FNV-1a over the UTF-16 units of `text`: of a normalised name, or of a byte string. */
export function hashText(text: string): number {
  let hash = FNV_BASIS;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash >>> 0;
}

/** `hashText(normaliseName(bytes))` of a byte string. A pass over ASCII makes no string at all: there is one a file. */
export function hashName(bytes: string): number {
  let hash = FNV_BASIS;
  let separator = false;
  for (let i = 0; i < bytes.length; i++) {
    let c = bytes.charCodeAt(i);
    if (c >= 0x80) return hashText(normaliseName(Buffer.from(bytes, 'latin1')));
    if (c === 0x20 || c === 0x5f || c === 0x2e || c === 0x2d) {
      if (separator) continue;
      separator = true;
      c = 0x20;
    } else {
      separator = false;
      if (c >= 0x41 && c <= 0x5a) c += 0x20;
    }
    hash = Math.imul(hash ^ c, FNV_PRIME);
  }
  return hash >>> 0;
}
