/**
 * Merges the repeats of each client count into one point. Pure.
 *
 * Histograms and errors are summed; the rate is the median of the repeats.
 */
import { ERROR_CLASSES, type ErrorCounts } from '../result.ts';
import type { BenchRun, Distribution } from '../schema.ts';
import { Times } from '../times.ts';

export interface Point {
  clients: number;
  runs: readonly BenchRun[];
  times: Times;
  response: Distribution;
  connect: Distribution;
  /** Open mode: the generator's own. */
  lateness: Distribution;
  perSecond: number;
  errors: ErrorCounts;
  errorTotal: number;
  /** Open mode: requests due, and of these never sent; else 0. */
  due: number;
  unsent: number;
  partial: boolean;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? 0;
  return (upper + (sorted[(sorted.length - 1) >> 1] ?? 0)) / 2;
}

function pointOf(clients: number, runs: readonly BenchRun[]): Point {
  const times = new Times();
  for (const { histogram } of runs) if (histogram !== undefined) times.add(histogram);
  const sum = (figure: (run: BenchRun) => number | undefined) =>
    runs.reduce((total, run) => total + (figure(run) ?? 0), 0);
  const errors = Object.fromEntries(
    ERROR_CLASSES.map((name) => [name, sum((run) => run.errors[name])]),
  ) as ErrorCounts;
  return {
    clients,
    runs,
    times,
    response: times.distribution(),
    connect: merged(runs.map((run) => run.connect)),
    lateness: merged(runs.flatMap((run) => run.lateness ?? [])),
    perSecond: median(runs.map((run) => run.perSecond)),
    errors,
    errorTotal: sum((run) => run.errorTotal),
    due: sum((run) => run.due),
    unsent: sum((run) => run.unsent),
    partial: runs.some((run) => run.partial),
  };
}

/** One point per client count, in the order of the runs. */
export function pointsOf(runs: readonly BenchRun[]): Point[] {
  return [...Map.groupBy(runs, (run) => run.clients)].map(([clients, members]) => pointOf(clients, members));
}

/** Several distributions as one row: the weighted average, and the maximum of every other value. */
export function merged(parts: readonly Distribution[]): Distribution {
  const sum = (figure: (part: Distribution) => number) =>
    parts.reduce((total, part) => total + figure(part), 0);
  const [count, censored] = [sum((part) => part.count), sum((part) => part.censored)];
  const weighted = sum((part) => part.averageMs * (part.count + part.censored));
  const highest = (pick: (part: Distribution) => number) => Math.max(0, ...parts.map(pick));
  return {
    count,
    censored,
    averageMs: count + censored === 0 ? 0 : weighted / (count + censored),
    worstMs: highest((part) => part.worstMs),
    p50Ms: highest((part) => part.p50Ms),
    p90Ms: highest((part) => part.p90Ms),
    p99Ms: highest((part) => part.p99Ms),
    p999Ms: highest((part) => part.p999Ms),
    atLeast: [...new Set(parts.flatMap((part) => part.atLeast))],
  };
}
