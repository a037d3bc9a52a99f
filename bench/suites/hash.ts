/**
 * Hashing and verification against OpenSSL in the same run: `openssl speed` is the limit (it reads nothing), `openssl
 * dgst` what a native program reaches that has to read. Rows that need the set of the hash modes are left out where it
 * cannot be made.
 *
 * Each figure is the median over rounds of the ratio within a round: what else the machine does hits both sides alike.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HashJob, HashPool } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { BLOCK_BYTES } from '../../src/metainfo/merkle.ts';
import { autotorrentIn } from '../../test/harness/autotorrent.ts';
import { makeTorrentOf } from '../../test/harness/make-torrent.ts';
import { hashSet } from '../data/collections.ts';
import { type BenchRow, median } from '../lib/row.ts';
import { opensslCost, opensslDigest, opensslSpeed, PROCESSES } from '../references/openssl.ts';

const ROUNDS = 5;
const MIB = 1024 * 1024;
const FILES = 4;
const FILE_BYTES = 512 * MIB;
const TOTAL = FILES * FILE_BYTES;

export async function benchHash(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'autotorrent-bench-'));
  const pool = createHashPool({ threads: PROCESSES });
  try {
    const disk = join(folder, 'disk');
    const paths = writeRandomFiles(disk);
    return [
      ...(await poolRows(pool, paths)),
      await commandRow(folder, disk, paths),
      ...(await setRows(pool, join(folder, 'set'))),
    ];
  } finally {
    await pool.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeRandomFiles(folder: string): string[] {
  mkdirSync(folder);
  const buffer = Buffer.allocUnsafe(8 * MIB);
  return Array.from({ length: FILES }, (_, i) => {
    const path = join(folder, `file ${i}.bin`);
    const fd = openSync(path, 'w');
    for (let at = 0; at < FILE_BYTES; at += buffer.length) writeSync(fd, randomFillSync(buffer));
    closeSync(fd);
    return path;
  });
}

async function poolRows(pool: HashPool, paths: readonly string[]): Promise<BenchRow[]> {
  const kinds = [
    { name: 'full verification of 2 GiB, SHA-1, pieces of 1 MiB', algorithm: 'sha1', piece: MIB, target: '≥ 0.9' },
    { name: 'the same, pieces of 16 KiB', algorithm: 'sha1', piece: 16_384, target: '' },
    { name: 'the same, merkle trees, pieces of 1 MiB', algorithm: 'sha256', piece: MIB, target: '≥ 0.9' },
  ] as const;
  const rows: BenchRow[] = [];
  for (const { name, algorithm, piece, target } of kinds) {
    const jobs = jobsOf(paths, piece, algorithm === 'sha256');
    await pool.hash(jobs); // warm
    const seconds: number[] = [];
    const limits: number[] = [];
    const byLimit: number[] = [];
    const byCost: number[] = [];
    const byDigest: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const limit = await opensslSpeed(algorithm);
      const cost = await opensslCost(algorithm);
      const [elapsed, cpu] = await timed(async () => {
        const results = await pool.hash(jobs);
        if (results.some((result) => 'failed' in result)) throw new Error('not every piece was hashed');
      });
      const digest = await opensslDigest(paths, algorithm);
      seconds.push(elapsed);
      limits.push(limit);
      byLimit.push(TOTAL / elapsed / limit);
      byCost.push((cost * TOTAL) / cpu);
      byDigest.push(digest / elapsed);
    }
    const reference = `openssl speed ${algorithm}, ${PROCESSES} processes: ${(median(limits) / 1e9).toFixed(2)} GB/s`;
    const value = { value: median(seconds), unit: 's' };
    rows.push(
      { name, ...value, reference, ratio: median(byLimit), target },
      { name: '  of it, in processor time', ...value, reference: 'openssl speed', ratio: median(byCost), target: '' },
      {
        name: '  beside',
        ...value,
        reference: `openssl dgst, ${PROCESSES} at once`,
        ratio: median(byDigest),
        target: '',
      },
    );
  }
  return rows;
}

/** Start-up, index and plan included; the cache of hashes is away. */
async function commandRow(folder: string, disk: string, paths: readonly string[]): Promise<BenchRow> {
  const torrents = join(folder, 'torrents');
  mkdirSync(torrents);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(torrents, `${i}.torrent`), makeTorrentOf(path, { pieceLength: MIB }).raw);
  }
  const autotorrent = await autotorrentIn({ folder, disks: [disk] });
  const rebuilt = await autotorrent.run('rebuild');
  if (rebuilt.code !== 0) throw new Error(rebuilt.stderr);
  const seconds: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(join(folder, 'index.hashes'), { recursive: true, force: true });
    const limit = await opensslSpeed('sha1');
    const [elapsed] = await timed(async () => {
      const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', '--verify', 'full', torrents);
      if (code !== 0) throw new Error(stderr);
      const told = JSON.parse(stdout) as { readonly verified_pieces: number; readonly total_pieces: number }[];
      if (told.some((one) => one.verified_pieces !== one.total_pieces)) throw new Error('a piece was not verified');
    });
    seconds.push(elapsed);
    ratios.push(TOTAL / elapsed / limit);
  }
  const reference = `openssl speed sha1, ${PROCESSES} processes`;
  const name = 'add --dry-run --verify full of 2 GiB, the whole command';
  return { name, value: median(seconds), unit: 's', reference, ratio: median(ratios), target: '' };
}

/** On the set of the hash modes: all of it hashed, beside reading it and looking at it. */
async function setRows(pool: HashPool, out: string): Promise<BenchRow[]> {
  const set = hashSet(out);
  if (set === undefined) return [];
  const data = join(set, 'data');
  const paths = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const jobs = jobsOf(paths, 256 * 1024, false);
  await pool.hash(jobs); // warm
  const hashing: number[] = [];
  const reading: number[] = [];
  const finding: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [find] = await timed(() => void execFileSync('find', [data, '-printf', '%s %p\n'], { stdio: 'ignore' }));
    const [read] = await timed(() => paths.forEach(readThrough));
    const [hash] = await timed(async () => await pool.hash(jobs));
    finding.push(find);
    reading.push(read);
    hashing.push(hash);
    ratios.push(hash / read);
  }
  return [
    {
      name: `every byte of the set for the hash modes, ${paths.length} files`,
      value: median(hashing),
      unit: 's',
      reference: `reading it in one thread: ${median(reading).toFixed(2)} s; find: ${median(finding).toFixed(3)} s`,
      ratio: median(ratios),
      target: '',
    },
  ];
}

function jobsOf(paths: readonly string[], piece: number, merkle: boolean): HashJob[] {
  return paths.flatMap((text) => {
    const path = Buffer.from(text);
    const { dev, ino, size, mtimeMs } = lstatSync(path);
    const identity = { dev, ino, size, mtimeMs };
    return Array.from({ length: Math.ceil(size / piece) }, (_, i): HashJob => {
      const segments = [{ path, identity, offset: i * piece, length: Math.min(piece, size - i * piece) }];
      return merkle ? { segments, leaves: piece / BLOCK_BYTES } : segments;
    });
  });
}

const scratch = Buffer.allocUnsafe(256 * 1024);

function readThrough(path: string): void {
  const fd = openSync(path, 'r');
  while (readSync(fd, scratch) > 0);
  closeSync(fd);
}

/** Seconds by the clock, and of this process's processor time. */
async function timed(action: () => unknown): Promise<[elapsed: number, cpu: number]> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await action();
  const elapsed = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return [elapsed, (user + system) / 1e6];
}
