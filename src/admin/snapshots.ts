/**
 * Rate limits for figures: one snapshot, serialized once per format, is shared by all requests within `maxAgeMs`, and
 * one response is produced per turn of the event loop.
 *
 * Main thread only. A snapshot and its texts cost milliseconds on the thread that accepts connections. Any number of
 * polling clients costs that once per `maxAgeMs`, and the echo service gets a turn between two responses.
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

  /** A snapshot younger than `maxAgeMs`. Rethrows a failure to take it. */
  recent(): Snapshot {
    const { latest } = this;
    return latest !== null && performance.now() - latest.atMs < this.maxAgeMs ? latest : this.fresh();
  }

  fresh(): Snapshot {
    this.latest = null; // in case take() throws
    this.latest = this.take();
    return this.latest;
  }
}

/** Admits one caller per turn of the event loop, in FIFO order. */
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
