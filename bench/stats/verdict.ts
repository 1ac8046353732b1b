/**
 * Better, worse, no difference, or no answer: what the runs of two servers at one point say. Pure.
 *
 * A difference must pass three gates, each of which would be too weak alone: the 95 % intervals of the two
 * medians do not overlap; the medians differ by more than the noise floor; and the runs were fit to be ranked
 * at all: enough of them, without errors, with a generator that was not the bottleneck.
 */
import { z } from 'zod';
import {
  type Estimate,
  INTERVAL_VALUES_MIN,
  type Interval,
  intervalOf,
  medianInterval,
  ratioEstimate,
  seedFor,
} from './bootstrap.ts';
import { median } from './summary.ts';

export const Outcome = z.enum(['better', 'worse', 'no difference', 'not ranked']).meta({ id: 'outcome' });
export type Outcome = z.infer<typeof Outcome>;

/** Which way a figure is good. */
export type Direction = 'lower' | 'higher';

/** The runs of one server at one point, as far as one figure is concerned. */
export interface Sample {
  values: readonly number[];
  /** Errors of all its runs; runs that failed as a whole included. */
  errors: number;
  /** Runs in which the load generator was the bottleneck. */
  saturated: number;
}

export interface Verdict {
  outcome: Outcome;
  why: string;
  /** Median of the judged server over that of the reference. Null when one is missing or not above zero. */
  ratio: Estimate | null;
}

/**
 * The noise floor: how large a relative difference this machine makes between two servers that are the same.
 * It is the end of the 95 % interval of the A/A ratio that is farther from 1, as a factor of at least 1.
 * Null when there is no control to take it from, or when there are too few runs of it.
 */
export function noiseFloor(
  first: readonly number[],
  second: readonly number[],
  seed: number,
): { ratio: Estimate; factor: number } | null {
  const ratio = ratioEstimate(first, second, seed);
  const interval = ratio === null ? null : intervalOf(ratio);
  if (ratio === null || interval === null) return null;
  return { ratio, factor: Math.max(interval.high, 1 / interval.low, 1) };
}

function errorsText(count: number): string {
  return `${count} error${count === 1 ? '' : 's'}`;
}

function unfit(judged: Sample, reference: Sample): string | null {
  if (judged.errors > 0) return errorsText(judged.errors);
  if (reference.errors > 0) return `${errorsText(reference.errors)} of the reference`;
  if (judged.saturated + reference.saturated > 0) return 'the load generator was the bottleneck';
  const runs = Math.min(judged.values.length, reference.values.length);
  return runs < INTERVAL_VALUES_MIN ? `${runs} of the ${INTERVAL_VALUES_MIN} runs that are needed` : null;
}

function overlap(a: Interval, b: Interval): boolean {
  return a.low <= b.high && b.low <= a.high;
}

/** How the judged server compares with the reference. `floor` is the noise floor's factor, 1 when unknown. */
export function judge(
  judged: Sample,
  reference: Sample,
  direction: Direction,
  floor: number,
  seed: number,
): Verdict {
  const ratio = ratioEstimate(judged.values, reference.values, seedFor(seed, 'ratio'));
  const reason = unfit(judged, reference);
  if (reason !== null) return { outcome: 'not ranked', why: reason, ratio };
  const own = medianInterval(judged.values, seedFor(seed, 'judged'));
  const other = medianInterval(reference.values, seedFor(seed, 'reference'));
  // There are enough runs, so there are intervals.
  if (own === null || other === null || overlap(own, other))
    return { outcome: 'no difference', why: 'the intervals overlap', ratio };
  const factor = ratio === null ? Number.POSITIVE_INFINITY : Math.max(ratio.median, 1 / ratio.median);
  if (factor <= floor) return { outcome: 'no difference', why: 'within the noise floor', ratio };
  const isBetter = median(judged.values) < median(reference.values) === (direction === 'lower');
  return { outcome: isBetter ? 'better' : 'worse', why: 'the intervals do not overlap', ratio };
}
