/**
 * What one run of the load generator reports: the line of JSON that main.ts prints and parity.ts reads.
 *
 * Types and constants only, so that a reader of results need not load the generator.
 */

/** Ways a connection can fail. `other` is a system call's error that has no class of its own. */
export const ERROR_CLASSES = ['refused', 'reset', 'timeout', 'wrongBytes', 'earlyClose', 'other'] as const;

export type ErrorClass = (typeof ERROR_CLASSES)[number];
export type ErrorCounts = Record<ErrorClass, number>;

/** Above this share of one core the generator's own speed may be what was measured. */
export const SATURATED_SHARE = 0.95;

export interface LatencyNs {
  p50: number;
  p99: number;
  p999: number;
  mean: number;
  /** Exact; the percentiles are the histogram's, to three significant figures. */
  worst: number;
}

export interface LoadResult {
  mode: 'closed' | 'churn';
  connections: number;
  messageBytes: number;
  /** Length of the measured window; the connect phase, warm-up and drain lie outside. */
  windowMs: number;
  /** Samples completed within the window: echoes (closed), or connections from connect to close (churn). */
  completed: number;
  perSecond: number;
  latencyNs: LatencyNs;
  /** CPU of the watched process in the window, user and system; null when none was watched. */
  serverCpuMs: number | null;
  serverCpuPerSampleUs: number | null;
  /** CPU seconds the generator spent per second of the window: 1 is one whole core. */
  generatorCpuShare: number;
  saturated: boolean;
  /** Connections opened over the whole run. */
  opened: number;
  errors: ErrorCounts;
  /** The first few errors in words. */
  errorDetails: string[];
}

/** The number of errors of all classes. */
export function errorTotal(errors: ErrorCounts): number {
  return ERROR_CLASSES.reduce((sum, name) => sum + errors[name], 0);
}
