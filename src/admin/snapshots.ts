/**
 * One snapshot of the server, and one text of each kind made of it, for all who ask within a while; and the turns in
 * which they get their answers.
 *
 * Main thread only. A snapshot and its texts take milliseconds of the thread that accepts connections. Clients that
 * ask in a loop, however many, cost that once per while, and the event loop comes to the echo service between any two
 * answers.
 */
import type { ServerStatus } from '../schema/status.ts';

export class Snapshot {
  readonly status: ServerStatus;
  readonly atMs = performance.now();
  private readonly makeMetrics: (status: ServerStatus) => Promise<string>;
  private jsonText: string | null = null;
  private metricsText: Promise<string> | null = null;

  constructor(status: ServerStatus, makeMetrics: (status: ServerStatus) => Promise<string>) {
    this.status = status;
    this.makeMetrics = makeMetrics;
  }

  get json(): string {
    this.jsonText ??= JSON.stringify(this.status);
    return this.jsonText;
  }

  get metrics(): Promise<string> {
    this.metricsText ??= this.makeMetrics(this.status);
    return this.metricsText;
  }
}

export class Snapshots {
  private readonly take: () => Snapshot;
  private readonly maxAgeMs: number;
  private latest: Snapshot | null = null;

  constructor(take: () => Snapshot, maxAgeMs: number) {
    this.take = take;
    this.maxAgeMs = maxAgeMs;
  }

  /** One that is younger than `maxAgeMs`. Throws what taking it throws. */
  recent(): Snapshot {
    const { latest } = this;
    return latest !== null && performance.now() - latest.atMs < this.maxAgeMs ? latest : this.fresh();
  }

  fresh(): Snapshot {
    this.latest = null; // should this throw
    this.latest = this.take();
    return this.latest;
  }
}

/** Lets one through per turn of the event loop, the longest waiting first. */
export class Turnstile {
  private readonly waiting: (() => void)[] = [];

  pass(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (this.waiting.length === 1) setImmediate(this.onTurn);
    });
  }

  private readonly onTurn = (): void => {
    this.waiting.shift()?.();
    if (this.waiting.length > 0) setImmediate(this.onTurn); // not before the next turn
  };
}
