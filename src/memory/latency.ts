/**
 * Latency histograms: how long connections wait for a worker, and how long an echo takes.
 *
 * Lock-free: each worker writes its own, and main adds them up. Reading the clock costs a twentieth of an echo, so where
 * there are many echoes they are sampled; while there are few, all are measured. Bucket bounds double, from one
 * microsecond.
 */
import { monotonicMs } from '../sys/clock.ts';
import { FEW_ECHOES, HISTOGRAM_DOUBLES, HISTOGRAMS, type SharedState, WORKERS_HIGH } from './layout.ts';

export const Latency = {
  /** From the accept until a worker begins with the connection. */
  dispatch: 0,
  /** From receiving a request until it is sent back or its rest waits for the peer; includes the service. */
  echo: 1,
} as const;
export type Latency = (typeof Latency)[keyof typeof Latency];

/** With many echoes, one in this many of a worker is measured. */
const ECHO_SAMPLE = 64;
/** Echoes of all workers between two checks of main, about a second, that are still few. */
const FEW = 1000;
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

/** Which of its echoes a worker measures: FEW after each check of main that found few, else one in ECHO_SAMPLE. */
export class EchoSample {
  private readonly words: Int32Array;
  private check = 0;
  private left = 0;
  private unmeasured = 0;

  constructor({ words }: SharedState) {
    this.words = words;
  }

  /** Called once for each echo: whether to measure it. */
  next(): boolean {
    const check = this.words[FEW_ECHOES] as number; // a stale one costs a few samples
    if (check !== this.check) {
      this.check = check;
      this.left = check === 0 ? 0 : FEW;
    }
    if (this.left > 0) this.left--;
    else if (this.unmeasured-- > 0) return false;
    else this.unmeasured = ECHO_SAMPLE - 1;
    return true;
  }
}

/** Main's check whether there are few echoes. */
export class EchoCheck {
  private readonly words: Int32Array;
  private checks = 0;
  private before = 0;

  constructor({ words }: SharedState) {
    this.words = words;
    this.take(0);
  }

  /** `echoes` of all workers since the start. */
  take(echoes: number): void {
    this.checks = (this.checks % 2 ** 30) + 1;
    Atomics.store(this.words, FEW_ECHOES, echoes - this.before <= FEW ? this.checks : 0);
    this.before = echoes;
  }
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
