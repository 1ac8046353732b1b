/**
 * Merges the runs of each point: its repeats, and those of several generators. Pure.
 *
 * Histograms and errors are summed, so every percentile is that of all times. The rate is the median of the repeats, and
 * the sum over generators.
 */
import { median } from '../../stats/summary.ts';
import { ERROR_CLASSES, type ErrorCounts } from '../result.ts';
import type { BenchRun, Distribution, Histograms } from '../schema.ts';
import { Times } from '../times.ts';

export interface Point {
  clients: number;
  /** With --stages. */
  stage?: number;
  /** Open mode: the intended rate. */
  rate?: number;
  runs: readonly BenchRun[];
  times: Times;
  response: Distribution;
  connect: Distribution;
  /** Open mode: from the actual send. */
  raw: Distribution;
  /** Open mode: the generator's own. */
  lateness: Distribution;
  perSecond: number;
  errors: ErrorCounts;
  errorTotal: number;
  /** Open mode: requests due, and of these never sent; else 0. */
  due: number;
  unsent: number;
  /** Median of the repeats; null when unknown. */
  cpuPerSampleUs: number | null;
  partial: boolean;
}

function timesOf(runs: readonly BenchRun[], name: keyof Histograms): Times {
  const times = new Times();
  for (const { histograms } of runs) {
    const parts = histograms[name];
    if (parts !== undefined) times.add(parts);
  }
  return times;
}

function pointOf(runs: readonly BenchRun[]): Point {
  const sum = (figure: (run: BenchRun) => number | undefined) =>
    runs.reduce((total, run) => total + (figure(run) ?? 0), 0);
  const errors = Object.fromEntries(
    ERROR_CLASSES.map((name) => [name, sum((run) => run.errors[name])]),
  ) as ErrorCounts;
  const { clients = 0, stage, rate } = runs[0] ?? {};
  const times = timesOf(runs, 'response');
  const cpu = runs.flatMap((run) => run.serverCpuPerSampleUs ?? []);
  return {
    clients,
    ...(stage === undefined ? {} : { stage }),
    ...(rate === undefined ? {} : { rate }),
    runs,
    times,
    response: times.distribution(),
    connect: timesOf(runs, 'connect').distribution(),
    raw: timesOf(runs, 'responseRaw').distribution(),
    lateness: timesOf(runs, 'lateness').distribution(),
    perSecond: median(runs.map((run) => run.perSecond)),
    errors,
    errorTotal: sum((run) => run.errorTotal),
    due: sum((run) => run.due),
    unsent: sum((run) => run.unsent),
    cpuPerSampleUs: cpu.length === 0 ? null : median(cpu),
    partial: runs.some((run) => run.partial),
  };
}

/** What the runs of a point have in common within one measurement. */
export function pointKey({ stage, clients }: Pick<BenchRun, 'stage' | 'clients'>): string {
  return stage === undefined ? `${clients} clients` : `stage ${stage}`;
}

/** One point per stage or client count, in the order of the runs. */
export function pointsOf(runs: readonly BenchRun[]): Point[] {
  return [...Map.groupBy(runs, pointKey).values()].map(pointOf);
}

/** The same point of several generators that ran together. */
export function sumOfGenerators(points: readonly Point[]): Point {
  const sum = (figure: (point: Point) => number) => points.reduce((total, point) => total + figure(point), 0);
  const all = pointOf(points.flatMap(({ runs }) => runs));
  const perSecond = sum((point) => point.perSecond);
  // Each has the CPU time that the server spent on the requests of all.
  const cpuUsPerSecond = points.flatMap(({ cpuPerSampleUs, perSecond: own }) =>
    cpuPerSampleUs === null ? [] : [cpuPerSampleUs * own],
  );
  return {
    ...all,
    clients: sum((point) => point.clients),
    ...(all.rate === undefined ? {} : { rate: sum((point) => point.rate ?? 0) }),
    perSecond,
    cpuPerSampleUs: cpuUsPerSecond.length === 0 ? null : median(cpuUsPerSecond) / perSecond,
  };
}

/** Which point, in a sentence. */
export function whereText({ stage, clients, rate }: Pick<Point, 'stage' | 'clients' | 'rate'>): string {
  if (stage === undefined) return `at ${clients} clients`;
  return `in stage ${stage} (${rate === undefined ? `${clients} clients` : `${rate}/s`})`;
}
