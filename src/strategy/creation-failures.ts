/**
 * Failed thread creations under any strategy: counted, recorded as events, and logged in aggregate.
 *
 * Main thread only. It owns a rate limit, and through that a timer while log lines are pending.
 */
import { RateLimit } from '../log/rate-limit.ts';
import type { StrategyContext } from './strategy.ts';

/** Between two log lines. */
const LOG_INTERVAL_MS = 10_000;

export class CreationFailures {
  private total = 0;
  private lastError: unknown = null;
  private readonly limit: RateLimit;

  constructor({ note, warn }: Pick<StrategyContext, 'note' | 'warn'>) {
    this.limit = new RateLimit(LOG_INTERVAL_MS, (times) => {
      note('creationFailed', { times });
      warn('thread creation failed', { times, err: this.lastError });
    });
  }

  /** Failures since the start. */
  get count(): number {
    return this.total;
  }

  record(error: unknown): void {
    this.total++;
    this.lastError = error;
    this.limit.record();
  }

  /** Flushes pending log lines. */
  close(): void {
    this.limit.close();
  }
}
