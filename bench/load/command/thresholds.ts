/**
 * `--threshold 'p99<5ms'`: parses thresholds and checks results against them. Pure.
 */
import { parseTimeMs } from '../../../src/options/units.ts';
import { UsageError } from '../../../src/options/values.ts';
import type { Mode } from '../result.ts';
import type { DistributionFigure } from '../schema.ts';
import { type Point, whereText } from './points.ts';
import { perSecondText } from './values.ts';

type TimeFigure = readonly [times: 'response' | 'connect', figure: DistributionFigure];

const TIMES = {
  avg: ['response', 'averageMs'],
  worst: ['response', 'worstMs'],
  p50: ['response', 'p50Ms'],
  p90: ['response', 'p90Ms'],
  p95: ['response', 'p95Ms'],
  p99: ['response', 'p99Ms'],
  'p99.9': ['response', 'p999Ms'],
  'connect-avg': ['connect', 'averageMs'],
  'connect-p99': ['connect', 'p99Ms'],
  'connect-worst': ['connect', 'worstMs'],
} as const satisfies Record<string, TimeFigure>;

const NUMBERS = {
  errors: (point) => point.errorTotal,
  unsent: (point) => point.unsent,
  throughput: (point) => point.perSecond,
} satisfies Record<string, (point: Point) => number>;

type TimeName = keyof typeof TIMES;
type NumberName = keyof typeof NUMBERS;
export type MetricName = TimeName | NumberName;

const COMPARISONS = {
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
} satisfies Record<string, (value: number, limit: number) => boolean>;

function isTime(metric: MetricName): metric is TimeName {
  return Object.hasOwn(TIMES, metric);
}

const ALLOWED = `one of ${Object.keys({ ...TIMES, ...NUMBERS }).join(', ')}, then <, <=, > or >=, then a time (500us, 5ms, 1s) or, for errors, unsent and throughput, a number`;

export interface Threshold {
  text: string;
  metric: MetricName;
  comparison: keyof typeof COMPARISONS;
  /** In ms, or a plain number for errors, unsent and throughput. */
  limit: number;
}

/** Throws UsageError. */
export function parseThreshold(text: string): Threshold {
  const compact = text.replaceAll(/\s+/g, '');
  const [, metric = '', comparison = '', value = ''] = /^([a-z0-9.-]+)(<=|>=|<|>)(.+)$/.exec(compact) ?? [];
  const limit = Object.hasOwn(NUMBERS, metric) ? countOf(value) : parseTimeMs(value);
  if (!Object.hasOwn({ ...TIMES, ...NUMBERS }, metric) || limit === null)
    throw new UsageError('--threshold', text, ALLOWED);
  // Proof for the casts: the pattern admits only these comparisons, and the metric was looked up.
  return {
    text: compact,
    metric: metric as MetricName,
    comparison: comparison as keyof typeof COMPARISONS,
    limit,
  };
}

/** `100` or `100/s`. */
function countOf(text: string): number | null {
  const match = /^(\d{1,10}(?:\.\d{1,9})?)(?:\/s)?$/.exec(text);
  return match === null ? null : Number(match[1]);
}

function shown(metric: MetricName, value: number): string {
  if (metric === 'errors' || metric === 'unsent') return String(value);
  return metric === 'throughput' ? `${perSecondText(value)}/s` : `${value.toPrecision(4)} ms`;
}

/** Throws UsageError for a metric that this mode does not measure. */
export function checkThresholds(thresholds: readonly Threshold[], mode: Mode): void {
  const foreign = thresholds.find(({ metric }) => metric === 'unsent');
  if (foreign === undefined || mode === 'open') return;
  throw new UsageError('--threshold', foreign.text, `only with --mode open, not ${mode}`);
}

/** A message for each threshold that failed. A time without samples fails every limit. */
export function thresholdFailures(point: Point, thresholds: readonly Threshold[]): string[] {
  const found = thresholds.map((threshold) => ({ threshold, why: whyFailed(point, threshold) }));
  const held = found.flatMap(({ threshold, why }) => (why === null ? [threshold] : []));
  const where = `failed ${whereText(point)}`;
  return [
    ...found.flatMap(({ threshold, why }) =>
      why === null ? [] : [`threshold ${threshold.text} ${where}: ${why}`],
    ),
    ...withoutAnswer(point).flatMap(({ count, what, allowedBy }) => {
      const isAllowed = thresholds.some(({ metric }) => metric === allowedBy);
      // Thresholds that such requests may leave unmoved: percentiles, and for unsent ones the number of errors.
      const blind = held.filter(
        ({ metric }) => isTime(metric) || (metric === 'errors' && allowedBy === 'unsent'),
      );
      if (count === 0 || isAllowed || blind.length === 0) return [];
      const names = blind.map(({ text }) => text).join(', ');
      return [`threshold ${names} ${where}: ${what} (--threshold '${allowedBy}<N' allows some)`];
    }),
  ];
}

/** Requests without a response time: they fail thresholds that they may leave unmoved, unless one on them allows some. */
function withoutAnswer({ due, unsent, errors }: Point) {
  return [
    { count: unsent, what: `${unsent} of ${due} requests were never sent`, allowedBy: 'unsent' },
    { count: errors.timeout, what: `${errors.timeout} requests timed out`, allowedBy: 'errors' },
  ] as const;
}

function whyFailed(point: Point, threshold: Threshold): string | null {
  const { metric } = threshold;
  return isTime(metric)
    ? timeFailure(point, threshold, TIMES[metric])
    : numberFailure(point, threshold, NUMBERS[metric]);
}

function numberFailure(
  point: Point,
  { metric, comparison, limit }: Threshold,
  of: (point: Point) => number,
): string | null {
  const value = of(point);
  return COMPARISONS[comparison](value, limit) ? null : shown(metric, value);
}

/** A lower bound satisfies no upper limit, and a lower limit only when it is above that itself. */
function timeFailure(
  point: Point,
  { metric, comparison, limit }: Threshold,
  [times, figure]: TimeFigure,
): string | null {
  const { count, censored, atLeast, [figure]: value } = point[times];
  if (count === 0) return 'no sample';
  const holds = COMPARISONS[comparison](value, limit);
  if (!atLeast.includes(figure)) return holds ? null : shown(metric, value);
  if (holds && comparison.startsWith('>')) return null;
  return `at least ${shown(metric, value)}, as ${censored} of ${count + censored} timed out or were never sent`;
}
