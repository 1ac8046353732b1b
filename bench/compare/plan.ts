/**
 * The order of the runs, and how long they will take. Pure: the same seed gives the same order.
 *
 * A round holds one run of every contestant at every point. Points are shuffled within a round and
 * contestants within a point, so those that are compared run within seconds of each other, none always goes
 * first, and whatever the machine does slowly meets all alike. An interrupted comparison has
 * complete rounds of everything rather than all of the first experiment.
 */
import { seededRandom, shuffled } from '../random.ts';
import { type Experiment, LONG_BURST_CLIENTS, type Point } from './experiments.ts';
import type { ContestantInfo } from './types.ts';

export interface Entrant {
  label: string;
  kind: ContestantInfo['kind'];
  /** The strategy it runs; null when it is no kecho-pool. */
  strategy: string | null;
}

export interface PlannedRun<E extends Entrant = Entrant> {
  experiment: Experiment;
  point: Point;
  contestant: E;
  /** From 1; 0 is the run that only takes a timeline and is not measured. */
  round: number;
}

/** Timelines are taken where there is most to see without waiting long for an extra run. */
function hasTimeline({ points }: Experiment, point: Point): boolean {
  return point === (points.findLast(({ clients }) => clients < LONG_BURST_CLIENTS) ?? points.at(-1));
}

/** Whether it can say what happens inside it; the control would say the same again. */
function hasFigures({ strategy, kind }: Entrant): boolean {
  return strategy !== null && kind !== 'control';
}

/** Whether it takes part: servers that are not kecho-pool have no --service. */
export function takesPart(experiment: Experiment, contestant: Entrant): boolean {
  return experiment.service === null || contestant.strategy !== null;
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
        (contestant) => takesPart(experiment, contestant) && (round > 0 || hasFigures(contestant)),
      );
      for (const contestant of shuffled(entrants, random))
        runs.push({ experiment, point, contestant, round });
    }
  }
  return runs;
}

// Measured on two cores: a server and a generator start and end.
const START_MS = 450;
// One start of a thread, which is most of what a connection costs under kthread.
const THREAD_START_MS = 28;
const CONNECT_MS = 0.1;
// A server with idle connections is looked at until its memory is steady; kthread is given up on in this time.
const SETTLE_MS = 500;
const HOLD_MS = 6_000;

/** Threads that serve at the same time where a connection keeps one, and sleeping or computing at once. */
const PARALLEL = 2;

function serviceMs({ experiment, point, contestant }: PlannedRun): number {
  const match = /:(\d+)ms$/.exec(experiment.service ?? '');
  if (match === null) return 0;
  const requests = point.requests ?? 1;
  const sleepsAtOnce =
    experiment.service?.startsWith('sleep') === true && contestant.strategy !== 'workqueue';
  return (Number(match[1]) * requests * point.clients) / (sleepsAtOnce ? point.clients : PARALLEL);
}

/** From so many idle connections on kthread is too busy with starting threads to accept the rest. */
const KTHREAD_HOLDS = 2_000;
/** A contestant is given up at a point after so many runs in which nobody got an answer. */
export const HOPELESS_RUNS = 2;

/** Whether it will be given up, as far as can be told before. */
function isHopeless({ point, contestant }: PlannedRun): boolean {
  if (contestant.strategy === 'workqueue') return point.idleConnections > PARALLEL;
  return contestant.strategy === 'kthread' && point.idleConnections > KTHREAD_HOLDS;
}

/** A guess at how long one run takes, for the estimate before the start. */
export function expectedMs(run: PlannedRun): number {
  const { experiment, point, contestant } = run;
  if (isHopeless(run) && run.round > HOPELESS_RUNS) return 0;
  const connections = point.clients + point.idleConnections;
  const isKthread = contestant.strategy === 'kthread';
  const starves =
    experiment.mode === 'closed' && contestant.strategy === 'workqueue' && connections > PARALLEL;
  const threadMs = isKthread ? Math.min(connections * THREAD_START_MS, HOLD_MS) : 0;
  const burstMs = isKthread ? point.clients * THREAD_START_MS : 0;
  return (
    START_MS +
    experiment.warmupMs +
    experiment.durationMs +
    (experiment.mode === 'burst' ? burstMs : 0) +
    (point.idleConnections > 0 ? SETTLE_MS + threadMs : 0) +
    connections * CONNECT_MS +
    serviceMs(run) +
    (starves ? experiment.timeoutMs : 0)
  );
}
