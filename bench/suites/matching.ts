/**
 * The hash modes on the set of changed files and on the tree of 100,000: what they find, proven by reading it back through
 * a mount, what it costs, and what a run costs in which nothing fits.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { openIndex } from '../../src/collection/level/open-index.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { EntryMessage, FileMessage, StatusMessage } from '../../src/control/messages.ts';
import { type HashJob, type HashPool, jobBytes, segmentsOf } from '../../src/hash/hash-pool.ts';
import { createHashPool } from '../../src/hash/piscina-pool.ts';
import { silentLogger } from '../../src/logger.ts';
import type { HashLimit } from '../../src/match/hash-modes.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { matchTorrents, NO_LIMIT } from '../../src/match/match-torrents.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import { type Autotorrent, autotorrentIn } from '../../test/harness/autotorrent.ts';
import { generateTree, hashSet } from '../data/collections.ts';
import { probe } from '../lib/mounts.ts';
import { type BenchRow, median } from '../lib/row.ts';
import { opensslSpeed, PROCESSES } from '../references/openssl.ts';
import { benchResized } from './resized.ts';

const ROUNDS = 5;
const TREE_FILES = 100_000;
const ALL: readonly MatchMode[] = ['unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'];
const ACCEPTED = ['add_limit_percent = 100', 'add_limit_size = 1 TiB'];
const scanModes = (modes: readonly MatchMode[]): string => `scan_mode = ${modes.join(',')}`;

export async function benchMatching(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'autotorrent-bench-'));
  try {
    return [...(await setRows(folder)), ...(await treeRows(folder)), ...(await benchResized())];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function setRows(folder: string): Promise<BenchRow[]> {
  const set = hashSet(join(folder, 'set'));
  if (set === undefined) return [];
  const disk = join(set, 'data');
  const torrents = join(set, 'torrents');
  const unlimited = ['hash_size_varying = 60', 'hash_limit = none', ...ACCEPTED];
  const found = await configured(join(folder, 'found'), disk, [scanModes(ALL), ...unlimited]);
  const slow = await configured(join(folder, 'slow'), disk, [scanModes(['hash_slow']), ...unlimited]);
  return [...(await provenRows(found, torrents)), ...(await slowRows(slow, join(folder, 'slow'), torrents))];
}

async function configured(folder: string, disk: string, general: readonly string[]): Promise<Autotorrent> {
  await mkdir(folder);
  const autotorrent = await autotorrentIn({ folder, disks: [disk], general });
  const { code, stderr } = await autotorrent.run('rebuild');
  if (code !== 0) throw new Error(stderr);
  return autotorrent;
}

/** Every piece of every torrent, read through the mount by this process, which does not serve it. */
async function provenRows(autotorrent: Autotorrent, torrents: string): Promise<BenchRow[]> {
  const server = await autotorrent.mount();
  try {
    const before = bytesBelow(autotorrent.statePath);
    const { code, stdout, stderr } = await autotorrent.run('add', '--no-client', '--verify', 'full', torrents);
    if (code !== 0) throw new Error(stdout + stderr);
    const sum = { wanted: 0, good: 0, wrong: 0, metainfo: 0 };
    for (const file of readdirSync(torrents)) {
      const raw = readFileSync(join(torrents, file));
      const shown = (await autotorrent.json('show', file.replace(/\.torrent$/, ''))) as Shown;
      const { good, wrong } = await readBack(raw, shown);
      sum.wanted += shown.pieces;
      sum.good += good;
      sum.wrong += wrong;
      sum.metainfo += raw.length;
    }
    const { overlay_bytes: overlay, bytes_written: written } = (await autotorrent.json('status')) as StatusMessage;
    const grown = bytesBelow(autotorrent.statePath) - before;
    const reference = `${sum.wanted} wanted`;
    return [
      plain('good pieces, all hash modes, read back through the mount', sum.good, '', reference, '≥ 13191'),
      plain('pieces called good that are not', sum.wrong, '', reference, '≤ 0'),
      plain('bytes of files written for it', (overlay ?? Number.NaN) + written, 'B', 'the overlay', '≤ 0'),
      plain('the state has grown by', grown / 1e6, 'MB', `.torrents: ${(sum.metainfo / 1e6).toFixed(2)} MB`, ''),
    ];
  } finally {
    await server.stop();
  }
}

type Shown = EntryMessage & {
  readonly verified_ranges: readonly (readonly [first: number, end: number])[];
  readonly file_list: readonly FileMessage[];
};

async function readBack(raw: Buffer, shown: Shown): Promise<{ good: number; wrong: number }> {
  const { pieces, pieceLength } = parseMetainfo(raw);
  const files: Buffer[] = [];
  for (const { path } of shown.file_list) files.push(await readFile(join(shown.directory, path)));
  const all = Buffer.concat(files);
  const count = { good: 0, wrong: 0 };
  for (const [first, end] of shown.verified_ranges) {
    for (let piece = first; piece < end; piece++) {
      const bytes = all.subarray(piece * pieceLength, (piece + 1) * pieceLength);
      const agrees = createHash('sha1')
        .update(bytes)
        .digest()
        .equals(pieces.subarray(piece * 20, piece * 20 + 20));
      count[agrees ? 'good' : 'wrong']++;
    }
  }
  return count;
}

/** What must be hashed is every piece that is found, once. */
async function slowRows(autotorrent: Autotorrent, folder: string, torrents: string): Promise<BenchRow[]> {
  const { bytes, verifiedBytes } = await counted(folder, torrents, ['hash_slow'], 60, NO_LIMIT); // warm
  const seconds: number[] = [];
  const limits: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const limit = verifiedBytes / (await opensslSpeed('sha1'));
    const elapsed = await dryRun(autotorrent, torrents);
    seconds.push(elapsed);
    limits.push(limit);
    ratios.push(elapsed / (1.5 * limit + 0.5));
  }
  const reference = `SHA-1 limit of what must be hashed, ${PROCESSES} processes: ${median(limits).toFixed(2)} s`;
  return [
    {
      name: 'hash_slow dry run of the set, warm, to 1.5 limits + 0.5 s',
      value: median(seconds),
      unit: 's',
      reference,
      ratio: median(ratios),
      target: '≤ 1',
    },
    {
      name: '  bytes hashed for it',
      value: bytes / 1e9,
      unit: 'GB',
      reference: `must be hashed: ${(verifiedBytes / 1e9).toFixed(2)} GB`,
      ratio: bytes / verifiedBytes,
      target: '≤ 1.3',
    },
  ];
}

async function treeRows(folder: string): Promise<BenchRow[]> {
  const tree = join(folder, 'tree');
  generateTree(tree, TREE_FILES, 1);
  const disk = join(tree, 'data');
  const torrents = join(tree, 'torrents');
  const normal = await configured(join(folder, 'normal'), disk, [scanModes(['unsplitable', 'normal'])]);
  const hashed = await configured(join(folder, 'hashed'), disk, [scanModes(ALL), ...ACCEPTED]);
  const rebuilt: Record<'normal' | 'hashed', number[]> = { normal: [], hashed: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, one] of Object.entries({ normal, hashed })) {
      rmSync(join(folder, name, 'index'), { recursive: true, force: true });
      const began = performance.now();
      const { code, stderr } = await one.run('rebuild', '--full');
      if (code !== 0) throw new Error(stderr);
      rebuilt[name as 'normal' | 'hashed'].push((performance.now() - began) / 1000);
    }
  }
  const [value, reference] = [median(rebuilt.hashed), median(rebuilt.normal)];
  const { hashLimit } = await loadConfig({ cwd: folder, env: {}, file: hashed.config });
  const { probes } = await counted(join(folder, 'hashed'), torrents, ALL, 10, hashLimit);
  const elapsed = await dryRun(hashed, torrents);
  const ranges = probes.flatMap((job) => segmentsOf(job).flatMap((one) => ('path' in one ? [one] : [])));
  const probing = await probe(
    Array.from({ length: PROCESSES }, (_, i) => ranges.filter((_, j) => j % PROCESSES === i)),
  );
  const name = `add --dry-run of ${readdirSync(torrents).length} torrents of which nothing is there, all modes`;
  return [
    {
      name: `rebuild --full, ${TREE_FILES} files, for the hash modes`,
      value,
      unit: 's',
      reference: `for unsplitable and normal: ${reference.toFixed(2)} s`,
      ratio: value / reference,
      target: '≤ 1.05',
    },
    {
      name,
      value: elapsed,
      unit: 's',
      reference: `a piece of each of ${probes.length} candidates: ${probing.toFixed(1)} s`,
      ratio: elapsed / probing,
      target: '≤ 3',
    },
    plain('  by the clock', elapsed, 's', '', '≤ 60'),
  ];
}

/** Matches as the command does, and counts: bytes hashed, bytes of verified pieces, a first question for each candidate. */
async function counted(
  folder: string,
  torrents: string,
  modes: readonly MatchMode[],
  sizeVarying: number,
  hashLimit: HashLimit,
): Promise<{ readonly bytes: number; readonly verifiedBytes: number; readonly probes: readonly HashJob[] }> {
  const inner = createHashPool({ threads: PROCESSES });
  const tried = new Map<string, number>();
  const probes: HashJob[] = [];
  let bytes = 0;
  const pool: HashPool = {
    async hash(jobs, options) {
      for (const job of jobs) {
        bytes += jobBytes(job);
        const [segment] = segmentsOf(job);
        if (segment === undefined || 'zeros' in segment) continue;
        const key = segment.path.toString('latin1');
        const left = tried.get(key) ?? 0;
        if (left === 0) continue;
        tried.set(key, left - 1);
        probes.push(job);
      }
      return await inner.hash(jobs, options);
    },
    close: async () => await inner.close(),
  };
  const db = new Level<Buffer, Buffer>(join(folder, 'index'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const index = await openIndex(db);
  try {
    const matches = await matchTorrents(readable(torrents), {
      index,
      pool,
      options: { scanModes: modes, verify: 'probe', sizeVarying, hashLimit },
      logger: silentLogger,
      ownMounts: new OwnMounts(),
      // It is asked once for each candidate of each file.
      hypotheses({ path }) {
        const key = path.toString('latin1');
        tried.set(key, (tried.get(key) ?? 0) + 1);
        return [];
      },
    });
    let verifiedBytes = 0;
    for (const { metainfo, verifiedPieces } of matches) {
      verifiedBytes += Math.min(verifiedPieces * metainfo.pieceLength, metainfo.totalLength);
    }
    return { bytes, verifiedBytes, probes };
  } finally {
    await pool.close();
    await index.close();
    await db.close();
  }
}

/** A generated torrent may be none. */
function readable(torrents: string): { name: string; metainfo: ReturnType<typeof parseMetainfo> }[] {
  return readdirSync(torrents).flatMap((name) => {
    try {
      return [{ name, metainfo: parseMetainfo(readFileSync(join(torrents, name))) }];
    } catch {
      return [];
    }
  });
}

async function dryRun(autotorrent: Autotorrent, torrents: string): Promise<number> {
  const began = performance.now();
  const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', torrents);
  const elapsed = (performance.now() - began) / 1000;
  if (code !== 0 && code !== 3) throw new Error(stderr);
  const told = JSON.parse(stdout) as unknown[];
  if (told.length !== readdirSync(torrents).length) throw new Error('not every torrent was answered');
  return elapsed;
}

function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const entry of existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

function plain(name: string, value: number, unit: string, reference: string, target: string): BenchRow {
  return { name, value, unit, reference, target };
}
