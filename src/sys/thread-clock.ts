/** The CPU clock of another thread of this process. Separate from clock.ts because it needs the FFI. */
import { libc } from './libc.ts';

/** CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED, below the thread's id in a clock id (linux/posix-timers.h). */
const PER_THREAD_SCHED = 6;
const timespec = new BigInt64Array(2);

/**
 * CPU time of the thread with this kernel id, in milliseconds with fractions: exact, also while it runs. Null when it
 * does not exist (0 would be the caller itself) or its clock cannot be read.
 */
export function threadCpuMsOf(tid: number): number | null {
  if (tid === 0 || libc.clock_gettime((~tid << 3) | PER_THREAD_SCHED, timespec) !== 0) return null;
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}
