/**
 * The monotonic clock, the same for all threads of the process and untouched by changes of the system time.
 */

/** Milliseconds with fractions, since some fixed moment before the process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
