/**
 * Threads that could not be made, whatever the strategy: counted, kept as an event, and logged, many in one line.
 *
 * Main thread only. It owns a rate limit, and through it a timer while something is held back.
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
      warn('threads could not be made', { times, err: this.lastError });
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

  /** Logs what was held back. */
  close(): void {
    this.limit.close();
  }
}
