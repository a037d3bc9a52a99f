/** The generated collections that benchmarks run on. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** Writes `files` sparse files below `out`/data and torrents of them to `out`/torrents. */
export function generateTree(out: string, files: number, seed: number): void {
  const generator = process.env['AUTOTORRENT_BENCH_GENERATOR'] ?? resolve('../shared/bench/gen_collection.py');
  if (!existsSync(generator)) {
    throw new Error(`the generator of collections is not at ${generator}: name it in AUTOTORRENT_BENCH_GENERATOR`);
  }
  execFileSync('python3', [generator, 'tree', out, '--files', String(files), '--seed', String(seed)], {
    stdio: 'ignore',
  });
}
