/**
 * Intervals of a median and of a ratio. Pure; neither assumes a normal distribution.
 *
 * A median's interval is that of the sign test, interpolated between order statistics (Hettmansperger and Sheather,
 * 1986). A ratio is estimated within rounds, on the log scale: the median of all averages of two rounds (Hodges and
 * Lehmann), with the interval of Wilcoxon's signed-rank test, which is exact for symmetric noise. Fewer than five values
 * have no interval: the widest one of four covers 88 %.
 */
import { z } from 'zod';
import { ascending, median, medianOfSorted } from './summary.ts';

export interface Interval {
  low: number;
  high: number;
}

const confidence = z.number().describe('Probability with which such an interval covers the true value.');

export const Estimate = z
  .object({
    median: z.number(),
    low: z.number().nullable(),
    high: z.number().nullable(),
    confidence: confidence.nullable(),
  })
  .meta({
    id: 'estimate',
    description: 'A median and its interval, which is null with fewer than five values.',
  });
export type Estimate = z.infer<typeof Estimate>;

export const RatioEstimate = z
  .object({ estimate: z.number(), low: z.number(), high: z.number(), confidence })
  .meta({ id: 'ratioEstimate', description: 'A ratio within rounds and its interval.' });
export type RatioEstimate = z.infer<typeof RatioEstimate>;

/** Fewer values have no interval and no verdict. */
export const ROUNDS_MIN = 5;
/** The error probability of an interval, where the number of values allows it. */
export const ALPHA = 0.05;

export function intervalOf({ low, high }: Estimate): Interval | null {
  return low === null || high === null ? null : { low, high };
}

/** The probabilities of 0, 1, ... heads in n tosses. */
function binomial(n: number): number[] {
  const found = [0.5 ** n];
  for (let k = 1; k <= n; k++) found.push(((found[k - 1] as number) * (n - k + 1)) / k); // pushed before
  return found;
}

/** The depth from both ends: the first whole number of values, and the share of the way to the next one inwards. */
function medianDepth(n: number): { whole: number; share: number; confidence: number } {
  const chances = binomial(n);
  let outside = 2 * (chances[0] ?? 0);
  if (outside > ALPHA) return { whole: 1, share: 0, confidence: 1 - outside };
  for (let whole = 1; ; whole++) {
    const next = outside + 2 * (chances[whole] ?? 0);
    if (next > ALPHA) {
      const part = (ALPHA - outside) / (next - outside);
      return { whole, share: ((n - whole) * part) / (whole + (n - 2 * whole) * part), confidence: 1 - ALPHA };
    }
    outside = next;
  }
}

/** The median of the values and its interval; null without values. */
export function medianEstimate(values: readonly number[]): Estimate | null {
  if (values.length === 0) return null;
  if (values.length < ROUNDS_MIN) return { median: median(values), low: null, high: null, confidence: null };
  const sorted = values.toSorted(ascending);
  const { whole, share, confidence: covered } = medianDepth(sorted.length);
  // Proof for the casts: 1 <= whole < n / 2.
  const inward = (from: number, to: number) =>
    (1 - share) * (sorted[from] as number) + share * (sorted[to] as number);
  const last = sorted.length - whole;
  return {
    median: medianOfSorted(sorted),
    low: inward(whole - 1, whole),
    high: inward(last, last - 1),
    confidence: covered,
  };
}

const signedRanks = new Map<number, number[]>();

/** The probabilities of Wilcoxon's sums 0, 1, ... of the positive ranks of n values around 0. */
function signedRankChances(n: number): number[] {
  const known = signedRanks.get(n);
  if (known !== undefined) return known;
  let found = [1];
  for (let rank = 1; rank <= n; rank++) {
    const before = found;
    found = Array.from(
      { length: before.length + rank },
      (_, sum) => ((before[sum] ?? 0) + (before[sum - rank] ?? 0)) / 2,
    );
  }
  signedRanks.set(n, found);
  return found;
}

/** How many of the sorted averages are cut off at each end, and the probability that the truth lies among those. */
function cutOff(n: number, alpha: number): { count: number; outside: number } {
  const chances = signedRankChances(n);
  let outside = 2 * (chances[0] ?? 0);
  for (let count = 0; ; count++) {
    const next = outside + 2 * (chances[count + 1] ?? 1);
    if (next > alpha) return { count, outside };
    outside = next;
  }
}

/**
 * The ratio whose logarithm is the centre of `logs`, one for each round; null with fewer than five. `looks`: at how many
 * numbers of rounds the intervals may be looked at, so that they cover the ratio at all of them together.
 */
export function ratioEstimate(logs: readonly number[], looks: number): RatioEstimate | null {
  if (logs.length < ROUNDS_MIN) return null;
  const averages = logs.flatMap((a, i) => logs.slice(i).map((b) => (a + b) / 2)).sort(ascending);
  const { count, outside } = cutOff(logs.length, ALPHA / looks);
  const at = (i: number) => Math.exp(averages[i] as number); // 0 <= count < length / 2
  return {
    estimate: Math.exp(medianOfSorted(averages)),
    low: at(count),
    high: at(averages.length - 1 - count),
    confidence: Math.max(0, 1 - outside * looks),
  };
}
