/**
 * Order statistics of a few values, each from one run. Pure.
 *
 * Medians and median deviations, because one disturbed run in ten must not decide. Outliers are reported, never
 * removed: their meaning is for the reader to judge.
 */

function ascending(a: number, b: number): number {
  return a - b;
}

/** The arithmetic mean; NaN without values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The median of sorted values; NaN without values. */
export function medianOfSorted(sorted: ArrayLike<number>): number {
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** The middle value, or the mean of the two middle ones; NaN without values. */
export function median(values: readonly number[]): number {
  return medianOfSorted([...values].sort(ascending));
}

/** The quantile `p` (0 to 1) with linear interpolation: type 7 of Hyndman and Fan, as in R and NumPy. */
export function quantileOfSorted(sorted: ArrayLike<number>, p: number): number {
  const position = (sorted.length - 1) * p;
  const below = Math.floor(position);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? Number.NaN;
  return low + (high - low) * (position - below);
}

/** The unscaled median absolute deviation from the median. */
export function medianDeviation(values: readonly number[]): number {
  const middle = median(values);
  return median(values.map((value) => Math.abs(value - middle)));
}

/** Ratio of standard deviation to median deviation of a normal distribution. */
const NORMAL_SCALE = 1.4826;
/** Scaled median deviations beyond which a value is an outlier (Iglewicz and Hoaglin, 1993). */
const OUTLIER_DEVIATIONS = 3.5;
/** With fewer values outliers cannot be identified. */
const OUTLIER_RUNS_MIN = 5;

/**
 * The indices of values more than 3.5 scaled median deviations from the median. Empty when half of the values are
 * equal, because any other value would then be an outlier.
 */
export function outliers(values: readonly number[]): number[] {
  if (values.length < OUTLIER_RUNS_MIN) return [];
  const middle = median(values);
  const limit = OUTLIER_DEVIATIONS * NORMAL_SCALE * medianDeviation(values);
  if (limit === 0) return [];
  return values.flatMap((value, index) => (Math.abs(value - middle) > limit ? [index] : []));
}
