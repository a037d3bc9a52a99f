/**
 * Torrents, and a user's copies of their files: renamed, cut, padded, re-tagged, with holes, rotten, in two damaged copies,
 * or missing. All of it comes from a seed.
 */
import { mkdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type MadeTorrent, makeTorrent, type TorrentContent } from '../../harness/make-torrent.ts';
import { type Edit, edited } from '../../match/edits.ts';
import { Random } from '../../stress/random.ts';

const KIB = 1024;
/** The approximate size of the largest file. */
const MOST_BYTES = 1024 * KIB;
/** 2020: long before it is hashed. */
const OLD = 1_577_836_800;

export interface Mangled extends MadeTorrent {
  /** The .torrent's name without its extension. */
  readonly name: string;
}

/** Writes the remaining files of one torrent below `disk`. */
export async function mangle(seed: number, disk: string): Promise<Mangled> {
  const random = new Random(seed);
  const pieceLength = random.pick([16, 16, 32, 64, 256]) * KIB;
  const name = `torrent ${seed}`;
  const content: TorrentContent[] = [];
  const count = random.pick([1, 1, 2, 3, 5]);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const data = random.bytes(lengthOf(random, pieceLength));
    content.push({ path: [`${seed} file ${i}.bin`], data });
    total += data.length;
    const rest = total % pieceLength;
    if (i + 1 === count || rest === 0 || !random.chance(0.2)) continue;
    const pad = pieceLength - rest;
    content.push({ path: ['.pad', `${i} ${pad}`], data: Buffer.alloc(pad), extra: { attr: 'p' } });
    total += pad;
  }
  // A torrent without bytes has no pieces.
  if (total === 0) content.push({ path: [`${seed} last.bin`], data: random.bytes(pieceLength + 1) });
  const folder = join(disk, `${seed}`);
  for (const { path, data, extra } of content)
    if (extra === undefined) await keep(random, folder, String(path[0]), data);
  const [first] = content;
  const isSingle = content.length === 1 && first !== undefined && random.chance(0.7);
  const made = makeTorrent({
    name: isSingle ? (first.path[0] ?? '') : name,
    content: isSingle ? first.data : content,
    pieceLength,
  });
  return { name, ...made };
}

function lengthOf(random: Random, piece: number): number {
  const most = Math.max(2, Math.floor(MOST_BYTES / piece));
  switch (random.weighted({ empty: 1, small: 3, whole: 1, pieces: 8 })) {
    case 'empty':
      return 0;
    case 'small':
      return random.between(1, piece - 1);
    case 'whole':
      return piece * random.between(1, 3);
    default:
      return random.between(piece, most * piece);
  }
}

/** The collection's copies of one file. */
async function keep(random: Random, folder: string, name: string, data: Buffer): Promise<void> {
  const stored = random.chance(0.5) ? name : `kept ${random.seed()}.dat`;
  const { length } = data;
  const put = (bytes: Buffer, below = '.'): Promise<void> => write(join(folder, below, stored), bytes);
  switch (random.weighted({ gone: 1, whole: 3, edited: 8, cut: 2, halves: 2, twins: 2 })) {
    case 'gone':
      return;
    case 'whole':
      return await put(data);
    case 'edited':
      return await put(edited(data, editsOf(random, length)));
    case 'cut': {
      // A download that got its full size, and stopped.
      const path = join(folder, stored);
      await write(path, data.subarray(0, random.between(0, length)));
      await truncate(path, length);
      return await utimes(path, OLD, OLD);
    }
    case 'halves': {
      const middle = random.between(0, length);
      await put(edited(data, [['zero', 0, middle]]), 'a');
      await put(edited(data, [['zero', middle, length - middle]]), 'b');
      return;
    }
    case 'twins':
      await put(random.bytes(length), random.pick(['a', 'c']));
      return await put(data, 'b');
  }
}

function editsOf(random: Random, length: number): Edit[] {
  const edits: Edit[] = [];
  const most = random.between(1, 4);
  for (let from = 0; edits.length < most && from < length; ) {
    const at = random.pick([from, random.between(from, length - 1), random.between(from, length - 1)]);
    const kind = random.pick(['insert', 'insert', 'delete', 'delete', 'zero', 'flip'] as const);
    const bytes = random.pick([1, 37, 128, 4096, random.between(1, 70_000)]);
    const reach = kind === 'insert' ? bytes : Math.min(bytes, length - at);
    edits.push([kind, at, reach]);
    from = kind === 'insert' ? at + 1 : at + reach;
  }
  return edits;
}

async function write(path: string, bytes: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  await utimes(path, OLD, OLD);
}
