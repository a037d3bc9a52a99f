/** What every benchmark gives: a figure, beside one of something known that was measured in the same run. */

export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it is compared with, and its own figure. */
  readonly reference: string;
  /** value / reference's value; absent where the target is absolute. */
  readonly ratio?: number;
  /** As the figure should be: `≤ 4`, `≥ 0.9`. */
  readonly target: string;
}

/** Of an odd or even number of figures. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Whether a figure (the ratio, else the value) is as the target says. */
export function meets(row: BenchRow): boolean {
  const [, sign, bound] = /^([≤≥]) ([\d.]+)/.exec(row.target) ?? [];
  const figure = row.ratio ?? row.value;
  return sign === '≤' ? figure <= Number(bound) : figure >= Number(bound);
}
