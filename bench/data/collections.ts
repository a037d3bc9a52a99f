/** The generated collections that benchmarks run on. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** Where the generator is, which is no part of the project. */
const generator = (): string =>
  process.env['AUTOTORRENT_BENCH_GENERATOR'] ?? resolve('../shared/bench/gen_collection.py');

/** Writes `files` sparse files below `out`/data and torrents of them to `out`/torrents. */
export function generateTree(out: string, files: number, seed: number): void {
  const script = generator();
  if (!existsSync(script)) {
    throw new Error(`the generator of collections is not at ${script}: name it in AUTOTORRENT_BENCH_GENERATOR`);
  }
  execFileSync('python3', [script, 'tree', out, '--files', String(files), '--seed', String(seed)], {
    stdio: 'ignore',
  });
}

/**
 * The set for the hash modes: 3.4 GiB of changed files below `data`, `torrents` of what they were, and `truth.json`.
 * Made in `out`, or taken from where AUTOTORRENT_BENCH_HASH_SET says it lies. Undefined, with a message, where neither
 * is possible: the rows that need it are left out.
 */
export function hashSet(out: string, scale = 1): string | undefined {
  const ready = process.env['AUTOTORRENT_BENCH_HASH_SET'];
  if (ready !== undefined) return ready;
  const script = generator();
  if (!existsSync(script)) {
    process.stderr.write(
      `left out: the rows on the set for the hash modes, since its generator is not at ${script} ` +
        '(AUTOTORRENT_BENCH_GENERATOR names it, AUTOTORRENT_BENCH_HASH_SET a set that is ready)\n',
    );
    return undefined;
  }
  execFileSync('python3', [script, 'hash', out, '--scale', String(scale)], { stdio: 'ignore' });
  return out;
}
