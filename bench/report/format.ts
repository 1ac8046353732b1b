/**
 * Number formats shared by tables, charts and headings. Pure.
 */
import { METRICS, type MetricKey } from '../compare/metrics.ts';
import { type Estimate, intervalOf } from '../stats/intervals.ts';

/** Three significant digits with thousands separators; integers below a million are exact. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value) && value < 1e6) return value.toLocaleString('en-US');
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  const shown = Math.min(digits, 4);
  const rounded = digits > 0 ? value : Number(value.toPrecision(3));
  return rounded.toLocaleString('en-US', { minimumFractionDigits: shown, maximumFractionDigits: shown });
}

/** Three significant digits without zeros at the end; integers from a thousand on. */
export function rounded(value: number): string {
  return value >= 1000 ? figure(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** "a", "a and b", "a, b and c". */
export function listed(names: readonly string[], conjunction: 'and' | 'or' = 'and'): string {
  const last = names.at(-1) ?? '';
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} ${conjunction} ${last}`;
}

/** The formatted interval; empty with too few runs. */
export function intervalText(estimate: Estimate, format: (low: string, high: string) => string): string {
  const interval = intervalOf(estimate);
  return interval === null ? '' : format(figure(interval.low), figure(interval.high));
}

/** "12.3 [11.0, 14.2]". */
export function estimateText(estimate: Estimate): string {
  return `${figure(estimate.median)}${intervalText(estimate, (low, high) => ` [${low}, ${high}]`)}`;
}

/** An axis tick without unnecessary digits. */
export function tick(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 10_000) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 6 });
}

export function metricTitle(key: MetricKey): string {
  const { title, unit } = METRICS[key];
  return unit === 'threads' ? title : `${title}, ${unit}`;
}

/** Short metric names for narrow places. */
export const SHORT: Record<MetricKey, string> = {
  averageMs: 'average',
  worstMs: 'worst',
  p99Ms: 'p99',
  connectP99Ms: 'connect p99',
  perSecond: 'rate',
  cpuPerRequestUs: 'CPU',
  threadsMax: 'threads',
  memoryPerConnectionKib: 'memory',
  cpuPerConnectionUs: 'CPU per connection',
  memoryPerClosedKib: 'memory kept',
  goodPerSecond: 'goodput',
  fairness: 'fairness',
  worstClientMs: 'worst client',
};

/** A relative difference: "4.2 %". */
export function percent(value: number): string {
  const hundred = value * 100;
  return `${hundred.toFixed(Math.abs(hundred) < 10 ? 1 : 0)} %`;
}
