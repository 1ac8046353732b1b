/**
 * Waits for the first workers. Main thread only; owns one timer while it waits.
 */
import { afterRunning } from '../sys/clock.ts';

/** Longest wait for the first threads: usually 25 to 35 ms each, longer on a busy machine. */
const START_TIMEOUT_MS = 30_000;

export class Readiness {
  private readonly isReady: () => boolean;
  private readonly settled = Promise.withResolvers<void>();

  constructor(isReady: () => boolean) {
    this.isReady = isReady;
    this.settled.promise.catch(() => {}); // it may fail before `wait` is called
  }

  /** Resolves once ready; rejects after START_TIMEOUT_MS or on `fail`. */
  async wait(): Promise<void> {
    this.look();
    const cancel = afterRunning(START_TIMEOUT_MS, () =>
      this.fail(new Error(`the first workers did not start within ${START_TIMEOUT_MS} ms`)),
    );
    try {
      await this.settled.promise;
    } finally {
      cancel();
    }
  }

  /** Checks again, after something has changed. */
  look(): void {
    if (this.isReady()) this.settled.resolve();
  }

  /** Makes `wait` reject. No effect once ready. */
  fail(error: unknown): void {
    this.settled.reject(error);
  }
}
