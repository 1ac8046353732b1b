/**
 * Counts refused connections by reason and logs them at a limited rate.
 *
 * Main thread only. A refused connection is reset at once (SO_LINGER with time 0, socket(7)): the client gets
 * ECONNRESET instead of a connection that never answers, and the server keeps no TIME_WAIT.
 */
import { RateLimit } from '../log/rate-limit.ts';
import type { ServerStats } from '../schema/status.ts';
import type { RefusalReason } from '../strategy/strategy.ts';

/** Between two log lines. */
const LOG_INTERVAL_MS = 10_000;

export type RefusalCounts = ServerStats['connections']['refused'];

export function noRefusals(): RefusalCounts {
  return {
    maxConnections: 0,
    maxPerAddress: 0,
    queueFull: 0,
    queueAge: 0,
    noThread: 0,
    descriptors: 0,
  };
}

export class Refusals {
  readonly counts = noRefusals();
  private logged = noRefusals();
  private readonly limit: RateLimit;

  /** `log` gets the refusals since the last line, by reason. */
  constructor(log: (refused: Partial<RefusalCounts>) => void) {
    this.limit = new RateLimit(LOG_INTERVAL_MS, () => log(this.sinceLogged()));
  }

  count(reason: RefusalReason): void {
    this.counts[reason]++;
    this.limit.record();
  }

  private sinceLogged(): Partial<RefusalCounts> {
    const since: Partial<RefusalCounts> = {};
    for (const reason of Object.keys(this.counts) as RefusalReason[]) {
      const times = this.counts[reason] - this.logged[reason];
      if (times > 0) since[reason] = times;
    }
    this.logged = { ...this.counts };
    return since;
  }

  /** Flushes pending log lines. */
  close(): void {
    this.limit.close();
  }
}
