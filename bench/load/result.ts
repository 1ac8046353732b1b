/**
 * Modes, error classes and limits of a result (its schema is in schema.ts). Separate, so that the load generator loads
 * no schema and a reader of results does not load the generator.
 */

export const MODES = ['burst', 'closed', 'open', 'churn'] as const;
export type Mode = (typeof MODES)[number];

/** How a load is spread over the connections. */
export const SHAPES = ['even', 'skewed', 'zipf'] as const;
export type Shape = (typeof SHAPES)[number];

/** When the requests of open mode are due; see arrivals.ts. */
export const ARRIVALS = ['even', 'poisson'] as const;
export type Arrivals = (typeof ARRIVALS)[number];

/** Where a server's CPU time is read; see process-cost.ts. */
export const CPU_SOURCES = ['cgroup', 'processes'] as const;
export type CpuSource = (typeof CPU_SOURCES)[number];

/** Ways a connection can fail. `other` is any other error of a system call. */
export const ERROR_CLASSES = ['refused', 'reset', 'timeout', 'wrongBytes', 'earlyClose', 'other'] as const;

export type ErrorClass = (typeof ERROR_CLASSES)[number];
export type ErrorCounts = Record<ErrorClass, number>;

/**
 * Above this share of the window, on a processor or waiting for one, the generator may be the bottleneck: it hardly ever
 * slept for want of events. On processors that it shares with the server its CPU time alone never gets there.
 */
export const SATURATED_SHARE = 0.95;
/** A shorter window is only a few scheduler slices, in which a full share means nothing. */
export const SATURATED_WINDOW_MS = 10;

/** Above this share of the same figure of the response times, the generator's lateness is a part of what was measured. */
export const LATE_SHARE = 0.1;
const LATE_FIGURES = ['averageMs', 'p50Ms', 'p90Ms', 'p99Ms'] as const;
type LateFigures = Record<(typeof LATE_FIGURES)[number], number>;

/** Whether the generator's own lateness is not small against the response times (open mode). */
export function isLate(lateness: LateFigures, response: LateFigures): boolean {
  return LATE_FIGURES.some((figure) => lateness[figure] > LATE_SHARE * response[figure]);
}

export function errorTotal(errors: ErrorCounts): number {
  return ERROR_CLASSES.reduce((sum, name) => sum + errors[name], 0);
}
