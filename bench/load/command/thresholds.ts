/**
 * `--threshold 'p99<5ms'`: parses thresholds and checks results against them. Pure.
 */
import { parseTimeMs } from '../../../src/options/units.ts';
import { UsageError } from '../../../src/options/values.ts';
import type { Mode } from '../result.ts';
import type { Point } from './points.ts';
import { perSecondText } from './values.ts';

const METRICS = {
  avg: (point) => point.response.averageMs,
  worst: (point) => point.response.worstMs,
  p50: (point) => point.response.p50Ms,
  p90: (point) => point.response.p90Ms,
  p99: (point) => point.response.p99Ms,
  'p99.9': (point) => point.response.p999Ms,
  'connect-avg': (point) => point.connect.averageMs,
  'connect-p99': (point) => point.connect.p99Ms,
  'connect-worst': (point) => point.connect.worstMs,
  errors: (point) => point.errorTotal,
  unsent: (point) => point.unsent,
  throughput: (point) => point.perSecond,
} satisfies Record<string, (point: Point) => number>;

export type MetricName = keyof typeof METRICS;

const COMPARISONS = {
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
} satisfies Record<string, (value: number, limit: number) => boolean>;

const COUNTED: readonly MetricName[] = ['errors', 'unsent', 'throughput'];
const ALLOWED = `one of ${Object.keys(METRICS).join(', ')}, then <, <=, > or >=, then a time (500us, 5ms, 1s) or, for errors, unsent and throughput, a number`;

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
  const limit = COUNTED.includes(metric as MetricName) ? countOf(value) : parseTimeMs(value);
  if (!Object.hasOwn(METRICS, metric) || limit === null) throw new UsageError('--threshold', text, ALLOWED);
  // Proof for the casts: the pattern admits only these comparisons, and METRICS has the metric.
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

/** An unsent request has no response time and is not an error, so these metrics miss it. */
function hidesUnsent({ metric }: Threshold): boolean {
  return metric !== 'throughput' && metric !== 'unsent';
}

/** Unsent requests fail every threshold on errors and times, unless a threshold on `unsent` allows them. */
function failuresByUnsent({ clients, due, unsent }: Point, thresholds: readonly Threshold[]): string[] {
  const blind = thresholds.filter(hidesUnsent);
  if (unsent === 0 || blind.length === 0 || thresholds.some(({ metric }) => metric === 'unsent')) return [];
  const names = blind.map(({ text }) => text).join(', ');
  return [
    `threshold ${names} failed at ${clients} clients: ${unsent} of ${due} requests were never sent (--threshold 'unsent<N' allows some)`,
  ];
}

/** A message for each threshold that failed. A time without samples fails every limit. */
export function thresholdFailures(point: Point, thresholds: readonly Threshold[]): string[] {
  return [...failuresByMetric(point, thresholds), ...failuresByUnsent(point, thresholds)];
}

function failuresByMetric(point: Point, thresholds: readonly Threshold[]): string[] {
  return thresholds.flatMap(({ text, metric, comparison, limit }) => {
    const value = METRICS[metric](point);
    const where = `threshold ${text} failed at ${point.clients} clients`;
    const { count } = metric.startsWith('connect') ? point.connect : point.response;
    if (count === 0 && !COUNTED.includes(metric)) return [`${where}: no sample`];
    return COMPARISONS[comparison](value, limit) ? [] : [`${where}: ${shown(metric, value)}`];
  });
}
