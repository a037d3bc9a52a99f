/** One measurement: a figure, mostly beside that of a reference that was measured in the same run. */
import { median } from './statistics.ts';

export interface Row {
  /** The name of the measurement; unique within its suite. */
  readonly name: string;
  readonly unit: string;
  /** The median of `figures`. */
  readonly value: number;
  /** One for each repeat, in order. */
  readonly figures: readonly number[];
  readonly reference?: Reference;
  /** The median of `ratios`; absent if the target is absolute. */
  readonly ratio?: number;
  /** Our figure by the reference's, for each repeat: other load on the machine affects both alike. */
  readonly ratios?: readonly number[];
  /** The target of the ratio if there is one, else of the value. */
  readonly target?: Target;
  /** Tells which of two ratios, or else values, is better. */
  readonly better: 'lower' | 'higher';
  /** True for a count, which repeats do not change: any change counts. */
  readonly exact?: true;
  /** Facts about the figures that a reader must know. */
  readonly note?: string;
}

export interface Reference {
  readonly name: string;
  /** One sentence that describes the program with this figure. */
  readonly stands_for: string;
  readonly unit: string;
  readonly value: number;
  readonly figures: readonly number[];
}

export type Target = { readonly at_most: number } | { readonly at_least: number };

/** A reference without its figures: each has a file below `references/`. */
export type ReferenceKind = Pick<Reference, 'name' | 'stands_for'>;

interface RowOptions {
  readonly name: string;
  readonly unit: string;
  /** At least one. */
  readonly figures: readonly number[];
  readonly target?: Target | undefined;
  /** Default: by the target; without one, higher for rates. */
  readonly better?: 'lower' | 'higher';
  readonly exact?: true;
  readonly note?: string | undefined;
}

/** Makes a row of a figure that stands by itself. */
export function absolute({ name, unit, figures, target, better, exact, note }: RowOptions): Row {
  return {
    name,
    unit,
    value: median(figures),
    figures,
    ...(target === undefined ? {} : { target }),
    better: better ?? betterBy(target, unit),
    ...(exact === undefined ? {} : { exact }),
    ...(note === undefined ? {} : { note }),
  };
}

interface ComparedOptions extends RowOptions {
  readonly reference: ReferenceKind & {
    readonly figures: readonly number[];
    /** Default: the row's. */
    readonly unit?: string;
  };
  /** Ratios to use instead of our figures divided by the reference's. */
  readonly ratios?: readonly number[];
}

/** Makes a row of a figure beside a reference's. Both have a figure for each round, or the reference one for all. */
export function compared({ reference, ratios, ...options }: ComparedOptions): Row {
  const { name, stands_for, figures, unit = options.unit } = reference;
  const byRound = ratios ?? options.figures.map((figure, i) => figure / (figures[i] ?? median(figures)));
  return {
    ...absolute(options),
    reference: { name, stands_for, unit, value: median(figures), figures },
    ratio: median(byRound),
    ratios: byRound,
  };
}

function betterBy(target: Target | undefined, unit: string): 'lower' | 'higher' {
  if (target !== undefined) return 'at_most' in target ? 'lower' : 'higher';
  return unit.endsWith('/s') ? 'higher' : 'lower';
}

/** Tells if the ratio, or else the value, meets the target; undefined without a target. */
export function meets({ ratio, value, target }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  const figure = ratio ?? value;
  return 'at_most' in target ? figure <= target.at_most : figure >= target.at_least;
}
