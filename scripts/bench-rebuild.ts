/**
 * How long `rebuild` takes, beside `find -printf '%s %p\n'` on the same warm tree.
 * The trees come from the generator that `AUTOTORRENT_BENCH_GENERATOR` names.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What `ratio` is relative to. */
  readonly reference: string;
  readonly ratio: number;
  readonly target: string;
}

const ROUNDS = 5;
const CHILD = fileURLToPath(new URL('./bench-rebuild-child.js', import.meta.url));

interface Measured {
  readonly find: number;
  readonly full: number;
  readonly incremental: number;
  readonly maxRssMiB: number;
}

export async function benchRebuild(): Promise<BenchRow[]> {
  const generator = process.env['AUTOTORRENT_BENCH_GENERATOR'] ?? '../shared/bench/gen_collection.py';
  if (!existsSync(generator)) {
    throw new Error(`${generator} is missing: set AUTOTORRENT_BENCH_GENERATOR to gen_collection.py`);
  }
  const top = mkdtempSync(join(tmpdir(), 'autotorrent-bench-'));
  try {
    const generate = (files: number, seed: number): string => {
      const out = join(top, `tree-${files}`);
      run('python3', [generator, 'tree', out, '--files', `${files}`, '--seed', `${seed}`]);
      return join(out, 'data');
    };
    const small = measure(generate(100_000, 1), join(top, 'db-small'));
    const large = measure(generate(300_000, 2), join(top, 'db-large'));
    return [
      row('rebuild --full, 100,000 files', small.full, 'find', small.full / small.find, '<= 4'),
      row('rebuild, 100,000 files, nothing changed', small.incremental, 'find', small.incremental / small.find, '-'),
      row('rebuild --full, 300,000 files', large.full, '100,000 files', large.full / small.full, '<= 3.5'),
      {
        name: 'rebuild --full, 100,000 files: memory',
        value: small.maxRssMiB,
        unit: 'MiB',
        reference: '300 MB',
        ratio: (small.maxRssMiB * 2 ** 20) / 300e6,
        target: '< 1',
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
function measure(disk: string, db: string): Measured {
  const find: number[] = [];
  const full: number[] = [];
  const incremental: number[] = [];
  const rss: number[] = [];
  run('find', [disk, '-printf', '%s %p\n']); // warm
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(db, { recursive: true, force: true });
    find.push(run('find', [disk, '-printf', '%s %p\n']).seconds);
    const built = run(process.execPath, [CHILD, db, disk, 'full']);
    full.push(built.seconds);
    const { maxRssMiB }: { maxRssMiB: number } = JSON.parse(built.output);
    rss.push(maxRssMiB);
    incremental.push(run(process.execPath, [CHILD, db, disk]).seconds);
  }
  return { find: median(find), full: median(full), incremental: median(incremental), maxRssMiB: median(rss) };
}

function run(command: string, args: readonly string[]): { readonly seconds: number; readonly output: string } {
  const keep = command === process.execPath;
  const start = performance.now();
  const { status, stdout, error } = spawnSync(command, args, {
    stdio: ['ignore', keep ? 'pipe' : 'ignore', 'inherit'],
  });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')} failed`);
  return { seconds, output: keep ? stdout.toString() : '' };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await benchRebuild());
