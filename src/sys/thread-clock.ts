/**
 * What the kernel tells of another thread of this process: its CPU clock and its state. Needs the FFI and /proc.
 *
 * Measured: 0.8 us for a clock, 10 us for a state, for which the file is opened each time: it is read only when the clock
 * stands still, and no descriptor has to follow the threads.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { libc } from './libc.ts';

/** CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED, below the thread's id in a clock id (linux/posix-timers.h). */
const PER_THREAD_SCHED = 6;
const timespec = new BigInt64Array(2);
const stat = Buffer.alloc(512);
const AFTER_NAME = ') ';

/**
 * CPU time of the thread with this kernel id, in milliseconds with fractions: exact, also while it runs. Null when it
 * does not exist (0 would be the caller itself) or its clock cannot be read.
 */
export function threadCpuMsOf(tid: number): number | null {
  if (tid === 0 || libc.clock_gettime((~tid << 3) | PER_THREAD_SCHED, timespec) !== 0) return null;
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/** The letter of proc_pid_stat(5): R runs or waits for a processor, S and D sleep. Throws when it cannot be read. */
export function stateOfThread(tid: number): string {
  const fd = openSync(`/proc/self/task/${tid}/stat`, 'r');
  try {
    const text = stat.toString('latin1', 0, readSync(fd, stat, 0, stat.length, 0));
    return text.charAt(text.lastIndexOf(AFTER_NAME) + AFTER_NAME.length);
  } finally {
    closeSync(fd);
  }
}
