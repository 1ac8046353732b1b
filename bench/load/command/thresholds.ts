/**
 * `--threshold 'p99<5ms'`: what a measurement must keep to, and whether it did. Pure.
 */
import { quoted, UsageError } from '../../flags.ts';
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

const UNITS_MS = { us: 0.001, ms: 1, s: 1000 } as const;
const COUNTED: readonly MetricName[] = ['errors', 'unsent', 'throughput'];
const ALLOWED = `one of ${Object.keys(METRICS).join(', ')}, then <, <=, > or >=, then a time (500us, 5ms, 1s) or, for errors, unsent and throughput, a number`;

export interface Threshold {
  text: string;
  metric: MetricName;
  comparison: keyof typeof COMPARISONS;
  /** In ms, or a plain number for errors, unsent and throughput. */
  limit: number;
}

/** The threshold of that text. Throws UsageError. */
export function parseThreshold(text: string): Threshold {
  const match = /^\s*([a-z0-9.]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|\/s)?\s*$/.exec(text);
  const [, metric = '', comparison = '', number = '', unit] = match ?? [];
  const counted = COUNTED.includes(metric as MetricName);
  const unitFits = counted ? unit === undefined || unit === '/s' : unit !== undefined && unit !== '/s';
  if (!Object.hasOwn(METRICS, metric) || !unitFits) {
    throw new UsageError(`--threshold takes ${ALLOWED}, not ${quoted(text)}`);
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
  if (metric === 'errors' || metric === 'unsent') return String(value);
  return metric === 'throughput' ? `${perSecondText(value)}/s` : `${value.toPrecision(4)} ms`;
}

/** The thresholds of a run in this mode. Throws UsageError when the mode has no such figure. */
export function thresholdsOf(texts: readonly string[], mode: Mode): Threshold[] {
  const thresholds = texts.map(parseThreshold);
  const foreign = thresholds.find(({ metric }) => metric === 'unsent');
  if (foreign === undefined || mode === 'open') return thresholds;
  throw new UsageError(`--threshold ${quoted(foreign.text)} is for --mode open, not ${mode}`);
}

/** What hides a request that was never sent: it has no response time and is no error. */
function hidesUnsent({ metric }: Threshold): boolean {
  return metric !== 'throughput' && metric !== 'unsent';
}

/** Requests that were never sent break every threshold on errors and times, unless one says how many there may be. */
function brokenByUnsent({ clients, due, unsent }: Point, thresholds: readonly Threshold[]): string[] {
  const blind = thresholds.filter(hidesUnsent);
  if (unsent === 0 || blind.length === 0 || thresholds.some(({ metric }) => metric === 'unsent')) return [];
  const names = blind.map(({ text }) => text).join(', ');
  return [
    `threshold ${names} failed at ${clients} clients: ${unsent} of ${due} requests were never sent (--threshold 'unsent<N' allows some)`,
  ];
}

/** The thresholds that a point broke, in words. A time of nothing keeps to no limit. */
export function broken(point: Point, thresholds: readonly Threshold[]): string[] {
  return [...brokenByFigures(point, thresholds), ...brokenByUnsent(point, thresholds)];
}

function brokenByFigures(point: Point, thresholds: readonly Threshold[]): string[] {
  return thresholds.flatMap(({ text, metric, comparison, limit }) => {
    const value = METRICS[metric](point);
    const where = `threshold ${text} failed at ${point.clients} clients`;
    if (point.response.count === 0 && !COUNTED.includes(metric)) return [`${where}: no sample`];
    return COMPARISONS[comparison](value, limit) ? [] : [`${where}: ${shown(metric, value)}`];
  });
}
