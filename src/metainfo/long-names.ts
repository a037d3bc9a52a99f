/**
 * Stands in for names that no mount can show.
 *
 * A name of up to `SHOWN_NAME_BYTES` is shown as it is. For a longer one, and in a path that is too long to be opened,
 * the mount shows a name that a disk can hold, and `add` adds the name that the client looks for.
 */
import { createHash } from 'node:crypto';
import { cutToBytes, DISK_NAME_BYTES, isLonger } from '../name-limits.ts';

/** Hexadecimal digits of the name's SHA-1: two long names that begin alike stay two names. */
const DIGITS = 8;
/** The longest extension that stays, with its dot: `.torrent`, `.r00`, and the parts of a sentence not. */
const LONGEST_EXTENSION = 16;

/** Gives a name of `DISK_NAME_BYTES` at most: the beginning of `name`, digits of its hash, and its extension. */
export function shortName(name: string): string {
  if (!isLonger(name, DISK_NAME_BYTES)) return name;
  const dot = name.lastIndexOf('.');
  const tail = dot > 0 ? name.slice(dot) : '';
  const extension = isLonger(tail, LONGEST_EXTENSION) ? '' : tail;
  const mark = `~${createHash('sha1').update(name).digest('hex').slice(0, DIGITS)}${extension}`;
  return `${cutToBytes(name, DISK_NAME_BYTES - Buffer.byteLength(mark))}${mark}`;
}
