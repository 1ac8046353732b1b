/**
 * The order of the runs. Pure: the same seed gives the same order.
 *
 * A round is one run of every contestant at every point. Points are shuffled within a round, and the contestants of a
 * point run one after another, within seconds, so that what they share of the machine's state cancels out in their
 * ratio. Their order is balanced over the rounds (Latin squares), so that slow drift affects all alike. An interrupted
 * comparison has complete rounds of all experiments.
 */
import type { TargetAddress } from '../load/command/values.ts';
import { seededRandom, seedFor, shuffled } from '../random.ts';
import { companyConnections, LONG_BURST_CLIENTS, type Point } from './experiment-points.ts';
import { BESIDE_SERVER, type Experiment } from './experiments/kind.ts';
import type { ContestantInfo } from './types.ts';

export interface Entrant {
  label: string;
  kind: ContestantInfo['kind'];
  /** Null for servers other than kecho-pool. */
  strategy: string | null;
  /** The number of workers that its arguments give. */
  workers?: number;
  /** Where it runs already. */
  at?: TargetAddress;
}

export interface PlannedRun<E extends Entrant = Entrant> {
  experiment: Experiment;
  point: Point;
  contestant: E;
  /** From 1; 0 is the run that only records a timeline and is not measured. */
  round: number;
}

/** The timeline is recorded at the largest point whose extra run is short. */
function hasTimeline({ points }: Experiment, point: Point): boolean {
  return point === (points.findLast(({ clients }) => clients < LONG_BURST_CLIENTS) ?? points.at(-1));
}

/** Whether it logs internal figures; the control would only repeat the reference's. */
function logsStats({ strategy, kind }: Entrant): boolean {
  return strategy !== null && kind !== 'control';
}

/** The operator's handler or the experiment's. */
export function runsHandler({ hasHandler, ownHandler }: Experiment): boolean {
  return hasHandler || ownHandler !== null;
}

/** What an experiment adds to the arguments of each kecho-pool server. */
export function experimentArgs({ service, ownHandler }: Experiment): string[] {
  return [
    ...(service?.split(';').flatMap((spec) => ['--service', spec]) ?? []),
    ...(ownHandler === null ? [] : ['--handler', ownHandler]),
  ];
}

/** Workers of a workqueue whose arguments do not say: one for each connection where all stay open; null: its default. */
export function workersAt({ workerPerClient }: Experiment, point: Point): number | null {
  return workerPerClient ? point.clients + companyConnections(point) : null;
}

/** Servers other than kecho-pool have no --service and no --handler. */
export function takesPart(experiment: Experiment, contestant: Entrant): boolean {
  if (contestant.at !== undefined && BESIDE_SERVER.includes(experiment.name)) return false;
  return (experiment.service === null && !runsHandler(experiment)) || contestant.strategy !== null;
}

/**
 * The orders of k contestants, as indices, in the first 2k rounds: two Latin squares of Williams, in which each has each
 * position equally often and follows each other equally often.
 */
function balancedOrders(k: number, random: () => number): number[][] {
  const names = shuffled([...Array(k).keys()], random);
  const first = names.map((_, i) => (i % 2 === 0 ? i / 2 : k - (i + 1) / 2));
  const square = names.map((_, row) => first.map((at) => names[(at + row) % k] as number)); // % k is an index
  return [
    ...shuffled(square, random),
    ...shuffled(
      square.map((order) => order.toReversed()),
      random,
    ),
  ];
}

/** A place of an experiment, the contestants there, and their orders. */
interface Place<E> {
  experiment: Experiment;
  point: Point;
  entrants: E[];
  orders: number[][];
}

function places<E extends Entrant>(
  experiments: readonly Experiment[],
  contestants: readonly E[],
  seed: number,
): Place<E>[] {
  return experiments.flatMap((experiment) =>
    experiment.points.map((point) => {
      const entrants = contestants.filter((contestant) => takesPart(experiment, contestant));
      const random = seededRandom(seedFor(seed, `order/${experiment.name}/${point.key}`));
      return { experiment, point, entrants, orders: balancedOrders(entrants.length, random) };
    }),
  );
}

function placeRuns<E extends Entrant>(place: Place<E>, round: number): PlannedRun<E>[] {
  const { experiment, point, entrants, orders } = place;
  const order = orders[Math.max(0, round - 1) % orders.length] ?? [];
  return order
    .map((at) => entrants[at] as E) // orders holds indices of entrants
    .filter((contestant) => round > 0 || logsStats(contestant))
    .map((contestant) => ({ experiment, point, contestant, round }));
}

/** The rounds of a point: the given ones, by default those it has without `--until`, and 0, the timelines. */
export interface Rounds {
  from: number;
  to: (point: Point) => number;
}

const ALL_ROUNDS: Rounds = { from: 0, to: ({ repeat }) => repeat };
export const WITHOUT_TIMELINES: Rounds = { ...ALL_ROUNDS, from: 1 };

export function planRuns<E extends Entrant>(
  experiments: readonly Experiment[],
  contestants: readonly E[],
  seed: number,
  { from, to }: Rounds = ALL_ROUNDS,
): PlannedRun<E>[] {
  const all = places(experiments, contestants, seed);
  const last = Math.max(0, ...all.map(({ point }) => to(point)));
  const runs: PlannedRun<E>[] = [];
  for (let round = from; round <= last; round++) {
    const due = all.filter(({ experiment, point }) =>
      round === 0 ? hasTimeline(experiment, point) : round <= to(point),
    );
    const random = seededRandom(seedFor(seed, `round/${round}`));
    for (const place of shuffled(due, random)) runs.push(...placeRuns(place, round));
  }
  return runs;
}

/** The runs of one round at one point, which are repeated together. */
export function inRounds<E extends Entrant>(plan: readonly PlannedRun<E>[]): PlannedRun<E>[][] {
  const rounds: PlannedRun<E>[][] = [];
  for (const run of plan) {
    const last = rounds.at(-1);
    if (last?.[0]?.point === run.point && last[0].round === run.round) last.push(run);
    else rounds.push([run]);
  }
  return rounds;
}

/** With `--until` the precision is looked at after these rounds, and a comparison ends after one of them. */
export const LOOKS = [8, 12, 18, 27, 40] as const;

/** The rounds from a look to the next one, at the points that need more; null after the last look. */
export function roundsAfter(look: number, needsMore: (point: Point) => boolean): Rounds | null {
  const next = LOOKS.find((rounds) => rounds > look);
  return next === undefined ? null : { from: look + 1, to: (point) => (needsMore(point) ? next : 0) };
}
