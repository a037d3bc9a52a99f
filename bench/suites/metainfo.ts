/**
 * Parsing large .torrents, and hostile ones: each hostile one is the worst case of its kind. A process of its own parses
 * each, so that its memory can be measured: `node dist/bench/suites/metainfo.js TORRENT`.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { inFolder } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { READ_AND_DIGEST } from '../references/read-and-digest.ts';

/** The largest size of a hostile .torrent: a larger one is refused before it is parsed. */
const LARGEST = 64 * 1024 * 1024;
const PIECE_LENGTH = 16_384;
const PER_FOLDER = 100;
const SIZES = {
  full: { files: 200_000, pieces: 3_300_000, keys: 1_000_001, bytes: LARGEST, rounds: 3 },
  small: { files: 2_000, pieces: 3_000, keys: 1_001, bytes: 64 * 1024, rounds: 3 },
};
type Sizes = (typeof SIZES)['full'];

const string = (text: string): string => `${Buffer.byteLength(text)}:${text}`;
const number = (n: number): string => n.toString().padStart(6, '0');
const thousands = (n: number): string => n.toLocaleString('en');

/** Files in folders of a hundred. */
function v1({ files }: Sizes): Buffer {
  const list = Array.from({ length: files }, (_, i) => {
    const folder = string(`folder ${number(Math.floor(i / PER_FOLDER))}`);
    return `d6:lengthi${PIECE_LENGTH}e4:pathl5:music${folder}${string(`a file's name ${number(i)}.flac`)}ee`;
  });
  return Buffer.concat([
    Buffer.from(`d4:infod5:filesl${list.join('')}e4:name5:large12:piece lengthi${PIECE_LENGTH}e6:pieces${files * 20}:`),
    Buffer.alloc(files * 20, 1),
    Buffer.from('ee'),
  ]);
}

/** Files in one folder, so that one dictionary has a key for each. */
function v2({ files }: Sizes): Buffer {
  const root = Buffer.alloc(32, 1);
  const list = Array.from({ length: files }, (_, i) => [
    Buffer.from(`${string(`a file's name ${number(i)}.flac`)}d0:d6:lengthi${PIECE_LENGTH}e11:pieces root32:`),
    root,
    Buffer.from('ee'),
  ]);
  return Buffer.concat([
    Buffer.from('d4:infod9:file treed5:musicd'),
    ...list.flat(),
    Buffer.from(`ee12:meta versioni2e4:name5:large12:piece lengthi${PIECE_LENGTH}eee`),
  ]);
}

function manyPieces({ pieces }: Sizes): Buffer {
  const length = pieces * PIECE_LENGTH;
  return Buffer.concat([
    Buffer.from(`d4:infod6:lengthi${length}e4:name1:n12:piece lengthi${PIECE_LENGTH}e6:pieces${pieces * 20}:`),
    Buffer.alloc(pieces * 20, 1),
    Buffer.from('ee'),
  ]);
}

function casesOf(sizes: Sizes): readonly { readonly name: string; readonly make: () => Buffer }[] {
  const { files, pieces, keys, bytes } = sizes;
  const mib = bytes / 2 ** 20;
  const file = 'd6:lengthi1e4:pathl1:aee';
  return [
    { name: `v1, ${thousands(files)} files`, make: () => v1(sizes) },
    { name: `v2, ${thousands(files)} files`, make: () => v2(sizes) },
    { name: `v1, ${thousands(pieces)} pieces`, make: () => manyPieces(sizes) },
    {
      name: `refused: ${thousands(keys)} keys out of order`,
      make: () => Buffer.from(`d${Array.from({ length: keys }, (_, i) => `9:${999_999_999 - i}0:`).join('')}e`),
    },
    { name: `refused: ${mib} MiB of empty strings`, make: () => Buffer.from(`l${'0:'.repeat(bytes / 2 - 1)}e`) },
    {
      name: `refused: ${mib} MiB of small dictionaries out of order`,
      make: () => Buffer.from(`l${'d1:b0:1:a0:e'.repeat(bytes / 12 - 1)}e`),
    },
    {
      name: `refused: ${mib} MiB of files without pieces`,
      make: () => Buffer.from(`d4:infod5:filesl${file.repeat(bytes / 25)}e4:name1:n12:piece lengthi1e6:pieces0:ee`),
    },
  ];
}

export async function benchMetainfo(setting: Setting): Promise<Row[]> {
  const sizes = sized(setting, SIZES);
  return await inFolder(async (folder) => {
    const rows: Row[] = [];
    for (const { name, make } of casesOf(sizes)) {
      const path = join(folder, 'large.torrent');
      writeFileSync(path, make());
      const rounds = Array.from({ length: sizes.rounds }, () => measureIn(path));
      rows.push(
        compared({
          name,
          unit: 's',
          figures: rounds.map(({ parse }) => parse),
          reference: { ...READ_AND_DIGEST, figures: rounds.map(({ read }) => read) },
        }),
        absolute({ name: `${name}: memory`, unit: 'MiB', figures: rounds.map(({ memory }) => memory) }),
      );
    }
    return rows;
  });
}

/** Seconds, and the peak memory of the process in MiB. */
interface Measured {
  readonly parse: number;
  readonly read: number;
  readonly memory: number;
}

/** In a process of its own. */
function measureIn(path: string): Measured {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), path], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}

function measure(path: string): Measured {
  const started = performance.now();
  createHash('sha1').update(readFileSync(path)).digest();
  const read = performance.now();
  try {
    parseMetainfo(readFileSync(path));
  } catch {
    // Refusals are measured, too.
  }
  const parsed = performance.now();
  return {
    parse: (parsed - read) / 1000,
    read: (read - started) / 1000,
    memory: process.resourceUsage().maxRSS / 1024,
  };
}

const [, script, given] = process.argv;
if (script === fileURLToPath(import.meta.url) && given !== undefined) {
  process.stdout.write(JSON.stringify(measure(given)));
}
