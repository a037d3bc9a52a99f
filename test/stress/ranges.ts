/** Chooses the range of an operation and the bytes that it writes: mostly around the edges of pages and of the file. */
import type { ModelInode } from './model.ts';
import type { Fill } from './operation.ts';
import type { Random } from './random.ts';

const PAGE = 4096;
/** The longest file, as in fsx. */
export const LONGEST = 256 * 1024;
const LONGEST_IO = 64 * 1024;

/** Chooses a new size: shorter, longer, the same; often at the edge of a page; seldom so short that little is left. */
export function sizeFor(random: Random, inode: ModelInode): number {
  const { size } = inode;
  const sizes = {
    same: size,
    shorter: random.between(Math.floor(size / 2), size),
    longer: Math.min(LONGEST, size + random.between(1, 40_000)),
    slightlyShorter: Math.max(0, size - random.between(1, 5000)),
    slightlyLonger: Math.min(LONGEST + 5000, size + random.between(1, 5000)),
    anywhere: random.between(0, LONGEST),
    empty: 0,
  };
  const wanted =
    sizes[
      random.weighted({
        same: 2,
        shorter: 3,
        longer: 3,
        slightlyShorter: 2,
        slightlyLonger: 2,
        anywhere: 1,
        empty: inode.original === undefined ? 1 : 0.2,
      })
    ];
  return random.chance(0.2) ? wanted - (wanted % PAGE) : wanted;
}

/** Chooses a range within the file, or also at and beyond its end. None if it must be within and the file is empty. */
export function rangeIn(
  random: Random,
  inode: ModelInode,
  beyond: boolean,
): { position: number; length: number } | undefined {
  const { size } = inode;
  if (!beyond && size === 0) return undefined;
  const over = beyond && random.chance(0.25);
  const end = over ? Math.min(LONGEST, size + 20_000) : size;
  let position = random.between(0, Math.max(0, end - (over ? 0 : 1)));
  if (beyond && random.chance(0.1)) position = size;
  let length = random.pick([
    random.between(1, 100),
    random.between(1, PAGE * 2),
    PAGE,
    PAGE * random.between(1, 8),
    random.between(1, LONGEST_IO),
  ]);
  if (random.chance(0.3)) position -= position % PAGE;
  // Up to the end, exactly.
  if (position < size && random.chance(0.15)) length = Math.min(LONGEST_IO, size - position);
  if (!beyond) length = Math.min(length, size - position);
  return { position, length };
}

/** Chooses bytes: mostly new ones; also zeros, and the file's bytes of the beginning. */
export function fillFor(random: Random, inode: ModelInode): Fill {
  if (inode.original !== undefined && random.chance(0.25)) return { kind: 'original', file: inode.original };
  return random.chance(0.12) ? { kind: 'zeros' } : { kind: 'random', seed: random.seed() };
}
