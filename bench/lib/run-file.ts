/** `bench.json`: a run with everything that its figures depend on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { messageOf } from '../../src/errors.ts';
import type { Commit, Machine } from './machine.ts';
import type { Row } from './row.ts';

/** Raise this when a field changes its meaning or is removed. */
const FORMAT = 1;

export interface Run extends Commit {
  readonly format: typeof FORMAT;
  /** The start of the run, ISO 8601. */
  readonly date: string;
  readonly size: 'full' | 'small';
  /** By program. */
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly suites: readonly SuiteResult[];
}

export interface SuiteResult {
  readonly name: string;
  /** Seconds for all of it, set-up included. */
  readonly seconds: number;
  readonly rows: readonly Row[];
  /** The reason why it lacks rows. */
  readonly error?: string;
}

export function newRun(facts: Omit<Run, 'format'>): Run {
  return { format: FORMAT, ...facts };
}

/** Writes a run. @throws Error if a figure is no number: JSON cannot express it */
export function writeRun(path: string, run: Run): void {
  for (const { name, rows } of run.suites) {
    for (const row of rows) {
      const figures = [row.value, ...row.figures, row.ratio ?? 0, ...(row.ratios ?? []), row.reference?.value ?? 0];
      if (!figures.every(Number.isFinite)) throw new Error(`${name}, ${row.name}: a figure is no number`);
    }
  }
  writeFileSync(path, `${JSON.stringify(run, null, 2)}\n`);
}

/** Reads a run. @throws Error that says why the file is no run */
export function readRun(path: string): Run {
  let run: Partial<Run> | null;
  try {
    run = JSON.parse(readFileSync(path, 'utf8')) as Partial<Run> | null;
  } catch (error) {
    throw new Error(`${path} cannot be read as the JSON of a run: ${messageOf(error)}`, { cause: error });
  }
  if (run?.format !== FORMAT) {
    const found = Array.isArray(run) ? 'a list of an older version' : `format ${JSON.stringify(run?.format)}`;
    throw new Error(`${path} is ${found}, and format ${FORMAT} is needed: make it again with npm run bench`);
  }
  const suites = Array.isArray(run.suites) ? run.suites : undefined;
  if (suites === undefined || !suites.every(isSuiteResult)) throw new Error(`${path}: its suites are damaged`);
  return run as Run;
}

function isSuiteResult(suite: Partial<SuiteResult> | null): boolean {
  return typeof suite?.name === 'string' && Array.isArray(suite.rows) && suite.rows.every(isRow);
}

function isRow(row: Partial<Row> | null): boolean {
  const numbers = (list: unknown): boolean => Array.isArray(list) && list.every((one) => typeof one === 'number');
  return (
    typeof row?.name === 'string' &&
    typeof row.unit === 'string' &&
    typeof row.value === 'number' &&
    numbers(row.figures) &&
    (row.ratio === undefined || (typeof row.ratio === 'number' && numbers(row.ratios)))
  );
}
