/**
 * A clock that a change of the system time does not touch.
 */

/** Milliseconds with fractions, the same for all threads of the process, since some fixed moment before it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
