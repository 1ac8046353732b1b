/** What a comparison measures of each server, in the order in which it is shown. Pure. */
import type { Direction, Limit } from '../stats/verdict.ts';

export interface Metric {
  title: string;
  unit: string;
  /** Null: shown but not ranked. */
  better: Direction | null;
  /** Smaller values cannot be told from zero, and nothing is divided by them. */
  smallest: number;
  /** Of a server's values when the load generator was the bottleneck. Absent: bounds, as the server may be better. */
  whenSaturated?: Limit;
}

const TABLE = {
  averageMs: { title: 'Average response time', unit: 'ms', better: 'lower', smallest: 0.001 },
  worstMs: { title: 'Worst response time', unit: 'ms', better: 'lower', smallest: 0.001 },
  p99Ms: { title: '99th percentile', unit: 'ms', better: 'lower', smallest: 0.001 },
  connectP99Ms: { title: '99th percentile of connecting', unit: 'ms', better: 'lower', smallest: 0.001 },
  perSecond: { title: 'Throughput', unit: 'per s', better: 'higher', smallest: 1 },
  cpuPerRequestUs: {
    title: 'Server CPU per request',
    unit: 'µs',
    better: 'lower',
    smallest: 1,
    whenSaturated: 'none',
  },
  threadsMax: { title: 'Most threads', unit: 'threads', better: null, smallest: 1, whenSaturated: 'none' },
  memoryPerConnectionKib: {
    title: 'Memory per idle connection',
    unit: 'KiB',
    better: 'lower',
    smallest: 1, // memory grows by pages of 4 KiB, whatever the connections do
    whenSaturated: 'none',
  },
  cpuPerConnectionUs: {
    title: 'CPU per connection opened and held',
    unit: 'µs',
    better: 'lower',
    smallest: 1,
    whenSaturated: 'none',
  },
  memoryPerClosedKib: {
    title: 'Memory kept per closed connection',
    unit: 'KiB',
    better: null, // may be negative
    smallest: 1,
    whenSaturated: 'none',
  },
  goodPerSecond: { title: 'Goodput', unit: 'per s', better: 'higher', smallest: 1 },
  fairness: {
    title: 'Fairness',
    unit: 'Jain\u2019s index',
    better: 'higher',
    smallest: 0.001,
    whenSaturated: 'unknown', // a generator that is late may serve its clients more evenly, or less
  },
  worstClientMs: {
    title: 'Average of the client served worst',
    unit: 'ms',
    better: 'lower',
    smallest: 0.001,
  },
} satisfies Record<string, Metric>;

export type MetricKey = keyof typeof TABLE;
export const METRICS: Record<MetricKey, Metric> = TABLE;
export const METRIC_KEYS = Object.keys(TABLE) as MetricKey[];
