/**
 * `--threshold 'p99<5ms'`: what a measurement must keep to, and whether it did. Pure.
 */
import { UsageError } from '../../flags.ts';
import type { Point } from './points.ts';

const METRICS = {
  avg: (point) => point.response.averageMs,
  worst: (point) => point.response.worstMs,
  p50: (point) => point.response.p50Ms,
  p90: (point) => point.response.p90Ms,
  p99: (point) => point.response.p99Ms,
  'p99.9': (point) => point.response.p999Ms,
  errors: (point) => point.errorTotal,
  throughput: (point) => point.perSecond,
} satisfies Record<string, (point: Point) => number>;

export type MetricName = keyof typeof METRICS;

const COMPARISONS = {
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
} satisfies Record<string, (value: number, limit: number) => boolean>;

const UNITS_MS = { us: 0.001, ms: 1, s: 1000 } as const;
const COUNTED: readonly MetricName[] = ['errors', 'throughput'];
const ALLOWED = `one of ${Object.keys(METRICS).join(', ')}, then <, <=, > or >=, then a time (500us, 5ms, 1s) or, for errors and throughput, a number`;

export interface Threshold {
  text: string;
  metric: MetricName;
  comparison: keyof typeof COMPARISONS;
  /** In ms, or a plain number for errors and throughput. */
  limit: number;
}

/** The threshold of that text. Throws UsageError. */
export function parseThreshold(text: string): Threshold {
  const match = /^\s*([a-z0-9.]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|\/s)?\s*$/.exec(text);
  const [, metric = '', comparison = '', number = '', unit] = match ?? [];
  const counted = COUNTED.includes(metric as MetricName);
  const unitFits = counted ? unit === undefined || unit === '/s' : unit !== undefined && unit !== '/s';
  if (!Object.hasOwn(METRICS, metric) || !unitFits) {
    throw new UsageError(`--threshold takes ${ALLOWED}, not "${text}"`);
  }
  const factor = unit === undefined || unit === '/s' ? 1 : UNITS_MS[unit as keyof typeof UNITS_MS];
  // The pattern above lets no other comparison through, and the metric was looked up.
  return {
    text: text.replaceAll(/\s+/g, ''),
    metric: metric as MetricName,
    comparison: comparison as keyof typeof COMPARISONS,
    limit: Number(number) * factor,
  };
}

function shown(metric: MetricName, value: number): string {
  if (metric === 'errors') return String(value);
  return metric === 'throughput' ? `${value.toFixed(0)}/s` : `${value.toPrecision(4)} ms`;
}

/** The thresholds that a point broke, in words. A time of nothing keeps to no limit. */
export function broken(point: Point, thresholds: readonly Threshold[]): string[] {
  return thresholds.flatMap(({ text, metric, comparison, limit }) => {
    const value = METRICS[metric](point);
    const where = `threshold ${text} failed at ${point.clients} clients`;
    if (point.response.count === 0 && !COUNTED.includes(metric)) return [`${where}: no sample`];
    return COMPARISONS[comparison](value, limit) ? [] : [`${where}: ${shown(metric, value)}`];
  });
}
