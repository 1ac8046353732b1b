/**
 * Clocks that a change of the system time does not touch, and timers.
 */

/** Milliseconds with fractions, the same for all threads of the process, since some fixed moment before it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Time and timers: the process's, or a simulation's. */
export interface Clock {
  /** Milliseconds of the monotonic clock. */
  now(): number;
  /** Calls `action` once, `ms` from now. Returns what cancels it. */
  after(ms: number, action: () => void): () => void;
  /** Calls `action` every `ms`, and keeps no process alive by it. Returns what cancels it. */
  every(ms: number, action: () => void): () => void;
}

export const processClock: Clock = {
  now: monotonicMs,
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
  every(ms, action) {
    const timer = setInterval(action, ms).unref();
    return () => clearInterval(timer);
  },
};

/**
 * Time in which this process ran: for limits on what workers and peers do meanwhile.
 *
 * The monotonic clock goes on while a process is stopped (SIGSTOP, a debugger, a frozen container), and afterwards
 * every limit seems to have passed. So this clock is to be read at regular intervals, and counts at most `mostMs` of
 * each: a thread that reads it too seldom makes it slow, never fast.
 */
export class RunningTime {
  private readonly mostMs: number;
  private readonly nowMs: () => number;
  private lastMs: number;
  private countedMs = 0;

  constructor(mostMs: number, { now }: Pick<Clock, 'now'> = processClock) {
    this.mostMs = mostMs;
    this.nowMs = now;
    this.lastMs = now();
  }

  /** Milliseconds counted so far. */
  read(): number {
    const nowMs = this.nowMs();
    this.countedMs += Math.min(this.mostMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    return this.countedMs;
  }
}

/** Readings within a limit; a stop counts as two intervals at most, so as a fifth of the limit. */
const READINGS_PER_LIMIT = 10;
const LONGEST_INTERVAL_MS = 1000;

/** Clock.after by the time in which this process ran. Returns what cancels it. */
export function afterRunning(limitMs: number, action: () => void, clock = processClock): () => void {
  const intervalMs = Math.max(1, Math.min(LONGEST_INTERVAL_MS, limitMs / READINGS_PER_LIMIT));
  const time = new RunningTime(2 * intervalMs, clock);
  const wait = () => {
    const restMs = limitMs - time.read();
    if (restMs <= 0) action();
    else cancel = clock.after(Math.min(restMs, intervalMs), wait);
  };
  let cancel = clock.after(Math.min(limitMs, intervalMs), wait);
  return () => cancel();
}
