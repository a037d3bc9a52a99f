/**
 * `npm run bench [-- NAME…]`: speed as ratios to references measured in the same run, as a table and as JSON.
 * Names: rebuild, add, hash, matching, mount, writes. No figure is a test: the machine's noise is not the program's fault.
 * With AUTOTORRENT_BENCH_FIGURES set, mount and writes tell each figure of which they give the median.
 */
import { writeFile } from 'node:fs/promises';
import { table } from '../src/cli/format.ts';
import { type BenchRow, meets } from './lib/row.ts';

const SUITES: Readonly<Record<string, () => Promise<readonly BenchRow[]>>> = {
  rebuild: async () => (await import('./suites/rebuild.ts')).benchRebuild(),
  add: async () => (await import('./suites/add.ts')).benchAdd(),
  hash: async () => (await import('./suites/hash.ts')).benchHash(),
  matching: async () => (await import('./suites/matching.ts')).benchMatching(),
  mount: async () => (await import('./suites/mount.ts')).benchMount(),
  writes: async () => (await import('./suites/writes.ts')).benchWrites(),
};

const names = process.argv.slice(2).filter((arg) => arg in SUITES);
const rows: BenchRow[] = [];
for (const name of names.length === 0 ? Object.keys(SUITES) : names) {
  process.stderr.write(`${name} …\n`);
  rows.push(...((await SUITES[name]?.()) ?? []));
}
const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
process.stdout.write(
  `${table(
    ['WHAT', 'VALUE', 'REFERENCE', 'RATIO', 'TARGET', ''],
    rows.map((row) => [
      row.name,
      `${number(row.value)} ${row.unit}`,
      row.reference,
      row.ratio === undefined ? '' : number(row.ratio),
      row.target,
      row.target === '' ? '' : meets(row) ? 'met' : 'MISSED',
    ]),
    new Set([1, 3]),
  )}\n`,
);
const file = 'bench.json';
await writeFile(file, `${JSON.stringify(rows, null, 2)}\n`);
process.stderr.write(`also in ${file}\n`);
