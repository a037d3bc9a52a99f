/** How long a name and a path may be, in bytes. */
import { lengthOfName } from './bytes/name-text.ts';

/** NAME_MAX of Linux's disks. Programs make no longer names in the mount, but in entries whose torrents have such. */
export const DISK_NAME_BYTES = 255;
/**
 * The longest name that the mount shows. The kernel looks up names of 1,024 bytes in a FUSE file system that was made for
 * Linux before 6.14, and fuse-native 2.2.6 lists 1,023 of them.
 */
export const SHOWN_NAME_BYTES = 1023;
/** PATH_MAX without its NUL: the longest path that a program can open. */
export const OPENED_PATH_BYTES = 4095;

/** Tells if `text` takes over `limit` bytes, and counts them only where it may. */
export function isLonger(text: string, limit: number): boolean {
  return text.length > limit || (text.length * 3 > limit && lengthOfName(text) > limit);
}

/** Cuts `text` to `limit` bytes, between two characters. */
export function cutToBytes(text: string, limit: number): string {
  if (!isLonger(text, limit)) return text;
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += lengthOfName(character);
    if (bytes > limit) break;
    end += character.length;
  }
  return text.slice(0, end);
}
