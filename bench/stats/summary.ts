/**
 * Order statistics of a few values, each from one run. Pure.
 *
 * Medians, because one disturbed run in ten must not decide. Outliers are reported, never removed: their meaning is for
 * the reader to judge.
 */
import { criticalT } from './student.ts';

/** For sort(). */
export function ascending(a: number, b: number): number {
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

/** The standard deviation of a sample; NaN with fewer than two values. */
export function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** Share of the cells without any disturbance that have a mark. */
export const OUTLIER_RATE = 0.01;
/** With fewer values outliers cannot be identified. */
const OUTLIER_VALUES_MIN = 5;

/** The deviations from the mean that one of n normal values exceeds with probability OUTLIER_RATE (Grubbs, 1950). */
function grubbsLimit(n: number): number {
  const t2 = criticalT(OUTLIER_RATE / n, n - 2) ** 2;
  return ((n - 1) / Math.sqrt(n)) * Math.sqrt(t2 / (n - 2 + t2));
}

/** The index of an outlier among the values, on the log scale if all are positive; null without an outlier. */
export function outlier(values: readonly number[]): number | null {
  if (values.length < OUTLIER_VALUES_MIN) return null;
  const scaled = Math.min(...values) > 0 ? values.map(Math.log) : values;
  const middle = mean(scaled);
  const distances = scaled.map((value) => Math.abs(value - middle));
  const farthest = Math.max(...distances);
  return farthest > grubbsLimit(values.length) * deviation(scaled) ? distances.indexOf(farthest) : null;
}
