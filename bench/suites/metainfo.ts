/**
 * What parsing a large .torrent costs: seconds, and how many times as long as reading the file and taking its SHA-1.
 * Each case runs in a process of its own, so that its memory is its own. `node dist/bench/suites/metainfo.js`
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseMetainfo } from '../../src/metainfo/parse.ts';

const FILES = 200_000;
const PIECE_LENGTH = 16_384;
const string = (text: string): string => `${Buffer.byteLength(text)}:${text}`;
const number = (n: number): string => n.toString().padStart(6, '0');

/** 200,000 files in 2,000 folders. */
function v1(): Buffer {
  const files: string[] = [];
  for (let i = 0; i < FILES; i++) {
    const folder = string(`folder ${number(Math.floor(i / 100))}`);
    files.push(`d6:lengthi${PIECE_LENGTH}e4:pathl5:music${folder}${string(`a file's name ${number(i)}.flac`)}ee`);
  }
  return Buffer.concat([
    Buffer.from(
      `d4:infod5:filesl${files.join('')}e4:name5:large12:piece lengthi${PIECE_LENGTH}e6:pieces${FILES * 20}:`,
    ),
    Buffer.alloc(FILES * 20, 1),
    Buffer.from('ee'),
  ]);
}

/** 200,000 files in one folder, so that one dictionary has 200,000 keys. */
function v2(): Buffer {
  const parts: Buffer[] = [Buffer.from('d4:infod9:file treed5:musicd')];
  const root = Buffer.alloc(32, 1);
  for (let i = 0; i < FILES; i++) {
    const name = string(`a file's name ${number(i)}.flac`);
    parts.push(Buffer.from(`${name}d0:d6:lengthi${PIECE_LENGTH}e11:pieces root32:`), root, Buffer.from('ee'));
  }
  parts.push(Buffer.from(`ee12:meta versioni2e4:name5:large12:piece lengthi${PIECE_LENGTH}eee`));
  return Buffer.concat(parts);
}

/** Hostile: what fits into 64 MiB, each taking the worst turn that its kind can. */
const largest = 64 * 1024 * 1024;
const CASES: Readonly<Record<string, () => Buffer>> = {
  'v1, 200,000 files': v1,
  'v2, 200,000 files': v2,
  'v1, 3.3 million pieces': () => {
    const count = 3_300_000;
    return Buffer.concat([
      Buffer.from(
        `d4:infod6:lengthi${count * PIECE_LENGTH}e4:name1:n12:piece lengthi${PIECE_LENGTH}e6:pieces${count * 20}:`,
      ),
      Buffer.alloc(count * 20, 1),
      Buffer.from('ee'),
    ]);
  },
  'refused: a million keys out of order': () => {
    const keys = Array.from({ length: 1_000_001 }, (_, i) => `9:${(999_999_999 - i).toString()}0:`);
    return Buffer.from(`d${keys.join('')}e`);
  },
  'refused: 33 million empty strings': () => Buffer.from(`l${'0:'.repeat(largest / 2 - 1)}e`),
  'refused: small dictionaries out of order': () => Buffer.from(`l${'d1:b0:1:a0:e'.repeat(largest / 12 - 1)}e`),
  'refused: two million files': () => {
    const file = 'd6:lengthi1e4:pathl1:aee';
    return Buffer.from(`d4:infod5:filesl${file.repeat(largest / 25)}e4:name1:n12:piece lengthi1e6:pieces0:ee`);
  },
};

function measure(path: string): { readonly parse: number; readonly read: number; readonly rss: number } {
  const started = performance.now();
  createHash('sha1').update(readFileSync(path)).digest();
  const read = performance.now();
  try {
    parseMetainfo(readFileSync(path));
  } catch {
    // Refusals are measured as well.
  }
  const parsed = performance.now();
  return { parse: parsed - read, read: read - started, rss: process.resourceUsage().maxRSS / 1024 };
}

const given = process.argv[2];
if (given === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'autotorrent-bench-'));
  try {
    for (const [name, make] of Object.entries(CASES)) {
      const path = join(folder, 'large.torrent');
      writeFileSync(path, make());
      const { stdout } = spawnSync(process.execPath, [process.argv[1]!, path], { encoding: 'utf8' });
      process.stdout.write(`${name.padEnd(42)} ${stdout}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
} else {
  const { parse, read, rss } = measure(given);
  process.stdout.write(
    `${(parse / 1000).toFixed(2)} s, ${(parse / read).toFixed(0)} times reading and SHA-1, peak ${rss.toFixed(0)} MiB\n`,
  );
}
