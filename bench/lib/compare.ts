/** Compares two runs, row by row: tells changes from noise. */
import type { Row } from './row.ts';
import type { Run } from './run-file.ts';
import { spread } from './statistics.ts';

/**
 * `same`: the change is within the noise. `unclear`: one of the runs has too few repeats to tell.
 * `new` and `gone`: one of the runs lacks the row, or measures it in another unit.
 */
export type Verdict = 'better' | 'worse' | 'same' | 'unclear' | 'new' | 'gone';

export interface Comparison {
  readonly suite: string;
  readonly name: string;
  /** `ratio` if both runs have one, else `value`. */
  readonly of: 'ratio' | 'value';
  readonly unit: string;
  readonly before?: number;
  readonly after?: number;
  /** (after - before) / before. */
  readonly change?: number;
  /** The spreads of the repeats of both runs, added: a smaller change means nothing. */
  readonly noise?: number;
  readonly verdict: Verdict;
}

/** Compares in the order of `after`. Leaves out suites that only one of the runs has. */
export function compareRuns(before: Run, after: Run): Comparison[] {
  return after.suites.flatMap((suite) => {
    const old = before.suites.find(({ name }) => name === suite.name);
    if (old === undefined) return [];
    const key = ({ name, unit }: Row): string => `${name}\0${unit}`;
    const oldRows = new Map(old.rows.map((row) => [key(row), row]));
    const compared = suite.rows.map((row) => compareRows(suite.name, oldRows.get(key(row)), row));
    const kept = new Set(suite.rows.map(key));
    const gone = old.rows.filter((row) => !kept.has(key(row)));
    return [...compared, ...gone.map((row) => compareRows(suite.name, row, undefined))];
  });
}

function compareRows(suite: string, before: Row | undefined, after: Row | undefined): Comparison {
  const of = (before ?? after)?.ratio !== undefined && (after ?? before)?.ratio !== undefined ? 'ratio' : 'value';
  const [old, now] = [before?.[of], after?.[of]];
  const about = { suite, name: (after ?? before)?.name ?? '', unit: (after ?? before)?.unit ?? '', of } as const;
  if (before === undefined || after === undefined || old === undefined || now === undefined) {
    return {
      ...about,
      ...(old === undefined ? {} : { before: old }),
      ...(now === undefined ? {} : { after: now }),
      verdict: before === undefined ? 'new' : 'gone',
    };
  }
  const change = old === now ? 0 : (now - old) / Math.abs(old);
  const noise = noiseOf(before, after, of);
  const figures = { ...about, before: old, after: now, change, ...(noise === undefined ? {} : { noise }) };
  if (change === 0) return { ...figures, verdict: 'same' };
  if (noise === undefined) return { ...figures, verdict: 'unclear' };
  if (Math.abs(change) <= noise) return { ...figures, verdict: 'same' };
  return { ...figures, verdict: change < 0 === (after.better === 'lower') ? 'better' : 'worse' };
}

function noiseOf(before: Row, after: Row, of: 'ratio' | 'value'): number | undefined {
  if (after.exact === true && of === 'value') return 0;
  const repeats = of === 'ratio' ? 'ratios' : 'figures';
  const [one, other] = [spread(before[repeats] ?? []), spread(after[repeats] ?? [])];
  return one === undefined || other === undefined ? undefined : one + other;
}
