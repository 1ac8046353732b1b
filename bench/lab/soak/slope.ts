/**
 * How fast a figure grows: a straight line by least squares, with a 95 % interval. Pure.
 *
 * Consecutive samples of memory are not independent: a heap grows and is collected again, so neighbours are alike, and
 * the usual interval would be far too narrow. Nor are they normal: for a moment after a worker's death its memory is
 * gone. So the line is fitted to the medians of at most 20 blocks of consecutive samples (Student's t with the number
 * of blocks less two degrees of freedom).
 */
import { criticalT } from '../../stats/student.ts';
import { mean, median } from '../../stats/summary.ts';

/** A line's slope and its 95 % interval. */
export interface Slope {
  slope: number;
  low: number;
  high: number;
}

export const BLOCKS_MAX = 20;
/** Fewer blocks give no useful interval. */
const BLOCKS_MIN = 5;
/** Medians of at most BLOCKS_MAX blocks of consecutive values, as equal in length as possible. */
function blockMedians(values: readonly number[]): number[] {
  const count = Math.min(BLOCKS_MAX, values.length);
  const edge = (i: number) => Math.round((i * values.length) / count);
  return Array.from({ length: count }, (_, i) => median(values.slice(edge(i), edge(i + 1))));
}

/** The slope of `ys` over `xs`, which have the same length. Null when there are too few, or all x are equal. */
export function slopeOf(xs: readonly number[], ys: readonly number[]): Slope | null {
  const [x, y] = [blockMedians(xs), blockMedians(ys)];
  if (x.length < BLOCKS_MIN) return null;
  const [middleX, middleY] = [mean(x), mean(y)];
  const spread = x.reduce((sum, value) => sum + (value - middleX) ** 2, 0);
  if (spread === 0) return null;
  const at = (i: number) => (y[i] as number) - middleY; // y is as long as x
  const slope = x.reduce((sum, value, i) => sum + (value - middleX) * at(i), 0) / spread;
  const rest = x.reduce((sum, value, i) => sum + (at(i) - slope * (value - middleX)) ** 2, 0);
  const degrees = x.length - 2;
  const margin = criticalT(0.05, degrees) * Math.sqrt(rest / degrees / spread);
  return { slope, low: slope - margin, high: slope + margin };
}

/** The same slope in other units. */
export function scaled({ slope, low, high }: Slope, factor: number): Slope {
  return { slope: slope * factor, low: low * factor, high: high * factor };
}
