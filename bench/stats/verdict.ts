/**
 * The verdict on the runs of two servers at one point: better, worse, no difference, or not ranked. Pure.
 *
 * A difference must pass three tests, each too weak alone: the 95 % intervals of the two medians do not overlap; the
 * medians differ by more than the noise floor; and the runs can be ranked: enough of them, without errors, with a
 * generator that was not the bottleneck.
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

/** Which values of a metric are better. */
export type Direction = 'lower' | 'higher';

/** One metric of the runs of one server at one point. */
export interface Sample {
  values: readonly number[];
  /** Errors of all runs, plus the number of failed runs. */
  errors: number;
  /** Runs in which the load generator was the bottleneck and limited the metric. */
  saturated: number;
}

export interface Verdict {
  outcome: Outcome;
  why: string;
  /** Median of the judged server divided by the reference's; null when one is missing or not positive. */
  ratio: Estimate | null;
}

/**
 * The noise floor: the relative difference this machine shows between two identical servers. It is the end of the 95 %
 * interval of the A/A ratio that is farther from 1, as a factor of at least 1; null without a control or with too few
 * runs of it.
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

function reasonNotRanked(judged: Sample, reference: Sample): string | null {
  if (judged.errors > 0) return errorsText(judged.errors);
  if (reference.errors > 0) return `${errorsText(reference.errors)} of the reference`;
  if (judged.saturated + reference.saturated > 0) return 'the load generator was the bottleneck';
  const runs = Math.min(judged.values.length, reference.values.length);
  return runs < INTERVAL_VALUES_MIN ? `only ${runs} of ${INTERVAL_VALUES_MIN} runs needed` : null;
}

function overlap(a: Interval, b: Interval): boolean {
  return a.low <= b.high && b.low <= a.high;
}

/** Compares a server with the reference. `floor` is the noise floor's factor, 1 when unknown. */
export function judge(
  judged: Sample,
  reference: Sample,
  direction: Direction,
  floor: number,
  seed: number,
): Verdict {
  const ratio = ratioEstimate(judged.values, reference.values, seedFor(seed, 'ratio'));
  const reason = reasonNotRanked(judged, reference);
  if (reason !== null) return { outcome: 'not ranked', why: reason, ratio };
  const own = medianInterval(judged.values, seedFor(seed, 'judged'));
  const other = medianInterval(reference.values, seedFor(seed, 'reference'));
  // Never null here: reasonNotRanked() checked the number of runs.
  if (own === null || other === null || overlap(own, other))
    return { outcome: 'no difference', why: 'the intervals overlap', ratio };
  const factor = ratio === null ? Number.POSITIVE_INFINITY : Math.max(ratio.median, 1 / ratio.median);
  if (factor <= floor) return { outcome: 'no difference', why: 'within the noise floor', ratio };
  const isBetter = median(judged.values) < median(reference.values) === (direction === 'lower');
  return { outcome: isBetter ? 'better' : 'worse', why: 'the intervals do not overlap', ratio };
}
