/**
 * Figures as text, the same in tables, charts and CSV headings. Pure.
 */
import { METRICS, type MetricKey } from '../compare/types.ts';
import { type Estimate, intervalOf } from '../stats/bootstrap.ts';

/** Three significant figures, with thousands separated; whole numbers as they are. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value) && value < 1e6) return value.toLocaleString('en-US');
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  const shown = Math.min(digits, 4);
  const rounded = digits > 0 ? value : Number(value.toPrecision(3));
  return rounded.toLocaleString('en-US', { minimumFractionDigits: shown, maximumFractionDigits: shown });
}

/** The interval of a figure in words; nothing where there were too few runs for one. */
export function intervalText(estimate: Estimate, words: (low: string, high: string) => string): string {
  const interval = intervalOf(estimate);
  return interval === null ? '' : words(figure(interval.low), figure(interval.high));
}

/** A tick of an axis: no more digits than it needs. */
export function tick(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 10_000) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 6 });
}

export function metricTitle(key: MetricKey): string {
  const { title, unit } = METRICS[key];
  return unit === 'threads' ? title : `${title}, ${unit}`;
}

/** Names of the figures where room is short. */
export const SHORT: Record<MetricKey, string> = {
  averageMs: 'average',
  worstMs: 'worst',
  p99Ms: 'p99',
  perSecond: 'rate',
  cpuPerRequestUs: 'CPU',
  threadsMax: 'threads',
  memoryPerConnectionKib: 'memory',
};

/** A factor as people say it: "1.23 times". */
export function factor(value: number): string {
  return `${value >= 10 ? figure(value) : value.toFixed(2)} times`;
}

/** A relative difference: "4.2 %". */
export function percent(value: number): string {
  const hundred = value * 100;
  return `${hundred.toFixed(Math.abs(hundred) < 10 ? 1 : 0)} %`;
}
