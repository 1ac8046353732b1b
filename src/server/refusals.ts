/**
 * Refusing connections: one way of doing it, counted by reason, and said without flooding the log.
 *
 * Main thread only. A refused connection is reset at once (SO_LINGER with time 0, socket(7)): the client gets
 * ECONNRESET instead of a connection that looks good and answers nothing, and the server keeps no TIME_WAIT.
 */
import { RateLimit } from '../log/rate-limit.ts';
import type { ServerStats } from '../schema/status.ts';
import type { RefusalReason } from '../strategy/strategy.ts';

/** Between two lines about refusals. */
const LOG_INTERVAL_MS = 10_000;

export type RefusalCounts = ServerStats['connections']['refused'];

export function noRefusals(): RefusalCounts {
  return {
    maxConnections: 0,
    maxPerAddress: 0,
    queueFull: 0,
    queueAge: 0,
    noThread: 0,
    draining: 0,
    descriptors: 0,
  };
}

export class Refusals {
  readonly counts = noRefusals();
  private told = noRefusals();
  private readonly limit: RateLimit;

  /** `log` gets how many were refused since the last line, by reason. */
  constructor(log: (refused: Partial<RefusalCounts>) => void) {
    this.limit = new RateLimit(LOG_INTERVAL_MS, () => log(this.sinceTold()));
  }

  /** One more was refused. */
  count(reason: RefusalReason): void {
    this.counts[reason]++;
    this.limit.record();
  }

  private sinceTold(): Partial<RefusalCounts> {
    const since: Partial<RefusalCounts> = {};
    for (const reason of Object.keys(this.counts) as RefusalReason[]) {
      const times = this.counts[reason] - this.told[reason];
      if (times > 0) since[reason] = times;
    }
    this.told = { ...this.counts };
    return since;
  }

  /** Says what has not been said. */
  close(): void {
    this.limit.close();
  }
}
