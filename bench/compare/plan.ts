/**
 * The order of the runs. Pure: the same seed gives the same order.
 *
 * A round is one run of every contestant at every point. Points are shuffled within a round and contestants within a
 * point, so contestants that are compared run within seconds of each other, none always goes first, and slow drift of
 * the machine affects all alike. An interrupted comparison has complete rounds of all experiments.
 */
import { seededRandom, shuffled } from '../random.ts';
import { LONG_BURST_CLIENTS, type Point } from './experiment-points.ts';
import type { Experiment } from './experiments/kind.ts';
import type { ContestantInfo } from './types.ts';

export interface Entrant {
  label: string;
  kind: ContestantInfo['kind'];
  /** Null for servers other than kecho-pool. */
  strategy: string | null;
  /** The number of workers that its arguments give. */
  workers?: number;
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

/** Servers other than kecho-pool have no --service and no --handler. */
export function takesPart(experiment: Experiment, contestant: Entrant): boolean {
  return (experiment.service === null && !runsHandler(experiment)) || contestant.strategy !== null;
}

export function planRuns<E extends Entrant>(
  experiments: readonly Experiment[],
  contestants: readonly E[],
  seed: number,
): PlannedRun<E>[] {
  const random = seededRandom(seed);
  const places = experiments.flatMap((experiment) =>
    experiment.points.map((point) => ({ experiment, point })),
  );
  const rounds = Math.max(0, ...places.map(({ point }) => point.repeat));
  const runs: PlannedRun<E>[] = [];
  for (let round = 0; round <= rounds; round++) {
    const due = places.filter(({ experiment, point }) =>
      round === 0 ? hasTimeline(experiment, point) : round <= point.repeat,
    );
    for (const { experiment, point } of shuffled(due, random)) {
      const entrants = contestants.filter(
        (contestant) => takesPart(experiment, contestant) && (round > 0 || logsStats(contestant)),
      );
      for (const contestant of shuffled(entrants, random))
        runs.push({ experiment, point, contestant, round });
    }
  }
  return runs;
}
