/**
 * Computes cells and verdicts from runs. Pure.
 */
import { ERROR_CLASSES, type ErrorCounts, errorTotal } from '../load/result.ts';
import type { LoadResult } from '../load/schema.ts';
import { medianEstimate } from '../stats/intervals.ts';
import { outlier } from '../stats/summary.ts';
import { type Comparison, judge, type Sample, type Verdict } from '../stats/verdict.ts';
import { METRIC_KEYS, METRICS, type MetricKey } from './metrics.ts';
import {
  BEFORE_SUFFIX,
  type Cell,
  type CellMetric,
  type ExperimentInfo,
  type PointVerdict,
  type Results,
  type Run,
} from './types.ts';

export interface Analysis {
  cells: Cell[];
  verdicts: PointVerdict[];
}

type Input = Pick<Results, 'runs' | 'contestants' | 'experiments' | 'reference' | 'rule'>;

/** The metrics of a run that are lower bounds. */
export function boundMetrics(load: LoadResult | null): MetricKey[] {
  if (load === null) return [];
  const { response, connect } = load;
  const times = (['averageMs', 'worstMs', 'p99Ms'] as const).filter((key) => response.atLeast.includes(key));
  const ofClients = response.atLeast.includes('averageMs') ? (['worstClientMs'] as const) : [];
  const ofConnects = connect.atLeast.includes('p99Ms') ? (['connectP99Ms'] as const) : [];
  return [...times, ...ofClients, ...ofConnects];
}

function cellMetric(runs: readonly Run[], metric: MetricKey): CellMetric | null {
  const found = runs.flatMap((run) => {
    const value = run.metrics[metric];
    return value === undefined ? [] : [{ value, round: run.round }];
  });
  const values = found.map(({ value }) => value);
  const estimate = medianEstimate(values);
  if (estimate === null) return null;
  const outside = outlier(values); // an index of `values`, hence of `found`
  const boundRuns = runs.filter((run) => boundMetrics(run.load).includes(metric)).length;
  return {
    ...estimate,
    values,
    rounds: found.map(({ round }) => round),
    boundRuns,
    outlierRound: outside === null ? null : (found[outside]?.round ?? null),
  };
}

/** Summary of all runs of a contestant at a point. */
export function cellOf(runs: readonly Run[], experiment: string, point: string, label: string): Cell {
  const metrics: Cell['metrics'] = {};
  for (const key of METRIC_KEYS) {
    const found = cellMetric(runs, key);
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

function cells({ runs, experiments, contestants }: Input): Cell[] {
  return experiments.flatMap((experiment) =>
    experiment.points.flatMap((point) =>
      contestants.flatMap(({ label }) => {
        const own = runs.filter(
          (run) => run.experiment === experiment.name && run.point === point.key && run.label === label,
        );
        return own.length === 0 ? [] : [cellOf(own, experiment.name, point.key, label)];
      }),
    ),
  );
}

/** What went wrong in the runs of a cell, such as "6 timeout, 3 unsent"; empty when nothing did. */
export function faultsText(cell: Cell): string {
  const parts = ERROR_CLASSES.flatMap((name) => (cell.errors[name] ? [`${cell.errors[name]} ${name}`] : []));
  const unsent = cell.errorTotal - errorTotal(cell.errors);
  if (unsent > 0) parts.push(`${unsent} unsent`);
  if (cell.failedRuns > 0) parts.push(`${cell.failedRuns} failed runs`);
  return parts.join(', ');
}

function sampleOf(cell: Cell, metric: MetricKey): Sample {
  const { values, rounds } = cell.metrics[metric] ?? { values: [], rounds: [] };
  return {
    byRound: new Map(rounds.map((round, i) => [round, values[i] as number])), // as many values as rounds
    faults: faultsText(cell),
    limit: cell.saturatedRuns === 0 ? 'none' : (METRICS[metric].whenSaturated ?? 'bound'),
  };
}

/** Two servers that are compared, by label; verdicts of one family are reached together. */
interface Pair {
  label: string;
  reference: string;
  family: string;
}

function pairs({ contestants, reference }: Input): Pair[] {
  const builds = contestants.filter(({ kind }) => kind === 'before').map(({ label }) => label);
  return contestants.flatMap(({ label, kind }) => {
    if (kind === 'before') return [];
    const family = kind === 'control' ? 'control' : 'servers';
    const own = label === reference ? [] : [{ label, reference, family }];
    const old = builds.find((build) => build === `${label}${BEFORE_SUFFIX}`);
    return old === undefined ? own : [...own, { label, reference: old, family: 'builds' }];
  });
}

/** A figure to judge. */
interface Figure {
  family: string;
  comparison: Comparison;
  what: Pick<PointVerdict, 'experiment' | 'point' | 'label' | 'metric' | 'reference' | 'primary'>;
}

function figures(input: Input, found: readonly Cell[], experiment: ExperimentInfo, point: string): Figure[] {
  const here = found.filter((cell) => cell.experiment === experiment.name && cell.point === point);
  return pairs(input).flatMap(({ label, reference, family }) => {
    const own = here.find((cell) => cell.label === label);
    const other = here.find((cell) => cell.label === reference);
    if (own === undefined || other === undefined) return [];
    return experiment.ranked.flatMap((metric, i) => {
      const { better, smallest, unit } = METRICS[metric];
      if (better === null) return [];
      const primary = i === 0;
      return {
        family: family === 'control' ? family : `${family}, ${primary ? 'primary' : 'other'}`,
        comparison: {
          judged: sampleOf(own, metric),
          reference: sampleOf(other, metric),
          direction: better,
          floor: { value: smallest, unit },
        },
        what: { experiment: experiment.name, point, label, metric, reference, primary },
      };
    });
  });
}

/** The primary figures of a report are judged together, the others, and all of the control. */
function verdicts(input: Input, found: readonly Cell[]): PointVerdict[] {
  const all = input.experiments.flatMap((experiment) =>
    experiment.points.flatMap(({ key }) => figures(input, found, experiment, key)),
  );
  const judged = new Map<Figure, PointVerdict>();
  for (const family of new Set(all.map((figure) => figure.family))) {
    const members = all.filter((figure) => figure.family === family);
    const reached = judge(
      members.map(({ comparison }) => comparison),
      input.rule,
    );
    // As many verdicts as members.
    for (const [i, figure] of members.entries())
      judged.set(figure, { ...figure.what, ...(reached[i] as Verdict) });
  }
  return all.flatMap((figure) => judged.get(figure) ?? []);
}

export function analyse(input: Input): Analysis {
  const found = cells(input);
  return { cells: found, verdicts: verdicts(input, found) };
}

/** The places, as "experiment/point", where a primary figure's ratio to the reference is not known to within `until`. */
export function impreciseAt(found: readonly PointVerdict[], until: number): Set<string> {
  const limit = 1 + until;
  const open = found.filter(
    ({ primary, outcome, roundsNeeded, ratio }) =>
      primary &&
      outcome !== 'fails' &&
      (outcome !== 'undecided' || roundsNeeded !== null) && // else no number of rounds decides
      ratio !== null &&
      (ratio.high / ratio.estimate > limit || ratio.estimate / ratio.low > limit),
  );
  return new Set(open.map(({ experiment, point }) => `${experiment}/${point}`));
}
