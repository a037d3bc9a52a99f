/** One measured thing: a figure, mostly beside that of something known which was measured in the same run. */
import { median } from './statistics.ts';

export interface Row {
  /** What was measured; unique within its suite. */
  readonly name: string;
  readonly unit: string;
  /** The median of `figures`. */
  readonly value: number;
  /** One a repeat, in the order of the repeats. */
  readonly figures: readonly number[];
  readonly reference?: Reference;
  /** The median of `ratios`; absent where the target is absolute. */
  readonly ratio?: number;
  /** Our figure by the reference's, repeat by repeat: what else the machine does meanwhile hits both alike. */
  readonly ratios?: readonly number[];
  /** Of the ratio, where there is one, else of the value. */
  readonly target?: Target;
  /** Which of two ratios, or else values, is the better one. */
  readonly better: 'lower' | 'higher';
  /** A count, which repeats do not change: any change of it is one. */
  readonly exact?: true;
  /** What a reader has to know of how the figures came about. */
  readonly note?: string;
}

export interface Reference {
  readonly name: string;
  /** One sentence: what a program that reaches this figure does. */
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
  /** Default: by the target, else higher for what is a rate. */
  readonly better?: 'lower' | 'higher';
  readonly exact?: true;
  readonly note?: string | undefined;
}

/** A figure that stands by itself. */
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
  /** Where our figure is not to be divided by the reference's. */
  readonly ratios?: readonly number[];
}

/** A figure beside a reference's. Both have one figure for each round, or the reference has one for all. */
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

/** Whether the ratio, or else the value, is as the target says; undefined without a target. */
export function meets({ ratio, value, target }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  const figure = ratio ?? value;
  return 'at_most' in target ? figure <= target.at_most : figure >= target.at_least;
}
