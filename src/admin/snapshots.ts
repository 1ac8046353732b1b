/**
 * One snapshot, serialized once per format, is shared by all requests within `maxAgeMs`: any number of polling clients
 * costs main one question, and the endpoint one serialization per format, in that time.
 *
 * Runs on the endpoint's thread.
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
  private readonly take: () => Promise<Snapshot>;
  private readonly maxAgeMs: number;
  private latest: Snapshot | null = null;
  private taking: Promise<Snapshot> | null = null;

  constructor(take: () => Promise<Snapshot>, maxAgeMs: number) {
    this.take = take;
    this.maxAgeMs = maxAgeMs;
  }

  /** A snapshot younger than `maxAgeMs`. Rejects when none can be taken. */
  async recent(): Promise<Snapshot> {
    const { latest } = this;
    return latest !== null && performance.now() - latest.atMs < this.maxAgeMs ? latest : this.fresh();
  }

  /** A new snapshot, or the one that is being taken. Rejects when none can be taken. */
  fresh(): Promise<Snapshot> {
    this.taking ??= this.replace();
    return this.taking;
  }

  private async replace(): Promise<Snapshot> {
    this.latest = null; // in case take() rejects
    try {
      this.latest = await this.take();
      return this.latest;
    } finally {
      this.taking = null;
    }
  }
}
