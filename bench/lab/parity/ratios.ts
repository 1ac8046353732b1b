/**
 * From runs to ratios and verdicts. Pure.
 *
 * A ratio is computed within a pair (two servers, same cell, same repeat, at most one run between them); the ratios are
 * then summarised as median, smallest and largest.
 */
import type { LoadResult } from '../../load/schema.ts';
import { median } from '../../stats/summary.ts';
import type { Cell, ServerName, Target } from './cells.ts';
import type { Run } from './measure.ts';

export type Metric = 'throughput' | 'cpu' | 'p50' | 'p99' | 'p999' | 'worst' | 'generator';

/** Response times in ns. */
const METRICS: Record<Metric, (result: LoadResult) => number | null> = {
  throughput: (r) => r.perSecond,
  cpu: (r) => r.serverCpuPerSampleUs ?? null,
  p50: (r) => r.response.p50Ms * 1e6,
  p99: (r) => r.response.p99Ms * 1e6,
  p999: (r) => r.response.p999Ms * 1e6,
  worst: (r) => r.response.worstMs * 1e6,
  generator: (r) => r.generatorCpuShare,
};

export interface Spread {
  median: number;
  min: number;
  max: number;
}

function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** One metric of one run; null when the run failed or measured nothing. */
export function metricOf(run: Run, metric: Metric): number | null {
  if (run.failure !== null || run.result === null || run.result.completed === 0) return null;
  return METRICS[metric](run.result);
}

/** A metric of one server in one cell over all repeats. */
export function summary(runs: readonly Run[], cell: Cell, server: ServerName, metric: Metric): Spread | null {
  const own = runs.filter((run) => run.cell === cell.name && run.server === server);
  return spread(own.map((run) => metricOf(run, metric)).filter((value) => value !== null));
}

/** cmwq's metric as a multiple of another server's, over the pairs of a cell. */
export function ratio(runs: readonly Run[], cell: Cell, against: ServerName, metric: Metric): Spread | null {
  const ratios: number[] = [];
  for (const own of runs) {
    if (own.cell !== cell.name || own.server !== 'cmwq') continue;
    const pair = runs.find(
      (run) => run.cell === cell.name && run.server === against && run.repeat === own.repeat,
    );
    const top = metricOf(own, metric);
    const bottom = pair === undefined ? null : metricOf(pair, metric);
    if (top !== null && bottom !== null && bottom > 0) ratios.push(top / bottom);
  }
  return spread(ratios);
}

export interface Verdict {
  target: Target;
  cell: string;
  ratio: Spread | null;
  /** By the median; null when nothing was measured. */
  met: boolean | null;
  /** Some pairs lie on the other side of the limit than the median, so another session may too. */
  close: boolean;
}

function isGood(target: Target, value: number): boolean {
  if (target.good === 'atMost') return value <= target.limit;
  return target.good === 'atLeast' ? value >= target.limit : value < target.limit;
}

/** The verdict on every target in every cell it applies to. */
export function verdicts(
  runs: readonly Run[],
  cells: readonly Cell[],
  targets: readonly Target[],
): Verdict[] {
  return targets.flatMap((target) =>
    cells
      .filter((cell) => target.cells === undefined || target.cells.includes(cell.name))
      .map((cell) => {
        const found = ratio(runs, cell, target.against, target.metric);
        if (found === null) return { target, cell: cell.name, ratio: null, met: null, close: false };
        const met = isGood(target, found.median);
        return {
          target,
          cell: cell.name,
          ratio: found,
          met,
          close: isGood(target, found.min) !== met || isGood(target, found.max) !== met,
        };
      }),
  );
}
