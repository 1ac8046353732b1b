/**
 * What one run of the load generator reports: the line of JSON that main.ts prints.
 *
 * Types and constants only, so that a reader of results need not load the generator.
 */

export const MODES = ['burst', 'closed', 'open', 'churn'] as const;
export type Mode = (typeof MODES)[number];

/** Ways a connection can fail. `other` is a system call's error that has no class of its own. */
export const ERROR_CLASSES = ['refused', 'reset', 'timeout', 'wrongBytes', 'earlyClose', 'other'] as const;

export type ErrorClass = (typeof ERROR_CLASSES)[number];
export type ErrorCounts = Record<ErrorClass, number>;

/** Above this share of one core the generator's own speed may be what was measured. */
export const SATURATED_SHARE = 0.95;
/** In a shorter window, a few turns of the scheduler, to have had the processor all the time means nothing. */
export const SATURATED_WINDOW_MS = 10;

/** All 0 when `count` is. Average and worst are exact, the percentiles within 0.05 %. */
export interface Distribution {
  count: number;
  averageMs: number;
  worstMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
}

export interface LoadResult {
  mode: Mode;
  /** Connections open at a time. */
  clients: number;
  /** Requests of each client; 0 when only the time bounded them. */
  requests: number;
  messageBytes: number;
  /** Length of the measured window; in burst mode from the first connect to the last echo, all bursts added. */
  windowMs: number;
  /** Samples completed within the window: echoes, or in churn mode whole connections. */
  completed: number;
  perSecond: number;
  /** From request to whole echo; in open mode from the intended send, in churn mode connect and close included. */
  response: Distribution;
  /** Open mode: from the actual send. */
  responseRaw?: Distribution;
  /** Open mode: requests that were due in the window, rate times duration; fewer when the run was cut short. */
  due?: number;
  /** Open mode: those of them that were sent more than a little late, or never. */
  missedSends?: number;
  /** Open mode: those that were never sent. No response time has them in it. */
  unsent?: number;
  connect: Distribution;
  errors: ErrorCounts;
  errorTotal: number;
  /** The first few errors in words. */
  errorDetails: string[];
  /** CPU of the watched processes over the window, user and system. Absent when none was watched. */
  serverCpuMs?: number;
  serverCpuPerSampleUs?: number;
  /** Most threads seen in the watched processes. */
  serverThreadsMax?: number;
  /** CPU seconds the generator spent per second of the window: 1 is one whole core. */
  generatorCpuShare: number;
  saturated: boolean;
  /** Connections opened over the whole run, warm-up included. */
  opened: number;
  /** The run was interrupted; the figures are those up to then. */
  partial: boolean;
  /** The response times as bucket, count, bucket, count, ...; only when asked for. */
  histogram?: number[];
}

/** The number of errors of all classes. */
export function errorTotal(errors: ErrorCounts): number {
  return ERROR_CLASSES.reduce((sum, name) => sum + errors[name], 0);
}
