/** Collections made up from a seed: a torrent, and files that resemble its own in all the ways that collections have. */
import { edited } from './edits.ts';
import { content, type Files, PIECE } from './fixtures.ts';

export interface Generated {
  readonly name: string;
  /** The torrent's files; a number is a pad. */
  readonly parts: Readonly<Record<string, Buffer | number>>;
  readonly collection: Files;
}

type Random = (below: number) => number;

const NAMES = ['a.rar', 'a.r00', 'a.sfv', 'a.nfo', '01.mp3', '02.mp3', 'film.mkv', 'cover.jpg', 'x.vob', 'x.ifo'];
const FOLDERS = ['', '', '', 'CD1/', 'CD2/', 'Sample/', 'VIDEO_TS/', 'extra/'];
const PLACES = ['Set-GRP/', 'Set-GRP/', 'other/', 'old/Set-GRP/', 'a/', 'z/deep/', 'rel/'];
/** So small that `probe` hashes every piece that a file has to itself: what it takes is then right there. */
const MOST_PIECES = 4;

/** Numbers that look random, always the same for one seed (xorshift). */
function randomOf(seed: number): Random {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x6d2b79f5) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

export function generatedCollection(seed: number): Generated {
  const random = randomOf(seed);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const parts: Record<string, Buffer | number> = {};
  const sizes: number[] = [];
  for (let count = 1 + random(6), i = 0; i < count; i++) {
    const path = pick(FOLDERS) + pick(NAMES);
    if (parts[path] !== undefined) continue;
    const size = sizes.length > 0 && random(3) === 0 ? pick(sizes) : sizeOf(random);
    sizes.push(size);
    parts[path] = content(`${seed} ${i}`, size);
    if (random(6) === 0) parts[`.pad/${i}`] = (PIECE - (size % PIECE)) % PIECE || 1;
  }
  const collection: Record<string, Buffer> = {};
  for (const [path, bytes] of Object.entries(parts)) {
    if (typeof bytes === 'number') continue;
    for (let copies = random(4), i = 0; i < copies; i++) {
      const place = pick(PLACES);
      const called = renamed(path, pick, random);
      collection[place + called] = changed(bytes, random, `${seed} ${path} ${i}`);
    }
  }
  // Marks that make releases of folders that hold other files.
  if (random(2) === 0) {
    const place = pick(PLACES);
    collection[`${place}mark.rar`] ??= content('mark', 900);
    collection[`${place}mark.sfv`] ??= content('sfv', 60);
  }
  return { name: 'Set-GRP', parts, collection };
}

function sizeOf(random: Random): number {
  switch (random(4)) {
    case 0:
      return 1 + random(300);
    case 1:
      return 300 + random(PIECE);
    case 2:
      return PIECE * (1 + random(MOST_PIECES));
    default:
      return 1 + random(PIECE * MOST_PIECES);
  }
}

function renamed(path: string, pick: <T>(list: readonly T[]) => T, random: Random): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  switch (random(6)) {
    case 0:
      return pick(FOLDERS) + name;
    case 1:
      return pick(FOLDERS) + pick(NAMES);
    case 2:
      return `named otherwise ${random(99)}.bin`;
    case 3:
      return name;
    default:
      return path;
  }
}

/** Gives the bytes themselves, or what damage, tags and bad copies make of them. */
function changed(bytes: Buffer, random: Random, seed: string): Buffer {
  const { length } = bytes;
  const some = 1 + random(Math.max(1, Math.min(200, length >> 1)));
  switch (random(10)) {
    case 0:
      return edited(bytes, [['zero', 0, some]]);
    case 1:
      return edited(bytes, [['zero', length - some, some]]);
    case 2:
      return edited(bytes, [['flip', length >> 1, 1]]);
    case 3:
      return content(`wrong ${seed}`, length);
    case 4:
      return edited(bytes, [['insert', 0, some]]);
    case 5:
      return bytes.subarray(0, length - some);
    default:
      return bytes;
  }
}
