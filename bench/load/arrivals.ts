/**
 * When the requests of open mode are due: at even gaps, or at random as independent clients would send them (a Poisson
 * process). Pure; the seed decides.
 *
 * A window has an exact number of requests. A Poisson process with n arrivals in an interval has them at n independent,
 * uniform times, so these are drawn, one after another in ascending order: the earliest of k uniform times within a rest
 * r is at r * (1 - u^(1/k)), for u uniform in (0, 1].
 */
import type { Arrivals } from './result.ts';

export interface Schedule {
  /** When the next request is due. */
  readonly dueMs: number;
  /** Takes it. */
  advance(): void;
}

/** Evenly: the first at once. Multiples of the gap, so that rounding errors do not add up. */
class EvenSchedule implements Schedule {
  private readonly fromMs: number;
  private readonly gapMs: number;
  private taken = 0;

  constructor(fromMs: number, gapMs: number) {
    this.fromMs = fromMs;
    this.gapMs = gapMs;
  }

  get dueMs(): number {
    return this.fromMs + this.taken * this.gapMs;
  }

  advance(): void {
    this.taken++;
  }
}

/** `count` requests within count * gapMs; or without end, at exponential gaps. */
class PoissonSchedule implements Schedule {
  dueMs: number;
  private readonly gapMs: number;
  private readonly endMs: number;
  private readonly random: () => number;
  private left: number;

  constructor(fromMs: number, gapMs: number, count: number, random: () => number) {
    this.dueMs = fromMs;
    this.gapMs = gapMs;
    this.endMs = fromMs + count * gapMs;
    this.random = random;
    this.left = count;
    this.advance();
  }

  advance(): void {
    const u = 1 - this.random(); // in (0, 1]
    const rest = this.left === Number.POSITIVE_INFINITY ? -Math.log(u) * this.gapMs : this.restBefore(u);
    this.dueMs += rest;
  }

  private restBefore(u: number): number {
    if (this.left === 0) return 0;
    return (this.endMs - this.dueMs) * -Math.expm1(Math.log(u) / this.left--);
  }
}

/** `count` requests from `fromMs` on, or any number: Infinity. */
export function scheduleOf(
  arrivals: Arrivals,
  fromMs: number,
  gapMs: number,
  count: number,
  random: () => number,
): Schedule {
  return arrivals === 'even'
    ? new EvenSchedule(fromMs, gapMs)
    : new PoissonSchedule(fromMs, gapMs, count, random);
}
