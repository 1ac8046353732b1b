/**
 * Simulated comparisons: the product's plan, its analysis and verdicts, with made-up runs. Pure, by seed.
 */
import { type Analysis, analyse } from '../../compare/analyse.ts';
import type { Experiment, ExperimentName } from '../../compare/experiments/kind.ts';
import { chooseExperiments } from '../../compare/experiments.ts';
import { type Entrant, LOOKS, type PlannedRun, planRuns, roundsAfter } from '../../compare/plan.ts';
import { experimentInfo } from '../../compare/run-plan.ts';
import type { PointVerdict, Run } from '../../compare/types.ts';
import { seededRandom, seedFor } from '../../random.ts';
import { NOISES, type Noise, type NoiseName } from './noise.ts';

export interface Scenario {
  noise: NoiseName;
  rounds: number;
  /** True ratios to the reference, which the figures have in turn. */
  ratios: readonly number[];
  seed: number;
}

export const MARGIN = 0.25;
/** The reference's true values: far above those that cannot be told from zero. */
export const TRUE_VALUE = 1000;
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

function experimentsOf(rounds: number): Experiment[] {
  const names: ExperimentName[] = ['response', 'throughput', 'churn', 'cpu-bound', 'zipf'];
  return chooseExperiments(names, { quick: false, idleMax: 10_000, repeat: rounds });
}

/** A true ratio, as its metric's direction does not matter here. */
export function trueRatio(
  { ratios }: Scenario,
  place: Pick<PointVerdict, 'experiment' | 'point' | 'label'>,
): number {
  const { experiment, point, label } = place;
  if (label === REFERENCE || isControl(label)) return 1;
  return ratios[seedFor(0, `${experiment}/${point}/${label}`) % ratios.length] ?? 1;
}

function simulatedRun(planned: PlannedRun, order: number, scenario: Scenario, noise: Noise): Run {
  const { experiment, point, contestant, round } = planned;
  const place = { experiment: experiment.name, point: point.key, label: contestant.label };
  const log = Math.log(trueRatio(scenario, place)) + noise.machine();
  const metrics = Object.fromEntries(
    experiment.ranked.map((metric) => [metric, TRUE_VALUE * Math.exp(log + noise.own())]),
  );
  return { ...place, round, order, load: null, metrics, idleConnections: null, errorTotal: 0, failure: null };
}

function analysed(experiments: readonly Experiment[], runs: Run[], looks: number) {
  const input = {
    runs,
    contestants: ENTRANTS.map(({ label, kind }) => ({ label, kind, command: label })),
    experiments: experiments.map(experimentInfo),
    reference: REFERENCE,
    rule: { margin: MARGIN, looks, until: null },
  };
  return analyse(input);
}

/** A comparison with a fixed number of rounds. */
export function simulate(scenario: Scenario): Analysis {
  const { rounds, seed } = scenario;
  const noise: Noise = NOISES[scenario.noise](seededRandom(seed));
  const experiments = experimentsOf(rounds);
  const plan = planRuns(experiments, ENTRANTS, seed).filter(({ round }) => round > 0);
  const runs = plan.map((planned, order) => simulatedRun(planned, order, scenario, noise));
  return analysed(experiments, runs, 1);
}

/** A comparison as with `--until`: more rounds at the places that `openAt` names, after each look. */
export function simulateUntil(
  scenario: Scenario,
  openAt: (found: Analysis) => ReadonlySet<string>,
): Analysis & { rounds: number[] } {
  const noise: Noise = NOISES[scenario.noise](seededRandom(scenario.seed));
  const experiments = experimentsOf(LOOKS[0]);
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
