/**
 * Latency histograms: how long connections wait for a worker, and how long an echo takes.
 *
 * Lock-free: each worker writes its own, and main adds them up. Times are sampled, since reading the clock costs a
 * twentieth of an echo. Bucket bounds double, from one microsecond.
 */
import { monotonicMs } from '../sys/clock.ts';
import { HISTOGRAM_DOUBLES, HISTOGRAMS, type SharedState, WORKERS_HIGH } from './layout.ts';

export const Latency = {
  /** From the accept until a worker begins with the connection. */
  dispatch: 0,
  /** From receiving a request until it is sent back or its rest waits for the peer; includes the service. */
  echo: 1,
} as const;
export type Latency = (typeof Latency)[keyof typeof Latency];

/** One in this many echoes of a worker is measured. A power of two. */
export const ECHO_SAMPLE = 64;
/** One in this many connections is measured. */
const DISPATCH_SAMPLE = 4;

/** Bucket i has the upper bound of 2^i microseconds; one more takes the rest. */
const BOUNDS = 25;
const SUM = BOUNDS + 1;
export const BOUNDS_US: readonly number[] = Array.from({ length: BOUNDS }, (_, i) => 2 ** i);

/** The monotonic time, wrapped to fit an Int32 and never 0; differences are correct for half an hour. */
export function momentUs(): number {
  return (Math.floor(monotonicMs() * 1000) & 0x7fffffff) | 1;
}

/**
 * Whether the dispatch of this connection is measured: the first, and one in DISPATCH_SAMPLE overall. By Fibonacci
 * hashing, not every fourth: services are assigned in turn, so some of them would never be measured.
 */
export function isDispatchMeasured(connectionId: number): boolean {
  return Math.imul(connectionId - 1, 0x9e3779b1) >>> 0 < 2 ** 32 / DISPATCH_SAMPLE;
}

/** The time between two values of momentUs(). */
export function elapsedUs(fromUs: number, toUs: number): number {
  return (toUs - fromUs) & 0x7fffffff;
}

/** Called by worker `id`. */
export function record(shared: SharedState, id: number, latency: Latency, us: number): void {
  const base = (id * HISTOGRAMS + latency) * HISTOGRAM_DOUBLES;
  // Capped at what clz32 can take: a service may sleep for hours.
  const bucket = us <= 1 ? 0 : Math.min(BOUNDS, 32 - Math.clz32(Math.min(2 ** 31, Math.ceil(us)) - 1));
  const { latency: doubles } = shared;
  doubles[base + bucket] = (doubles[base + bucket] as number) + 1;
  doubles[base + SUM] = (doubles[base + SUM] as number) + us;
}

export interface HistogramTotals {
  /** Per bucket of BOUNDS_US, then those above the last bound. */
  counts: number[];
  sumUs: number;
}

/** Sums over the workers since the start. */
export function latencyTotals(shared: SharedState, latency: Latency): HistogramTotals {
  const counts = new Array<number>(BOUNDS + 1).fill(0);
  let sumUs = 0;
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    const base = (id * HISTOGRAMS + latency) * HISTOGRAM_DOUBLES;
    for (let i = 0; i <= BOUNDS; i++)
      counts[i] = (counts[i] as number) + (shared.latency[base + i] as number);
    sumUs += shared.latency[base + SUM] as number;
  }
  return { counts, sumUs };
}
