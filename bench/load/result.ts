/**
 * The words of a result (its shape is in schema.ts).
 *
 * Constants only: the load generator loads no schema, and a reader of results not the generator.
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

/** The number of errors of all classes. */
export function errorTotal(errors: ErrorCounts): number {
  return ERROR_CLASSES.reduce((sum, name) => sum + errors[name], 0);
}
