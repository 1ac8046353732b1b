/**
 * Computes cells, noise floors and verdicts from runs. Pure and, with the seed, deterministic.
 */
import { ERROR_CLASSES, type ErrorCounts } from '../load/result.ts';
import type { LoadResult } from '../load/schema.ts';
import { medianEstimate, seedFor } from '../stats/bootstrap.ts';
import { outliers } from '../stats/summary.ts';
import { judge, noiseFloor, type Sample } from '../stats/verdict.ts';
import {
  type Cell,
  type CellMetric,
  type ContestantInfo,
  type ExperimentInfo,
  METRIC_KEYS,
  METRICS,
  type MetricKey,
  type NoiseFloor,
  type PointVerdict,
  type Results,
  type Run,
} from './types.ts';

export interface Analysis {
  cells: Cell[];
  noise: NoiseFloor[];
  verdicts: PointVerdict[];
}

type Input = Pick<Results, 'runs' | 'contestants' | 'experiments' | 'reference' | 'seed'>;

/** The metrics of a run that are lower bounds. */
export function boundMetrics(load: LoadResult | null): MetricKey[] {
  if (load === null) return [];
  const { response, connect } = load;
  const times = (['averageMs', 'worstMs', 'p99Ms'] as const).filter((key) => response.atLeast.includes(key));
  return connect.atLeast.includes('p99Ms') ? [...times, 'connectP99Ms'] : times;
}

function cellMetric(runs: readonly Run[], metric: MetricKey, seed: number): CellMetric | null {
  const found = runs.flatMap((run) => {
    const value = run.metrics[metric];
    return value === undefined ? [] : [{ value, round: run.round }];
  });
  const values = found.map(({ value }) => value);
  const estimate = medianEstimate(values, seed);
  if (estimate === null) return null;
  // outliers() returns indices of `values`, hence of `found`.
  const outlierRounds = outliers(values).map((i) => (found[i] as { round: number }).round);
  const boundRuns = runs.filter((run) => boundMetrics(run.load).includes(metric)).length;
  return { ...estimate, values, boundRuns, outlierRounds };
}

/** Summary of all runs of a contestant at a point. */
export function cellOf(
  runs: readonly Run[],
  experiment: string,
  point: string,
  label: string,
  seed: number,
): Cell {
  const metrics: Cell['metrics'] = {};
  for (const key of METRIC_KEYS) {
    const found = cellMetric(runs, key, seedFor(seed, `${experiment}/${point}/${label}/${key}`));
    if (found !== null) metrics[key] = found;
  }
  const errors = Object.fromEntries(
    ERROR_CLASSES.map((name) => [name, runs.reduce((sum, run) => sum + (run.load?.errors[name] ?? 0), 0)]),
  ) as ErrorCounts;
  return {
    experiment,
    point,
    label,
    runs: runs.length,
    failedRuns: runs.filter((run) => run.failure !== null).length,
    errors,
    errorTotal: runs.reduce((sum, run) => sum + run.errorTotal, 0),
    saturatedRuns: runs.filter((run) => run.load?.saturated === true).length,
    lateRuns: runs.filter((run) => run.load?.late === true).length,
    metrics,
  };
}

function cells({ runs, experiments, contestants, seed }: Input): Cell[] {
  return experiments.flatMap((experiment) =>
    experiment.points.flatMap((point) =>
      contestants.flatMap(({ label }) => {
        const own = runs.filter(
          (run) => run.experiment === experiment.name && run.point === point.key && run.label === label,
        );
        return own.length === 0 ? [] : [cellOf(own, experiment.name, point.key, label, seed)];
      }),
    ),
  );
}

/** The input to a verdict on one metric of a cell. */
export function sampleOf(cell: Cell, metric: MetricKey): Sample {
  return {
    values: cell.metrics[metric]?.values ?? [],
    errors: cell.errorTotal + cell.failedRuns,
    saturated: METRICS[metric].ofServer === true ? 0 : cell.saturatedRuns,
  };
}

interface Place {
  experiment: ExperimentInfo;
  point: string;
  metric: MetricKey;
}

function places(experiments: readonly ExperimentInfo[]): Place[] {
  return experiments.flatMap((experiment) =>
    experiment.points.flatMap(({ key }) =>
      experiment.ranked.map((metric) => ({ experiment, point: key, metric })),
    ),
  );
}

function floors(input: Input, found: readonly Cell[], control: ContestantInfo | undefined): NoiseFloor[] {
  if (control === undefined) return [];
  return places(input.experiments).flatMap(({ experiment, point, metric }) => {
    const at = (label: string) =>
      found.find(
        (cell) => cell.experiment === experiment.name && cell.point === point && cell.label === label,
      );
    const seed = seedFor(input.seed, `noise/${experiment.name}/${point}/${metric}`);
    const first = at(input.reference)?.metrics[metric]?.values ?? [];
    const floor = noiseFloor(first, at(control.label)?.metrics[metric]?.values ?? [], seed);
    return floor === null ? [] : [{ experiment: experiment.name, point, metric, ...floor }];
  });
}

function verdictsAt(input: Input, analysis: Omit<Analysis, 'verdicts'>, place: Place): PointVerdict[] {
  const { experiment, point, metric } = place;
  const { better } = METRICS[metric];
  const here = analysis.cells.filter((cell) => cell.experiment === experiment.name && cell.point === point);
  const reference = here.find((cell) => cell.label === input.reference);
  if (reference === undefined || better === null) return [];
  const floor = analysis.noise.find(
    (noise) => noise.experiment === experiment.name && noise.point === point && noise.metric === metric,
  );
  return here
    .filter((cell) => cell !== reference)
    .map((cell) => {
      const seed = seedFor(input.seed, `verdict/${experiment.name}/${point}/${metric}/${cell.label}`);
      const verdict = judge(
        sampleOf(cell, metric),
        sampleOf(reference, metric),
        better,
        floor?.factor ?? 1,
        seed,
      );
      return {
        experiment: experiment.name,
        point,
        metric,
        label: cell.label,
        reference: reference.label,
        ...verdict,
      };
    });
}

export function analyse(input: Input): Analysis {
  const found = cells(input);
  const control = input.contestants.find(({ kind }) => kind === 'control');
  const noise = floors(input, found, control);
  const verdicts = places(input.experiments).flatMap((place) =>
    verdictsAt(input, { cells: found, noise }, place),
  );
  return { cells: found, noise, verdicts };
}
