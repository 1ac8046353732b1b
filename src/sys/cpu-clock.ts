/**
 * The CPU time of a thread. Separate from clock.ts because it needs the FFI: getrusage(2), which Node offers, lags by
 * up to a tick.
 */
import { libc } from './libc.ts';

const CLOCK_THREAD_CPUTIME_ID = 3;
const timespec = new BigInt64Array(2);

/** CPU time of the calling thread, in milliseconds with fractions (clock_gettime(2)). */
export function threadCpuMs(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timespec);
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}
