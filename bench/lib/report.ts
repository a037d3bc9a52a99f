/** Prints a run, or a comparison of two, as tables. */
import { table } from '../../src/cli/format.ts';
import type { Comparison } from './compare.ts';
import { meets, type Row } from './row.ts';
import type { Run } from './run-file.ts';

export function runTable({ suites }: Pick<Run, 'suites'>): string {
  const rows = suites.flatMap(({ name, rows }) => rows.map((row) => [name, ...cells(row)]));
  const notes = suites.flatMap(({ rows }) => rows.filter(({ note }) => note !== undefined));
  const failed = suites.filter(({ error }) => error !== undefined);
  return [
    table(['SUITE', 'WHAT', 'VALUE', 'REFERENCE', 'RATIO', 'TARGET', ''], rows, new Set([2, 4])).join('\n'),
    ...notes.map(({ name, note }) => `${name}: ${note}`),
    ...failed.map(({ name, error }) => `${name} failed: ${error}`),
  ].join('\n');
}

/** One row as a line: its figure, its reference, its ratio and its target. */
export function rowLine(row: Row): string {
  const [name = '', value, reference, ratio, target, met] = cells(row);
  return `${name}: ${[value, reference, ratio, target, met].filter((cell) => cell !== '').join('; ')}`;
}

function cells(row: Row): string[] {
  const { name, value, unit, reference, ratio, target } = row;
  const met = meets(row);
  return [
    name,
    withUnit(value, unit),
    reference === undefined ? '' : `${reference.name}: ${withUnit(reference.value, reference.unit)}`,
    ratio === undefined ? '' : number(ratio),
    target === undefined ? '' : 'at_most' in target ? `≤ ${target.at_most}` : `≥ ${target.at_least}`,
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ];
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  return table(
    ['SUITE', 'WHAT', 'BEFORE', 'NOW', 'CHANGE', 'NOISE', ''],
    comparisons.map(({ suite, name, of, unit, before, after, change, noise, verdict }) => {
      const shown = (figure: number | undefined): string =>
        figure === undefined ? '' : of === 'ratio' ? number(figure) : withUnit(figure, unit);
      const changed = change === undefined ? '' : `${change > 0 ? '+' : ''}${percent(change)}`;
      const word = verdict === 'better' || verdict === 'worse' ? verdict.toUpperCase() : verdict;
      return [suite, name, shown(before), shown(after), changed, noise === undefined ? '' : `±${percent(noise)}`, word];
    }),
    new Set([2, 3, 4, 5]),
  ).join('\n');
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)}%` : '∞';
}

function withUnit(figure: number, unit: string): string {
  return unit === '' ? number(figure) : `${number(figure)} ${unit}`;
}

/** Shows three significant digits, and more if the number is large. */
function number(figure: number): string {
  return Number.isInteger(figure)
    ? String(figure)
    : Math.abs(figure) >= 100
      ? figure.toFixed(0)
      : figure.toPrecision(3);
}
