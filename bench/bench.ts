/**
 * `npm run bench [-- NAME…]`: measures speed beside references in the same run, prints a table and writes `bench.json`;
 * compares two runs. Figures are no tests, since a slow machine is not the program's fault: the exit status is 0 unless
 * `--strict` is given. `--help` prints the options; README.md beside this file explains how to read and add suites.
 */
import { parseArgs } from 'node:util';
import { messageOf } from '../src/errors.ts';
import { DataCache } from './data/cache.ts';
import { compareRuns } from './lib/compare.ts';
import { cleanUpAtSignals } from './lib/interruption.ts';
import { commit, machine, versions } from './lib/machine.ts';
import { comparisonTable, runTable } from './lib/report.ts';
import { meets } from './lib/row.ts';
import { newRun, type Run, readRun, type SuiteResult, writeRun } from './lib/run-file.ts';
import { PartialFailure, type Setting, type Suite, tell } from './lib/suite.ts';
import { SUITES } from './suites.ts';

const HELP = `npm run bench [-- [NAME…] [OPTION…]]

Suites; without a name all of them run:
${SUITES.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}

Options:
  --small         a fraction of the data, in seconds: to see that a suite works; its figures say nothing
  --whole         also measure what takes more than ten minutes by itself, and is extrapolated otherwise
  --out FILE      where the run is written (default: bench.json)
  --compare FILE  compare with the run in FILE
  --run FILE      compare the run in FILE instead of measuring one
  --strict        exit with 1 where a target is missed, or a row is worse than in the compared run

Environment:
  AUTOTORRENT_BENCH_DATA     the folder that keeps generated data (default: one in the folder for temporary files)
  AUTOTORRENT_BENCH_FIGURES  print the figures of each repeat
  AUTOTORRENT_BENCH_CLIENTS  the clients of the suite start (default: those that are installed): rtorrent,deluge
  AUTOTORRENT_BENCH_PARTS    the parts of the suite living (default: all): root,user,folder,looks,memory,events,slow
  AUTOTORRENT_BENCH_PATIENCE the factor by which the parts of the suite living may take longer, on a busy machine (default: 1)
  AUTOTORRENT_BENCH_GIB      GiB that the suite writes puts into one overlay (default: 10, or 2 where room is short)

Exit status: 0 done, 1 a suite failed or --strict objects, 2 wrong use
`;

class UsageError extends Error {}

interface Options {
  readonly suites: readonly Suite[];
  readonly small: boolean;
  readonly whole: boolean;
  readonly out: string;
  readonly compare: string | undefined;
  readonly run: string | undefined;
  readonly strict: boolean;
}

/** Gives undefined if help was asked for. @throws UsageError */
function parse(args: readonly string[]): Options | undefined {
  let parsed: ReturnType<typeof parseArguments>;
  try {
    parsed = parseArguments(args);
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
  const { values, positionals } = parsed;
  if (values.help) return undefined;
  const unknown = positionals.filter((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    throw new UsageError(
      `no such suite: ${unknown.join(', ')}; there are ${SUITES.map(({ name }) => name).join(', ')}`,
    );
  }
  if (values.run !== undefined && (values.compare === undefined || positionals.length > 0)) {
    throw new UsageError('--run FILE needs --compare FILE, and no names: nothing is measured then');
  }
  const suites = SUITES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const { small, whole, out, compare, run, strict } = values;
  return { suites, small, whole, out, compare, run, strict };
}

function parseArguments(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      small: { type: 'boolean', default: false },
      whole: { type: 'boolean', default: false },
      out: { type: 'string', default: 'bench.json' },
      compare: { type: 'string' },
      run: { type: 'string' },
      strict: { type: 'boolean', default: false },
    },
  });
}

/** Runs the suites. If one fails, the others still run; results are written after each. */
async function measure({ suites, small, whole, out }: Options): Promise<Run> {
  const setting: Setting = { size: small ? 'small' : 'full', whole, data: new DataCache() };
  const facts = {
    date: new Date().toISOString(),
    size: setting.size,
    ...commit(),
    versions: versions(),
    machine: machine(),
  };
  const results: SuiteResult[] = [];
  for (const { name, run } of suites) {
    tell(`${name} …`);
    const began = performance.now();
    const result = await run(setting).then(
      (rows) => ({ rows }),
      (error: unknown) => {
        tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
        return { rows: error instanceof PartialFailure ? error.rows : [], error: messageOf(error) };
      },
    );
    results.push({ name, seconds: (performance.now() - began) / 1000, ...result });
    writeRun(out, newRun({ ...facts, suites: results }));
  }
  return newRun({ ...facts, suites: results });
}

/** Prints the comparison, and tells if a row is worse. */
function compare(before: Run, after: Run): boolean {
  if (before.size !== after.size) throw new UsageError(`a run of size ${before.size} says nothing about ${after.size}`);
  const { cpu, kernel, processors } = before.machine;
  const now = after.machine;
  if (cpu !== now.cpu || kernel !== now.kernel || processors !== now.processors) {
    tell(
      `the runs are of two machines (${cpu}, ${kernel}; ${now.cpu}, ${now.kernel}): ratios can be compared, values cannot`,
    );
  }
  const comparisons = compareRuns(before, after);
  process.stdout.write(`${comparisonTable(comparisons)}\n`);
  return comparisons.some(({ verdict }) => verdict === 'worse');
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  // Read first: the run may be written to the same file.
  const before = options.compare === undefined ? undefined : readRun(options.compare);
  cleanUpAtSignals();
  const run = options.run === undefined ? await measure(options) : readRun(options.run);
  if (options.run === undefined) {
    process.stdout.write(`${runTable(run)}\n`);
    tell(`also in ${options.out}`);
  }
  const worse = before !== undefined && compare(before, run);
  if (run.suites.some(({ error }) => error !== undefined)) return 1;
  const missed = run.suites.some(({ rows }) => rows.some((row) => meets(row) === false));
  return options.strict && (worse || missed) ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  tell(messageOf(error));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
