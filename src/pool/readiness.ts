/**
 * Waiting for the first workers. Main thread only; owns one timer while it waits.
 */
import { afterRunning } from '../sys/clock.ts';

/** How long the first threads may take: 25 to 35 ms each is usual, a loaded machine takes longer. */
const START_TIMEOUT_MS = 30_000;

export class Readiness {
  private readonly isReady: () => boolean;
  private readonly settled = Promise.withResolvers<void>();

  constructor(isReady: () => boolean) {
    this.isReady = isReady;
    this.settled.promise.catch(() => {}); // it may fail before anybody waits
  }

  /** Resolves once ready; rejects after START_TIMEOUT_MS or when `fail` was called. */
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

  /** Something has changed: looks again. */
  look(): void {
    if (this.isReady()) this.settled.resolve();
  }

  /** It will not become ready. Without effect once it was. */
  fail(error: unknown): void {
    this.settled.reject(error);
  }
}
