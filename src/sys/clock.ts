/**
 * Clocks that do not follow changes of the system time.
 */

/** Milliseconds with fractions since a fixed point in the past, the same for all threads of the process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * The time during which this process has run: for timeouts of workers and peers.
 *
 * The monotonic clock also runs while the process is stopped (SIGSTOP, a debugger, a frozen container), so that all
 * timeouts seem to have expired afterwards. This clock must be read at regular intervals, and counts at most
 * `maxStepMs` of each: a thread that reads it too seldom makes it slow, never fast.
 */
export class RunningTime {
  private readonly maxStepMs: number;
  private readonly clock: () => number;
  private lastMs: number;
  private countedMs = 0;

  constructor(maxStepMs: number, clock = monotonicMs) {
    this.maxStepMs = maxStepMs;
    this.clock = clock;
    this.lastMs = clock();
  }

  /** Milliseconds counted so far. */
  read(): number {
    const nowMs = this.clock();
    this.countedMs += Math.min(this.maxStepMs, nowMs - this.lastMs);
    this.lastMs = nowMs;
    return this.countedMs;
  }
}

/** Readings within a limit; a stop counts as at most two intervals, so a fifth of the limit. */
const READINGS_PER_LIMIT = 10;
const MAX_INTERVAL_MS = 1000;

/** setTimeout by the time during which this process has run. Returns a function that cancels it. */
export function afterRunning(limitMs: number, action: () => void): () => void {
  const intervalMs = Math.max(1, Math.min(MAX_INTERVAL_MS, limitMs / READINGS_PER_LIMIT));
  const time = new RunningTime(2 * intervalMs);
  const wait = () => {
    const restMs = limitMs - time.read();
    if (restMs <= 0) action();
    else timer = setTimeout(wait, Math.min(restMs, intervalMs));
  };
  let timer = setTimeout(wait, Math.min(limitMs, intervalMs));
  return () => clearTimeout(timer);
}
