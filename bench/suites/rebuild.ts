/** How long `rebuild` takes, start-up included, beside `find -printf '%s %p\n'` on the same warm tree. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { autotorrentIn } from '../../test/harness/autotorrent.ts';
import { generateTree } from '../data/collections.ts';
import { type BenchRow, median } from '../lib/row.ts';

const ROUNDS = 5;

interface Measured {
  readonly find: number;
  readonly full: number;
  readonly incremental: number;
  readonly maxRssMiB: number;
}

export async function benchRebuild(): Promise<BenchRow[]> {
  const top = mkdtempSync(join(tmpdir(), 'autotorrent-bench-'));
  try {
    const small = await measure(join(top, 'small'), 100_000, 1);
    const large = await measure(join(top, 'large'), 300_000, 2);
    const find = `find: ${small.find.toFixed(2)} s`;
    return [
      row('rebuild --full, 100,000 files', small.full, find, small.full / small.find, '≤ 4'),
      row('rebuild, 100,000 files, nothing changed', small.incremental, find, small.incremental / small.find, ''),
      row(
        'rebuild --full, 300,000 files',
        large.full,
        'rebuild --full, 100,000 files',
        large.full / small.full,
        '≤ 3.5',
      ),
      {
        name: 'rebuild --full, 100,000 files: memory',
        value: small.maxRssMiB,
        unit: 'MiB',
        reference: '',
        target: '≤ 286 MiB',
      },
    ];
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
}

function row(name: string, value: number, reference: string, ratio: number, target: string): BenchRow {
  return { name, value, unit: 's', reference, ratio, target };
}

/** Medians in seconds; the commands take turns, so that what else the machine does hits them alike. */
async function measure(folder: string, files: number, seed: number): Promise<Measured> {
  mkdirSync(folder);
  generateTree(join(folder, 'tree'), files, seed);
  const disk = join(folder, 'tree', 'data');
  const { config } = await autotorrentIn({ folder, disks: [disk] });
  const find: number[] = [];
  const full: number[] = [];
  const incremental: number[] = [];
  const rss: number[] = [];
  run('find', [disk, '-printf', '%s %p\n']); // warm
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(join(folder, 'index'), { recursive: true, force: true });
    find.push(run('find', [disk, '-printf', '%s %p\n']).seconds);
    const built = rebuild(config, '--full');
    full.push(built.seconds);
    rss.push(Number(/maxrss ([\d.]+)/.exec(built.stderr)?.[1]));
    incremental.push(rebuild(config).seconds);
  }
  return { find: median(find), full: median(full), incremental: median(incremental), maxRssMiB: median(rss) };
}

function rebuild(config: string, ...flags: readonly string[]): ReturnType<typeof run> {
  return run(process.execPath, [
    '--import',
    resolve('dist/bench/lib/rss.js'),
    resolve('dist/src/main.js'),
    '-c',
    config,
    'rebuild',
    ...flags,
  ]);
}

function run(command: string, args: readonly string[]): { readonly seconds: number; readonly stderr: string } {
  const start = performance.now();
  const { status, stderr, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')} failed: ${stderr.toString()}`);
  return { seconds, stderr: stderr.toString() };
}
