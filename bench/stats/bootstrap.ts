/**
 * Bootstrap intervals of a median and of the ratio of two medians. Pure: the same seed gives the same interval.
 *
 * Percentile method: n of the n values are drawn with replacement, a thousand times; the interval is the middle 95 % of
 * the medians of these draws. Accelerated variants (BCa) need a jackknife, which does not converge for the median. With
 * ten values or fewer the interval is somewhat too narrow, so a verdict requires more (verdict.ts), and the tests count
 * how often equal distributions are judged different. Fewer than six values have no interval.
 */
import { z } from 'zod';
import { seededRandom } from '../random.ts';
import { median, medianOfSorted, quantileOfSorted } from './summary.ts';

export interface Interval {
  low: number;
  high: number;
}

export const Estimate = z
  .object({ median: z.number(), low: z.number().nullable(), high: z.number().nullable() })
  .meta({
    id: 'estimate',
    description: 'A median and its 95 % bootstrap interval, which is null with fewer than six runs.',
  });
export type Estimate = z.infer<typeof Estimate>;

export const RESAMPLES = 1_000;
const CONFIDENCE = 0.95;
/**
 * Fewer values have no interval of this confidence: the widest, from smallest to largest, covers the median unless all
 * n lie on one side of it, with probability 1 - 2 * 0.5^n: 0.94 for five, 0.97 for six.
 */
export const INTERVAL_VALUES_MIN = Math.ceil(Math.log2(2 / (1 - CONFIDENCE)));

const NO_INTERVAL = { low: null, high: null } as const;

export function intervalOf({ low, high }: Estimate): Interval | null {
  return low === null || high === null ? null : { low, high };
}

/** In-place insertion sort, for thousands of arrays of about ten elements. */
function sortSmall(values: Float64Array): void {
  for (let i = 1; i < values.length; i++) {
    const value = values[i] as number; // i < length
    let at = i;
    for (; at > 0 && (values[at - 1] as number) > value; at--) values[at] = values[at - 1] as number;
    values[at] = value;
  }
}

/** The medians of draws with replacement, unsorted. */
function resampledMedians(values: readonly number[], random: () => number, count: number): Float64Array {
  const draw = new Float64Array(values.length);
  return Float64Array.from({ length: count }, () => {
    for (let i = 0; i < draw.length; i++) {
      draw[i] = values[Math.floor(random() * values.length)] as number; // random() < 1
    }
    sortSmall(draw);
    return medianOfSorted(draw);
  });
}

function middle(samples: Float64Array): Interval {
  samples.sort();
  const tail = (1 - CONFIDENCE) / 2;
  return { low: quantileOfSorted(samples, tail), high: quantileOfSorted(samples, 1 - tail) };
}

/** The bootstrap interval of the median; null with too few values. */
export function medianInterval(
  values: readonly number[],
  seed: number,
  resamples = RESAMPLES,
): Interval | null {
  if (values.length < INTERVAL_VALUES_MIN) return null;
  return middle(resampledMedians(values, seededRandom(seed), resamples));
}

/** The median of the values and its interval; null without values. */
export function medianEstimate(
  values: readonly number[],
  seed: number,
  resamples = RESAMPLES,
): Estimate | null {
  if (values.length === 0) return null;
  return { median: median(values), ...(medianInterval(values, seed, resamples) ?? NO_INTERVAL) };
}

/** The ratio of two medians and its bootstrap interval; null when either list is empty or not positive. */
export function ratioEstimate(
  tops: readonly number[],
  bottoms: readonly number[],
  seed: number,
  resamples = RESAMPLES,
): Estimate | null {
  if (tops.length === 0 || bottoms.length === 0) return null;
  if (Math.min(...tops) <= 0 || Math.min(...bottoms) <= 0) return null;
  const ofAll = { median: median(tops) / median(bottoms) };
  if (Math.min(tops.length, bottoms.length) < INTERVAL_VALUES_MIN) return { ...ofAll, ...NO_INTERVAL };
  const random = seededRandom(seed);
  const upper = resampledMedians(tops, random, resamples);
  const lower = resampledMedians(bottoms, random, resamples);
  // Both arrays have `resamples` elements.
  const ratios = upper.map((value, i) => value / (lower[i] as number));
  return { ...ofAll, ...middle(ratios) };
}

/** Derives a seed from a name (FNV-1a), so that adding a name does not change the others' seeds. */
export function seedFor(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
