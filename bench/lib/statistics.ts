/** The middle and the spread of repeated figures. */

/** Gives the median; NaN without figures. */
export function median(figures: readonly number[]): number {
  return quantile(figures, 0.5);
}

/**
 * Gives the spread of repeats of one measurement: the middle half of them, as a share of their median. Undefined for fewer
 * than three figures, which tell nothing about it.
 */
export function spread(figures: readonly number[]): number | undefined {
  if (figures.length < 3) return undefined;
  const middle = median(figures);
  return middle === 0 ? 0 : Math.abs((quantile(figures, 0.75) - quantile(figures, 0.25)) / middle);
}

/** Interpolates between two figures. */
function quantile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN];
  return below + (above - below) * (at - Math.floor(at));
}
