/**
 * Waits for the first workers. Main thread only; owns one timer while it waits.
 */
import { afterRunning, type Clock, processClock } from '../sys/clock.ts';

/** Longest wait for the first threads: usually some 20 ms each, longer on a busy machine. */
const START_TIMEOUT_MS = 30_000;

export class Readiness {
  private readonly isReady: () => boolean;
  private readonly clock: Clock;
  private readonly settled = Promise.withResolvers<void>();
  private isSettled = false;
  private cancelTimeout: (() => void) | null = null;

  constructor(isReady: () => boolean, clock = processClock) {
    this.isReady = isReady;
    this.clock = clock;
    this.settled.promise.catch(() => {}); // it may fail before `wait` is called
  }

  /** Resolves once ready; rejects after START_TIMEOUT_MS or on `fail`. */
  wait(): Promise<void> {
    this.look();
    const late = () => this.fail(new Error(`the first workers did not start within ${START_TIMEOUT_MS} ms`));
    if (!this.isSettled) this.cancelTimeout = afterRunning(START_TIMEOUT_MS, late, this.clock);
    return this.settled.promise;
  }

  /** Checks again, after something has changed. */
  look(): void {
    if (this.isSettled || !this.isReady()) return;
    this.settle();
    this.settled.resolve();
  }

  /** Makes `wait` reject. No effect once ready. */
  fail(error: unknown): void {
    this.settle();
    this.settled.reject(error);
  }

  private settle(): void {
    this.isSettled = true;
    this.cancelTimeout?.();
  }
}
