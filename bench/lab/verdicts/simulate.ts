/**
 * Simulated comparisons: the product's plan, its analysis and verdicts, with made-up runs. Pure, by seed.
 */
import { type Analysis, analyse } from '../../compare/analyse.ts';
import type { Experiment, ExperimentName } from '../../compare/experiments/kind.ts';
import { chooseExperiments } from '../../compare/experiments.ts';
import { METRICS, type MetricKey } from '../../compare/metrics.ts';
import { type Entrant, LOOKS, type PlannedRun, planRuns, roundsAfter } from '../../compare/plan.ts';
import { experimentInfo } from '../../compare/run-plan.ts';
import type { PointVerdict, Run } from '../../compare/types.ts';
import type { Distribution, LoadResult } from '../../load/schema.ts';
import { seededRandom, seedFor } from '../../random.ts';
import type { Procedure } from '../../stats/verdict.ts';
import { NOISES, type Noise, type NoiseName } from './noise.ts';

export interface Scenario {
  noise: NoiseName;
  rounds: number;
  /** True ratios to the reference, which the figures have in turn. */
  ratios: readonly number[];
  seed: number;
  /** All usual experiments, not only a few. */
  whole?: boolean;
  /**
   * At most how good the load generator lets the primary figure of a server look, as a multiple of the reference's true
   * one; the cells have these in turn, as one server slows the generator more than another. Absent: as good as it is.
   */
  limits?: readonly number[];
  /** Absent: the product's. */
  procedure?: Procedure;
}

export const MARGIN = 0.25;
/** The reference's true values: far above those that cannot be told from zero. */
export const TRUE_VALUE = 100;
const ENTRANTS: readonly Entrant[] = [
  { label: 'cmwq', kind: 'strategy', strategy: 'cmwq' },
  { label: 'cmwq (again)', kind: 'control', strategy: 'cmwq' },
  { label: 'workqueue', kind: 'strategy', strategy: 'workqueue' },
  { label: 'kthread', kind: 'strategy', strategy: 'kthread' },
];
export const REFERENCE = 'cmwq';

export function isControl(label: string): boolean {
  return ENTRANTS.some((entrant) => entrant.kind === 'control' && entrant.label === label);
}

const FEW: readonly ExperimentName[] = ['response', 'throughput', 'churn', 'cpu-bound', 'zipf'];

function experimentsOf({ rounds, whole = false }: Pick<Scenario, 'rounds' | 'whole'>): Experiment[] {
  return chooseExperiments(whole ? null : FEW, { quick: false, idleMax: 10_000, repeat: rounds });
}

type Place = Pick<PointVerdict, 'experiment' | 'point' | 'label'>;

/** The element of a list that a cell has: always the same one for the same seed. */
function inTurn(
  list: readonly number[],
  seed: number,
  { experiment, point, label }: Place,
): number | undefined {
  return list[seedFor(seed, `${experiment}/${point}/${label}`) % list.length];
}

/** A true ratio, as its metric's direction does not matter here. */
export function trueRatio({ ratios }: Scenario, place: Place): number {
  if (place.label === REFERENCE || isControl(place.label)) return 1;
  return inTurn(ratios, 0, place) ?? 1;
}

const NO_TIMES: Distribution = {
  ...{ count: 0, censored: 0, averageMs: 0, worstMs: 0, atLeast: [] },
  ...{ p50Ms: 0, p90Ms: 0, p95Ms: 0, p99Ms: 0, p999Ms: 0 },
};
/** Of a run whose load generator was the bottleneck; the figures of a simulated run are in its metrics. */
const SATURATED: LoadResult = {
  ...{ mode: 'closed', clients: 1, requests: 0, messageBytes: 1, windowMs: 1, completed: 0, perSecond: 0 },
  ...{ response: NO_TIMES, connect: NO_TIMES, opened: 1, partial: false },
  errors: { refused: 0, reset: 0, timeout: 0, wrongBytes: 0, earlyClose: 0, other: 0 },
  ...{ errorTotal: 0, errorDetails: [], generatorCpuShare: 1, saturated: true },
};

/** The logarithm of a value as the load generator sees it: at best its limit, where it has one. */
function seen(metric: MetricKey, log: number, limit: number): number {
  if (METRICS[metric].whenSaturated !== undefined) return log;
  return METRICS[metric].better === 'lower' ? Math.max(log, -limit) : Math.min(log, limit);
}

function simulatedRun(planned: PlannedRun, order: number, scenario: Scenario, noise: Noise): Run {
  const { experiment, point, contestant, round } = planned;
  const place = { experiment: experiment.name, point: point.key, label: contestant.label };
  const [truth, machine] = [Math.log(trueRatio(scenario, place)), noise.machine()];
  const limit = Math.log(inTurn(scenario.limits ?? [], 1, place) ?? Number.POSITIVE_INFINITY);
  let load: LoadResult | null = null;
  const values = experiment.ranked.map((metric, i) => {
    const log = truth + noise.own();
    const found = i === 0 ? seen(metric, log, limit) : log;
    if (found !== log) load = SATURATED;
    return [metric, TRUE_VALUE * Math.exp(found + machine)] as const;
  });
  const metrics = Object.fromEntries(values);
  return { ...place, round, order, load, metrics, idleConnections: null, errorTotal: 0, failure: null };
}

function analysed(experiments: readonly Experiment[], runs: Run[], looks: number, procedure?: Procedure) {
  const input = {
    runs,
    contestants: ENTRANTS.map(({ label, kind }) => ({ label, kind, command: label })),
    experiments: experiments.map(experimentInfo),
    reference: REFERENCE,
    rule: { margin: MARGIN, looks, until: null },
  };
  return analyse(input, procedure);
}

/** A comparison with a fixed number of rounds. */
export function simulate(scenario: Scenario): Analysis {
  const { seed, procedure } = scenario;
  const noise: Noise = NOISES[scenario.noise](seededRandom(seed));
  const experiments = experimentsOf(scenario);
  const plan = planRuns(experiments, ENTRANTS, seed).filter(({ round }) => round > 0);
  const runs = plan.map((planned, order) => simulatedRun(planned, order, scenario, noise));
  return analysed(experiments, runs, 1, procedure);
}

/** A comparison as with `--until`: more rounds at the places that `openAt` names, after each look. */
export function simulateUntil(
  scenario: Scenario,
  openAt: (found: Analysis) => ReadonlySet<string>,
): Analysis & { rounds: number[] } {
  const noise: Noise = NOISES[scenario.noise](seededRandom(scenario.seed));
  const experiments = experimentsOf({ rounds: LOOKS[0] });
  const runs: Run[] = [];
  const reached = new Map(
    experiments.flatMap(({ points }) => points.map((point) => [point, LOOKS[0] as number])),
  );
  let plan = planRuns(experiments, ENTRANTS, scenario.seed).filter(({ round }) => round > 0);
  for (const look of LOOKS) {
    for (const planned of plan) {
      runs.push(simulatedRun(planned, runs.length, scenario, noise));
      reached.set(planned.point, planned.round);
    }
    const found = analysed(experiments, runs, LOOKS.length);
    const open = openAt(found);
    const places = experiments.flatMap(({ name, points }) =>
      points.filter(({ key }) => open.has(`${name}/${key}`)),
    );
    const rounds = roundsAfter(look, (point) => places.includes(point));
    if (rounds === null || places.length === 0) return { ...found, rounds: [...reached.values()] };
    plan = planRuns(experiments, ENTRANTS, scenario.seed, rounds);
  }
  throw new Error('unreachable: the last look has no rounds after it');
}

/** The most adverse end of rounds: at each place, as soon as an interval of a primary figure does not contain 1. */
export function placesWithoutDifference({ verdicts }: Analysis): Set<string> {
  const excludes = verdicts.filter(
    ({ primary, ratio }) => primary && ratio !== null && (ratio.low > 1 || ratio.high < 1),
  );
  const ended = new Set(excludes.map(({ experiment, point }) => `${experiment}/${point}`));
  return new Set(
    verdicts.map(({ experiment, point }) => `${experiment}/${point}`).filter((at) => !ended.has(at)),
  );
}
