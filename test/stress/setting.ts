/** Sets how much a run does: little in `npm test`, much in `npm run test:stress`, and one run again with a seed. */
export interface Setting {
  readonly seeds: readonly number[];
  /** Operations for each seed. */
  readonly count: number;
}

function numberOf(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${name} must be a number, not ${text}`);
  return number;
}

/** Seeds that lie so far apart that no two runs share one: each episode takes the next. */
const APART = 10_000;
const LONG_SEEDS = 4;

/**
 * Gives the runs: `STRESS_OPS` operations, or `short` if it is not set. A long run is split among several seeds, except with
 * `STRESS_SEED`, which is then the only seed.
 */
export function settingOf(short: number): Setting {
  const count = numberOf('STRESS_OPS') ?? short;
  const seed = numberOf('STRESS_SEED');
  if (seed !== undefined) return { seeds: [seed], count };
  if (count <= short) return { seeds: [1], count };
  return {
    seeds: Array.from({ length: LONG_SEEDS }, (_, i) => 1 + i * APART),
    count: Math.ceil(count / LONG_SEEDS),
  };
}

/** Rounds of killing, from `STRESS_ROUNDS`. */
export function roundsOf(short: number): number {
  return numberOf('STRESS_ROUNDS') ?? short;
}

export function killSeed(): number {
  return numberOf('STRESS_SEED') ?? 1;
}
