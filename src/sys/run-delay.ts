/**
 * How long the calling thread was runnable and waited for a processor, from /proc (the kernel's sched-stats.rst).
 *
 * Measured: 10 us. The time is added when the thread gets the processor, so a thread that reads its own is up to date.
 */
import { readFileSync } from 'node:fs';

/** In milliseconds with fractions, since the thread started; null where the kernel does not count it. */
export function ownRunDelayMs(): number | null {
  try {
    // Nanoseconds on a processor (as of the last tick), nanoseconds of run delay, number of time slices.
    const [, delayNs, slices] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number);
    return delayNs === undefined || slices === undefined || slices === 0 ? null : delayNs / 1e6;
  } catch {
    return null;
  }
}
