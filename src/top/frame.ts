/**
 * The change from one status to the next: rates, and latencies of that interval. Pure.
 *
 * Time is the server's uptime, so a late response does not distort a rate. The first frame, and the first after a
 * restart of the server, covers the time since the server's start.
 */
import type { HistogramStatus, ServerStatus } from '../schema/status.ts';

export interface Percentiles {
  samples: number;
  /** Seconds; null without samples. */
  mean: number | null;
  /** Upper bounds of buckets in seconds; infinite for the last bucket, null without samples. */
  p50: number | null;
  p99: number | null;
  max: number | null;
}

export interface WorkerRates {
  items: number;
  echoes: number;
}

export interface Frame {
  status: ServerStatus;
  /** Interval of the rates. */
  elapsedMs: number;
  /** Whether the interval is the server's whole uptime. */
  sinceStart: boolean;
  /** Per second. */
  rates: {
    accepted: number;
    refused: number;
    echoes: number;
    bytesIn: number;
    bytesOut: number;
    items: number;
    cpuIntensive: number;
    cmWakeup: number;
    noticed: number;
    mayday: number;
    rescued: number;
    /** Of the CPU pools, in seconds. */
    cpuTime: number;
  };
  /** 100 is one processor. */
  cpuPercent: number;
  /** By id. */
  workers: ReadonlyMap<number, WorkerRates>;
  latency: { dispatch: Percentiles; echo: Percentiles };
}

/** Whether `before` is an earlier status of the same server. */
function isEarlier(before: ServerStatus, now: ServerStatus): boolean {
  return (
    before.pid === now.pid && before.uptimeMs <= now.uptimeMs && before.stats.strategy === now.stats.strategy
  );
}

export function refusedTotal({ stats }: ServerStatus): number {
  return Object.values(stats.connections.refused).reduce((sum, times) => sum + times, 0);
}

/** Of all CPU pools. */
export function poolCpuTimeMs({ stats }: ServerStatus): number {
  return stats.cpuPools.reduce((sum, { cpuTimeMs }) => sum + cpuTimeMs, 0);
}

export function frameOf(now: ServerStatus, previous: ServerStatus | null): Frame {
  const before = previous !== null && isEarlier(previous, now) ? previous : null;
  const elapsedMs = now.uptimeMs - (before?.uptimeMs ?? 0);
  const rate = (of: (status: ServerStatus) => number): number => {
    const change = of(now) - (before === null ? 0 : of(before));
    return elapsedMs > 0 ? Math.max(0, change * 1000) / elapsedMs : 0;
  };
  const cpu = ({ process }: ServerStatus) => process.cpuUserSeconds + process.cpuSystemSeconds;
  return {
    status: now,
    elapsedMs,
    sinceStart: before === null,
    rates: {
      accepted: rate(({ stats }) => stats.connections.accepted),
      refused: rate(refusedTotal),
      echoes: rate(({ stats }) => stats.echoes),
      bytesIn: rate(({ stats }) => stats.bytesIn),
      bytesOut: rate(({ stats }) => stats.bytesOut),
      items: rate(({ stats }) => stats.items.started),
      cpuIntensive: rate(({ stats }) => stats.items.cpuIntensive),
      cmWakeup: rate(({ stats }) => stats.items.cmWakeup),
      noticed: rate(({ stats }) => stats.items.noticed),
      mayday: rate(({ stats }) => stats.items.mayday),
      rescued: rate(({ stats }) => stats.items.rescued),
      cpuTime: rate(poolCpuTimeMs) / 1000,
    },
    cpuPercent: rate(cpu) * 100,
    workers: workerRates(now, before, elapsedMs),
    latency: {
      dispatch: percentiles(now.latency.dispatch, before?.latency.dispatch ?? null),
      echo: percentiles(now.latency.echo, before?.latency.echo ?? null),
    },
  };
}

function workerRates(
  now: ServerStatus,
  before: ServerStatus | null,
  elapsedMs: number,
): Map<number, WorkerRates> {
  const earlier = new Map(before?.workers.map((worker) => [worker.id, worker]));
  const perSecond = (change: number) => (elapsedMs > 0 ? Math.max(0, change * 1000) / elapsedMs : 0);
  return new Map(
    now.workers.map(({ id, started, echoes }) => {
      const then = earlier.get(id);
      // A new id: its counters may include an earlier thread's work, so there is no rate yet.
      const base = then ?? (before === null ? { started: 0, echoes: 0 } : { started, echoes });
      return [id, { items: perSecond(started - base.started), echoes: perSecond(echoes - base.echoes) }];
    }),
  );
}

/** Of the samples since `before`. */
export function percentiles(now: HistogramStatus, before: HistogramStatus | null): Percentiles {
  const counts = now.counts.map((times, i) => Math.max(0, times - (before?.counts[i] ?? 0)));
  const samples = counts.reduce((sum, times) => sum + times, 0);
  if (samples === 0) return { samples, mean: null, p50: null, p99: null, max: null };
  const bound = (share: number): number => {
    let left = Math.ceil(share * samples);
    const bucket = counts.findIndex((times) => {
      left -= times;
      return left <= 0;
    });
    return now.boundsSeconds[bucket] ?? Number.POSITIVE_INFINITY;
  };
  const mean = Math.max(0, now.sumSeconds - (before?.sumSeconds ?? 0)) / samples;
  return { samples, mean, p50: bound(0.5), p99: bound(0.99), max: bound(1) };
}
