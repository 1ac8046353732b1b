/**
 * The CPU time of threads. Separate from clock.ts because it needs the FFI: getrusage(2), which Node offers, lags by up to
 * a tick. Measured: 0.8 us for the clock of another thread.
 */
import { libc } from './libc.ts';

const CLOCK_THREAD_CPUTIME_ID = 3;
/** CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED, below the thread's id in a clock id (linux/posix-timers.h). */
const PER_THREAD_SCHED = 6;
const timespec = new BigInt64Array(2);

/** In milliseconds with fractions (clock_gettime(2)); null when the clock cannot be read. */
function readMs(clock: number): number | null {
  if (libc.clock_gettime(clock, timespec) !== 0) return null;
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/** CPU time of the calling thread, in milliseconds with fractions. */
export function threadCpuMs(): number {
  return readMs(CLOCK_THREAD_CPUTIME_ID) as number; // its own clock is always there
}

/**
 * CPU time of the thread with this kernel id, in milliseconds with fractions: exact, also while it runs. Null when it
 * does not exist (0 would be the caller itself) or its clock cannot be read.
 */
export function threadCpuMsOf(tid: number): number | null {
  return tid === 0 ? null : readMs((~tid << 3) | PER_THREAD_SCHED);
}
