/**
 * Hashing and verification beside OpenSSL in the same run. `openssl speed` is the limit, since it reads nothing; `openssl
 * dgst` shows what a native program reaches that has to read.
 */
import { lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HashJob, HashPool } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { BLOCK_BYTES } from '../../src/metainfo/merkle.ts';
import { identityOf } from '../../src/source/identity.ts';
import { ANYWHERE } from '../../test/harness/anywhere.ts';
import { makeTorrentOf } from '../../test/harness/make-torrent.ts';
import { writeDataFile } from '../data/known-bytes.ts';
import { mangled } from '../data/mangled/mangled.ts';
import { MIB, range } from '../lib/access.ts';
import { interleaved } from '../lib/rounds.ts';
import { compared, type Row } from '../lib/row.ts';
import { done, indexed, inFolder, secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { FIND, findSeconds } from '../references/find.ts';
import { digestSeconds, OPENSSL_DIGEST } from '../references/openssl-digest.ts';
import { OPENSSL_COST, OPENSSL_SPEED, opensslCost, opensslSpeed, PROCESSES } from '../references/openssl-speed.ts';
import { READ_THROUGH, readThroughSeconds } from '../references/read-through.ts';

const SIZES = {
  full: { fileBytes: 512 * MIB, rounds: 5, scale: 1 },
  small: { fileBytes: 8 * MIB, rounds: 3, scale: 0.01 },
};
const FILES = 4;

export async function benchHash(setting: Setting): Promise<Row[]> {
  const { fileBytes, rounds, scale } = sized(setting, SIZES);
  const pool = createHashPool({ sources: ANYWHERE, threads: PROCESSES });
  try {
    return await inFolder(async (folder) => {
      const disk = join(folder, 'disk');
      mkdirSync(disk);
      const paths = range(FILES).map((i) => join(disk, `file ${i}.bin`));
      for (const [i, path] of paths.entries()) writeDataFile(path, fileBytes, i);
      return [
        ...(await poolRows(pool, paths, FILES * fileBytes, rounds)),
        await commandRow(folder, disk, paths, FILES * fileBytes, rounds),
        ...(await mangledRows(pool, join(setting.data.get(mangled({ seed: 1, scale })), 'data'), rounds)),
      ];
    });
  } finally {
    await pool.close();
  }
}

const KINDS = [
  { title: 'SHA-1, pieces of 1 MiB', algorithm: 'sha1', piece: MIB, target: { at_least: 0.9 } },
  { title: 'SHA-1, pieces of 16 KiB', algorithm: 'sha1', piece: 16_384, target: undefined },
  { title: 'merkle trees, pieces of 1 MiB', algorithm: 'sha256', piece: MIB, target: { at_least: 0.9 } },
] as const;

async function poolRows(pool: HashPool, paths: readonly string[], total: number, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { title, algorithm, piece, target } of KINDS) {
    const jobs = jobsOf(paths, piece, algorithm === 'sha256');
    await pool.hash(jobs); // warms threads and cache
    const costs: number[] = [];
    const { limit, cost, hash, digest } = await interleaved(rounds, {
      limit: async () => await opensslSpeed(algorithm),
      cost: async () => await opensslCost(algorithm),
      hash: async () => {
        const before = process.cpuUsage();
        const seconds = await secondsOf(async () => {
          const results = await pool.hash(jobs);
          if (results.some((result) => 'failed' in result)) throw new Error('not every piece was hashed');
        });
        const { user, system } = process.cpuUsage(before);
        costs.push((user + system) / 1e6);
        return seconds;
      },
      digest: async () => await digestSeconds(paths, algorithm),
    });
    const name = `full verification of ${size(total)}, ${title}`;
    const speeds = { unit: 'GB/s', figures: hash.map((seconds) => total / 1e9 / seconds) };
    rows.push(
      compared({
        name,
        ...speeds,
        reference: { ...OPENSSL_SPEED, figures: limit.map((bytes) => bytes / 1e9) },
        target,
      }),
      compared({
        name: `${name}: processor time`,
        unit: 's',
        figures: costs,
        reference: { ...OPENSSL_COST, figures: cost.map((seconds) => seconds * total) },
      }),
      compared({
        name: `${name}: by the clock`,
        unit: 's',
        figures: hash,
        reference: { ...OPENSSL_DIGEST, figures: digest },
      }),
    );
  }
  return rows;
}

/** The whole command: with start-up, index and plan, and without the cache of digests. */
async function commandRow(
  folder: string,
  disk: string,
  paths: readonly string[],
  total: number,
  rounds: number,
): Promise<Row> {
  const torrents = join(folder, 'torrents');
  mkdirSync(torrents);
  for (const [i, path] of paths.entries()) {
    writeFileSync(join(torrents, `${i}.torrent`), makeTorrentOf(path, { pieceLength: MIB }).raw);
  }
  const autotorrent = await indexed(folder, disk);
  const { limit, add } = await interleaved(rounds, {
    limit: async () => await opensslSpeed('sha1'),
    add: async () => {
      rmSync(join(folder, 'index.hashes'), { recursive: true, force: true });
      return await secondsOf(async () => {
        const stdout = done(await autotorrent.run('add', '--dry-run', 'json', '--verify', 'full', torrents));
        const answers = JSON.parse(stdout) as { readonly verified_pieces: number; readonly total_pieces: number }[];
        if (answers.some((one) => one.verified_pieces !== one.total_pieces))
          throw new Error('a piece was not verified');
      });
    },
  });
  return compared({
    name: `add --dry-run --verify full of ${size(total)}, the whole command`,
    unit: 'GB/s',
    figures: add.map((seconds) => total / 1e9 / seconds),
    reference: { ...OPENSSL_SPEED, figures: limit.map((bytes) => bytes / 1e9) },
  });
}

/** Every byte of the mangled files, beside reading and digesting them. */
async function mangledRows(pool: HashPool, disk: string, rounds: number): Promise<Row[]> {
  const paths = readdirSync(disk, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const jobs = jobsOf(paths, 256 * 1024, false);
  await pool.hash(jobs); // warms the cache
  const { hash, read, find } = await interleaved(rounds, {
    hash: async () => await secondsOf(async () => await pool.hash(jobs)),
    read: async () => await readThroughSeconds(paths),
    find: async () => await findSeconds(disk),
  });
  const row = { name: `every byte of the mangled files (${paths.length})`, unit: 's', figures: hash };
  return [
    compared({ ...row, reference: { ...READ_THROUGH, figures: read } }),
    compared({ ...row, name: `${row.name}, beside find`, reference: { ...FIND, figures: find } }),
  ];
}

function jobsOf(paths: readonly string[], piece: number, merkle: boolean): HashJob[] {
  return paths.flatMap((text) => {
    const path = Buffer.from(text);
    const identity = identityOf(lstatSync(path, { bigint: true }));
    const { size } = identity;
    return range(Math.ceil(size / piece)).map((i): HashJob => {
      const segments = [{ path, identity, offset: i * piece, length: Math.min(piece, size - i * piece) }];
      return merkle ? { segments, leaves: piece / BLOCK_BYTES } : segments;
    });
  });
}

function size(bytes: number): string {
  return bytes >= 2 ** 30 ? `${bytes / 2 ** 30} GiB` : `${bytes / MIB} MiB`;
}
