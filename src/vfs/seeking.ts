/**
 * lseek(2) with SEEK_DATA and SEEK_HOLE. What nobody has (a gap) and what is zeros by definition (a pad file, bytes after a
 * truncate) is a hole, and what a client has written is data, if it is zeros or not. Sources are not asked: their bytes are data.
 */
import { PosixError } from '../errors.ts';
import { type Extent, GAP, ZEROS } from '../extent/extent.ts';
import type { FileCalls } from '../native/files.ts';
import type { MappedContent, PlainContent } from '../store/overlay/content.ts';
import type { SeekTo } from './operations.ts';

/** Bytes of a file whose extents are looked up at first; the double each further time, since files may be huge and sparse. */
const FIRST_WINDOW = 2 ** 24;

/** Gives the first position from `offset` on that is data, or in a hole; the end of the file counts as a hole. @throws ENXIO */
export function seekMapped(content: Pick<MappedContent, 'size' | 'slice'>, offset: number, to: SeekTo): number {
  refuseOutside(offset, content.size);
  for (let at = offset, window = FIRST_WINDOW; at < content.size; at += window, window *= 2) {
    const found = content.slice(at, window).find((extent) => isHole(extent) === (to === 'hole'));
    if (found !== undefined) return found.offset;
  }
  return atEnd(content.size, to);
}

/** The same of a plain file, whose holes are those of its overlay file: `fd`, of `size` bytes. @throws ENXIO */
export function seekPlain(
  { overlay }: Pick<PlainContent, 'overlay'>,
  size: number,
  offset: number,
  to: SeekTo,
  { seek }: Pick<FileCalls, 'seek'>,
): number {
  refuseOutside(offset, size);
  const whole = to === 'data' ? offset : size;
  const found = seek?.(overlay.fd, offset, to) ?? whole;
  return found < size ? found : atEnd(size, to);
}

const isHole = ({ source }: Extent): boolean => source === ZEROS || source === GAP;

function refuseOutside(offset: number, size: number): void {
  if (!(offset >= 0 && offset < size)) throw new PosixError('ENXIO');
}

function atEnd(size: number, to: SeekTo): number {
  if (to === 'data') throw new PosixError('ENXIO');
  return size;
}
