/**
 * Waiting for the first workers. Main thread only; owns one timer while it waits.
 */
import { afterRunning, type Clock, processClock } from '../sys/clock.ts';

/** How long the first threads may take: 25 to 35 ms each is usual, a loaded machine takes longer. */
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
    this.settled.promise.catch(() => {}); // it may fail before anybody waits
  }

  /** Resolves once ready; rejects after START_TIMEOUT_MS or when `fail` was called. */
  wait(): Promise<void> {
    this.look();
    const late = () => this.fail(new Error(`the first workers did not start within ${START_TIMEOUT_MS} ms`));
    if (!this.isSettled) this.cancelTimeout = afterRunning(START_TIMEOUT_MS, late, this.clock);
    return this.settled.promise;
  }

  /** Something has changed: looks again. */
  look(): void {
    if (this.isSettled || !this.isReady()) return;
    this.settle();
    this.settled.resolve();
  }

  /** It will not become ready. Without effect once it was. */
  fail(error: unknown): void {
    this.settle();
    this.settled.reject(error);
  }

  private settle(): void {
    this.isSettled = true;
    this.cancelTimeout?.();
  }
}
