/**
 * Clocks that a change of the system time does not touch.
 */

/** Milliseconds with fractions, the same for all threads of the process, since some fixed moment before it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Time in which this process ran: for limits on what workers and peers do meanwhile.
 *
 * The monotonic clock goes on while a process is stopped (SIGSTOP, a debugger, a frozen container), and afterwards
 * every limit seems to have passed. So this clock is to be read at regular intervals, and counts at most `mostMs` of
 * each: a thread that reads it too seldom makes it slow, never fast.
 */
export class RunningTime {
  private readonly mostMs: number;
  private readonly clock: () => number;
  private lastMs: number;
  private countedMs = 0;

  constructor(mostMs: number, clock = monotonicMs) {
    this.mostMs = mostMs;
    this.clock = clock;
    this.lastMs = clock();
  }

  /** Milliseconds counted so far. */
  read(): number {
    const nowMs = this.clock();
    this.countedMs += Math.min(this.mostMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    return this.countedMs;
  }
}

/** Readings within a limit; a stop counts as two intervals at most, so as a fifth of the limit. */
const READINGS_PER_LIMIT = 10;
const LONGEST_INTERVAL_MS = 1000;

/** setTimeout by the time in which this process ran. Returns what cancels it. */
export function afterRunning(limitMs: number, action: () => void): () => void {
  const intervalMs = Math.max(1, Math.min(LONGEST_INTERVAL_MS, limitMs / READINGS_PER_LIMIT));
  const time = new RunningTime(2 * intervalMs);
  const wait = () => {
    const restMs = limitMs - time.read();
    if (restMs <= 0) action();
    else timer = setTimeout(wait, Math.min(restMs, intervalMs));
  };
  let timer = setTimeout(wait, Math.min(limitMs, intervalMs));
  return () => clearTimeout(timer);
}
