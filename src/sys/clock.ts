/**
 * Clocks that do not follow changes of the system time, and timers.
 */

/** Milliseconds with fractions since a fixed point in the past, the same for all threads of the process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Time and timers: the process's, or a simulation's. */
export interface Clock {
  /** Milliseconds of the monotonic clock. */
  now(): number;
  /** Calls `action` once, `ms` from now. Returns a function that cancels it. */
  after(ms: number, action: () => void): () => void;
  /** Calls `action` every `ms`, and keeps no process alive by it. Returns a function that cancels it. */
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
 * The time during which this process has run: for timeouts of workers and peers.
 *
 * The monotonic clock also runs while the process is stopped (SIGSTOP, a debugger, a frozen container), so that all
 * timeouts seem to have expired afterwards. This clock must be read at regular intervals, and counts at most
 * `maxStepMs` of each: a thread that reads it too seldom makes it slow, never fast.
 */
export class RunningTime {
  private readonly maxStepMs: number;
  private readonly nowMs: () => number;
  private lastMs: number;
  private countedMs = 0;

  constructor(maxStepMs: number, { now }: Pick<Clock, 'now'> = processClock) {
    this.maxStepMs = maxStepMs;
    this.nowMs = now;
    this.lastMs = now();
  }

  /** Milliseconds counted so far. */
  read(): number {
    const nowMs = this.nowMs();
    this.countedMs += Math.min(this.maxStepMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    return this.countedMs;
  }
}

/** Readings within a limit; a stop counts as at most two intervals, so a fifth of the limit. */
const READINGS_PER_LIMIT = 10;
const MAX_INTERVAL_MS = 1000;

/** Clock.after by the time during which this process has run. Returns a function that cancels it. */
export function afterRunning(limitMs: number, action: () => void, clock = processClock): () => void {
  const intervalMs = Math.max(1, Math.min(MAX_INTERVAL_MS, limitMs / READINGS_PER_LIMIT));
  const time = new RunningTime(2 * intervalMs, clock);
  const wait = () => {
    const restMs = limitMs - time.read();
    if (restMs <= 0) action();
    else cancel = clock.after(Math.min(restMs, intervalMs), wait);
  };
  let cancel = clock.after(Math.min(limitMs, intervalMs), wait);
  return () => cancel();
}
