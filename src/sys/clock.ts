/**
 * Clocks that a change of the system time does not touch.
 */
import { libc } from './libc.ts';

const CLOCK_THREAD_CPUTIME_ID = 3;
const timespec = new BigInt64Array(2);

/** Milliseconds with fractions, the same for all threads of the process, since some fixed moment before it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** CPU time of the calling thread, in milliseconds with fractions (clock_gettime(2)). */
export function threadCpuMs(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timespec);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}
