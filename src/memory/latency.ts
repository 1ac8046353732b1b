/**
 * Latency histograms: how long connections wait for a worker, and how long an echo takes.
 *
 * Each worker counts into its own, main adds them up, so nobody waits for anybody. Times are sampled: reading the
 * clock costs a twentieth of an echo. Buckets double from one microsecond on.
 */
import { monotonicMs } from '../sys/clock.ts';
import { HISTOGRAM_DOUBLES, HISTOGRAMS, type SharedState, WORKERS_HIGH } from './layout.ts';

export const Latency = {
  /** From the accept until a worker begins with the connection. */
  dispatch: 0,
  /** From a request received until it is sent back, or its rest waits for the peer; the service included. */
  echo: 1,
} as const;
export type Latency = (typeof Latency)[keyof typeof Latency];

/** Of these echoes of a worker one is measured. A power of two. */
export const ECHO_SAMPLE = 64;
/** Of these connections one is measured. */
const DISPATCH_SAMPLE = 4;

/** Bucket i takes what is at most 2^i microseconds and more than the one below; the last takes the rest. */
const BOUNDS = 25;
const SUM = BOUNDS + 1;
export const BOUNDS_US: readonly number[] = Array.from({ length: BOUNDS }, (_, i) => 2 ** i);

/** A moment that fits an Int32 and is never 0; differences are right for half an hour. */
export function momentUs(): number {
  return (Math.floor(monotonicMs() * 1000) & 0x7fffffff) | 1;
}

/**
 * Whether the dispatch of this connection is measured: the first one, and of all one in DISPATCH_SAMPLE. Not every
 * fourth: connections take turns with the services, and some of these would never be measured. (Fibonacci hashing.)
 */
export function isDispatchMeasured(connectionId: number): boolean {
  return Math.imul(connectionId - 1, 0x9e3779b1) >>> 0 < 2 ** 32 / DISPATCH_SAMPLE;
}

/** From one moment to a later one. */
export function elapsedUs(fromUs: number, toUs: number): number {
  return (toUs - fromUs) & 0x7fffffff;
}

/** Worker `id` has measured this. */
export function record(shared: SharedState, id: number, latency: Latency, us: number): void {
  const base = (id * HISTOGRAMS + latency) * HISTOGRAM_DOUBLES;
  // Cut to what clz32 can take: a service may sleep for hours.
  const bucket = us <= 1 ? 0 : Math.min(BOUNDS, 32 - Math.clz32(Math.min(2 ** 31, Math.ceil(us)) - 1));
  const { latency: doubles } = shared;
  doubles[base + bucket] = (doubles[base + bucket] as number) + 1;
  doubles[base + SUM] = (doubles[base + SUM] as number) + us;
}

export interface HistogramTotals {
  /** Per bucket of BOUNDS_US, and the rest. */
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
