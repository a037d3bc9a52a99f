/** Measurements that take turns. */
import { tell } from './suite.ts';

/**
 * Measures each case once a round, and gives each case's figures by round. Each round begins with another case, so that
 * other load on the machine affects all alike. Prints the figures if AUTOTORRENT_BENCH_FIGURES is set.
 */
export async function interleaved<Case extends string>(
  rounds: number,
  cases: Readonly<Record<Case, (round: number) => Promise<number>>>,
): Promise<Record<Case, number[]>> {
  const names = Object.keys(cases) as Case[];
  const figures = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Case, number[]>;
  for (let round = 0; round < rounds; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      figures[name].push(await cases[name](round));
    }
  }
  if (process.env['AUTOTORRENT_BENCH_FIGURES'] !== undefined) {
    for (const name of names) tell(`${name}: ${figures[name].map((figure) => figure.toPrecision(3)).join(' ')}`);
  }
  return figures;
}

/** Work per second, from the amount and the seconds that it took. */
export function rates(work: number, seconds: readonly number[]): number[] {
  return seconds.map((one) => work / one);
}
