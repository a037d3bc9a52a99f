/**
 * The hash modes, on mangled files and on a tree in which nothing fits: their results, proven by reading them back through a
 * mount, and their cost. And the cost of names and sizes that repeat (`matching-repeats.ts`).
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EntryJson, FileJson, StatusJson } from '../../src/cli/json.ts';
import { loadConfig } from '../../src/config/load.ts';
import { segmentsOf } from '../../src/hash/hash-pool.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { NO_LIMIT } from '../../src/match/match-torrents.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import type { Autotorrent } from '../../test/harness/autotorrent.ts';
import { type MangledTruth, mangled, readMangledTruth } from '../data/mangled/mangled.ts';
import { tree } from '../data/tree/tree.ts';
import { range, readAndHash } from '../lib/access.ts';
import { countedMatching } from '../lib/counted-matching.ts';
import { interleaved } from '../lib/rounds.ts';
import { absolute, compared, type Row } from '../lib/row.ts';
import { done, dryRun, indexed, inFolder, secondsOf } from '../lib/setting.ts';
import { type Setting, sized } from '../lib/suite.ts';
import { OPENSSL_SPEED, opensslSpeed, PROCESSES } from '../references/openssl-speed.ts';
import { READ_AND_HASH } from '../references/read-and-hash.ts';
import { repeatRows } from './matching-repeats.ts';

const SIZES = {
  full: { files: 100_000, torrents: 100, scale: 1, rounds: 5, targets: true },
  small: { files: 200, torrents: 2, scale: 0.002, rounds: 3, targets: false },
};
const ALL: readonly MatchMode[] = ['unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'];
const ACCEPTED = ['add_limit_percent = 100', 'add_limit_size = 1 TiB'];
const scanModes = (modes: readonly MatchMode[]): string => `scan_mode = ${modes.join(',')}`;

export async function benchMatching(setting: Setting): Promise<Row[]> {
  return await inFolder(async (folder) => [
    ...(await mangledRows(folder, setting)),
    ...(await treeRows(folder, setting)),
    ...(await repeatRows(join(folder, 'repeats'), setting)),
  ]);
}

async function mangledRows(folder: string, setting: Setting): Promise<Row[]> {
  const set = setting.data.get(mangled({ seed: 1, scale: sized(setting, SIZES).scale }));
  const disk = join(set, 'data');
  const torrents = join(set, 'torrents');
  // Without a limit, small files of one size take minutes.
  const limits = sized(setting, { full: ['hash_size_varying = 60', 'hash_limit = none'], small: [] });
  const unlimited = [...limits, ...ACCEPTED];
  const found = await indexed(join(folder, 'found'), disk, { general: [scanModes(ALL), ...unlimited] });
  const slow = await indexed(join(folder, 'slow'), disk, { general: [scanModes(['hash_slow']), ...unlimited] });
  return [
    ...(await provenRows(found, torrents, readMangledTruth(set), sized(setting, SIZES).targets)),
    ...(await slowRows(slow, join(folder, 'slow'), torrents, setting)),
  ];
}

/** Reads every piece of every torrent through the mount, which another process serves. */
async function provenRows(
  autotorrent: Autotorrent,
  torrents: string,
  truth: MangledTruth,
  targets: boolean,
): Promise<Row[]> {
  const server = await autotorrent.mount();
  try {
    const before = bytesBelow(autotorrent.statePath);
    done(await autotorrent.run('add', '--no-client', '--verify', 'full', torrents));
    const sum = { good: 0, wrong: 0, metainfo: 0 };
    for (const file of readdirSync(torrents)) {
      const raw = readFileSync(join(torrents, file));
      const shown = (await autotorrent.json('show', file.replace(/\.torrent$/, ''))) as Shown;
      const { good, wrong } = await readBack(raw, shown);
      sum.good += good;
      sum.wrong += wrong;
      sum.metainfo += raw.length;
    }
    const { overlay_bytes: overlay, bytes_written: written } = (await autotorrent.json('status')) as StatusJson;
    const grown = bytesBelow(autotorrent.statePath) - before;
    // No mode finds a piece with an insertion in its middle.
    const unsplit = truth.whole - truth.split;
    const exact = true;
    return [
      absolute({
        name: `good pieces of ${truth.pieces}, all modes, read back through the mount`,
        unit: 'pieces',
        figures: [sum.good],
        target: targets ? { at_least: unsplit } : undefined,
        exact,
        note: `${truth.whole} pieces lie whole in the collection, ${truth.split} of them with an insertion inside`,
      }),
      absolute({
        name: 'pieces called good that are not',
        unit: 'pieces',
        figures: [sum.wrong],
        target: { at_most: 0 },
        exact,
      }),
      absolute({
        name: 'bytes written to the overlay for it',
        unit: 'bytes',
        figures: [(overlay ?? Number.NaN) + written],
        target: { at_most: 0 },
        exact,
      }),
      absolute({
        name: 'growth of the state',
        unit: 'MB',
        figures: [grown / 1e6],
        note: `the .torrents themselves are ${(sum.metainfo / 1e6).toFixed(2)} MB`,
      }),
    ];
  } finally {
    await server.stop();
  }
}

type Shown = EntryJson & {
  readonly verified_ranges: readonly (readonly [first: number, end: number])[];
  readonly file_list: readonly FileJson[];
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

/** The minimum of hashing is each found piece, once. */
async function slowRows(autotorrent: Autotorrent, folder: string, torrents: string, setting: Setting): Promise<Row[]> {
  const { rounds, targets } = sized(setting, SIZES);
  const count = readdirSync(torrents).length;
  const matched = await countedMatching(folder, torrents, ['hash_slow'], 60, NO_LIMIT); // warms the cache
  const { bytes, verifiedBytes } = matched;
  const { limit, dry } = await interleaved(rounds, {
    limit: async () => verifiedBytes / (await opensslSpeed('sha1')),
    dry: async () => await dryRun(autotorrent, torrents, count),
  });
  return [
    compared({
      name: 'hash_slow dry run of the mangled files',
      unit: 's',
      figures: dry,
      reference: {
        ...OPENSSL_SPEED,
        stands_for: `${OPENSSL_SPEED.stands_for} Here: for the bytes of every piece that is found.`,
        figures: limit,
      },
      ratios: dry.map((seconds, i) => seconds / (1.5 * (limit[i] ?? Number.NaN) + 0.5)),
      target: targets ? { at_most: 1 } : undefined,
      note: 'its ratio is to one and a half of that limit, and half a second for the start',
    }),
    compared({
      name: 'hash_slow dry run of the mangled files: bytes hashed',
      unit: 'GB',
      figures: [bytes / 1e9],
      reference: {
        name: 'pieces found',
        stands_for: 'The bytes of every piece that is found, each hashed once: the least that proves them.',
        figures: [verifiedBytes / 1e9],
      },
      target: targets ? { at_most: 1.3 } : undefined,
    }),
  ];
}

async function treeRows(folder: string, setting: Setting): Promise<Row[]> {
  const { files, torrents: wanted, rounds, targets } = sized(setting, SIZES);
  const data = setting.data.get(tree({ files, seed: 1, torrents: wanted }));
  const [disk, torrents] = [join(data, 'data'), join(data, 'torrents')];
  const count = readdirSync(torrents).length;
  const normal = await indexed(join(folder, 'normal'), disk, { general: [scanModes(['unsplitable', 'normal'])] });
  const hashed = await indexed(join(folder, 'hashed'), disk, { general: [scanModes(ALL), ...ACCEPTED] });
  const rebuild = (one: Autotorrent, name: string) => async (): Promise<number> => {
    rmSync(join(folder, name, 'index'), { recursive: true, force: true });
    return await secondsOf(async () => done(await one.run('rebuild', '--full')));
  };
  const rebuilt = await interleaved(rounds, { normal: rebuild(normal, 'normal'), hashed: rebuild(hashed, 'hashed') });
  const { hashLimit } = await loadConfig({ cwd: folder, env: {}, file: hashed.config });
  const { probes } = await countedMatching(join(folder, 'hashed'), torrents, ALL, 10, hashLimit);
  const elapsed = await dryRun(hashed, torrents, count);
  const ranges = probes.flatMap((job) => segmentsOf(job).flatMap((one) => ('path' in one ? [one] : [])));
  const probing = await readAndHash(range(PROCESSES).map((i) => ranges.filter((_, j) => j % PROCESSES === i)));
  const name = `add --dry-run of ${count} torrents of which nothing is there, all modes`;
  return [
    compared({
      name: `rebuild --full, ${files.toLocaleString('en')} files, for the modes that hash`,
      unit: 's',
      figures: rebuilt.hashed,
      reference: {
        name: 'for unsplitable and normal',
        stands_for: 'The same command where only names and sizes are looked up later.',
        figures: rebuilt.normal,
      },
      target: targets ? { at_most: 1.05 } : undefined,
    }),
    compared({
      name,
      unit: 's',
      figures: [elapsed],
      reference: { ...READ_AND_HASH, figures: [probing] },
      target: targets ? { at_most: 3 } : undefined,
      note: `${probes.length} candidates`,
    }),
    absolute({
      name: `${name}: by the clock`,
      unit: 's',
      figures: [elapsed],
      target: targets ? { at_most: 60 } : undefined,
    }),
  ];
}

function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const entry of existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
