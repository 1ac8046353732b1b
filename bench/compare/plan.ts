/**
 * The order of the runs and their expected duration. Pure: the same seed gives the same order.
 *
 * A round is one run of every contestant at every point. Points are shuffled within a round and contestants within a
 * point, so contestants that are compared run within seconds of each other, none always goes first, and slow drift of
 * the machine affects all alike. An interrupted comparison has complete rounds of all experiments.
 */
import { seededRandom, shuffled } from '../random.ts';
import { LONG_BURST_CLIENTS, type Point } from './experiment-points.ts';
import type { Experiment } from './experiments.ts';
import type { ContestantInfo } from './types.ts';

export interface Entrant {
  label: string;
  kind: ContestantInfo['kind'];
  /** Null for servers other than kecho-pool. */
  strategy: string | null;
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

/** Servers other than kecho-pool have no --service and no --handler. */
export function takesPart(experiment: Experiment, contestant: Entrant): boolean {
  return (experiment.service === null && !experiment.hasHandler) || contestant.strategy !== null;
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

// Measured on two cores: start and end of a server and a generator.
const START_MS = 450;
// The generator's own warm-up.
const WARM_UP_MS = 200;
// How much longer the warm-up of a server usually takes to settle.
const EXTENSION_MS = 800;
// Start of one thread, most of the cost of a connection under kthread.
const THREAD_START_MS = 28;
const CONNECT_MS = 0.1;
// Until the memory of a server with idle connections is stable.
const SETTLE_MS = 500;
// The run gives up on kthread after this time (HOLD_TIMEOUT_MS in measure.ts).
const HOLD_MS = 6_000;

/** Connections a workqueue serves, and items that compute, at the same time. */
const PARALLEL = 2;

function serviceMs({ experiment, point, contestant }: PlannedRun): number {
  const match = /:(\d+)ms$/.exec(experiment.service ?? '');
  if (match === null) return 0;
  const requests = point.requests ?? 1;
  const sleepsAtOnce =
    experiment.service?.startsWith('sleep') === true && contestant.strategy !== 'workqueue';
  return (Number(match[1]) * requests * point.clients) / (sleepsAtOnce ? point.clients : PARALLEL);
}

/** Beyond this many idle connections kthread is too busy starting threads to accept the rest. */
const KTHREAD_HOLDS = 2_000;
/** A contestant is skipped at a point after this many runs without an answer. */
export const UNANSWERED_RUNS_MAX = 2;

/** Whether it will probably be skipped. */
function isLikelySkipped({ point, contestant }: PlannedRun): boolean {
  if (contestant.strategy === 'workqueue') return point.idleConnections > PARALLEL;
  return contestant.strategy === 'kthread' && point.idleConnections > KTHREAD_HOLDS;
}

/** Estimated duration of one run. */
export function expectedMs(run: PlannedRun): number {
  const { experiment, point, contestant } = run;
  if (isLikelySkipped(run) && run.round > UNANSWERED_RUNS_MAX) return 0;
  const connections = point.clients + point.idleConnections;
  const isKthread = contestant.strategy === 'kthread';
  const starves =
    experiment.mode === 'closed' &&
    experiment.shape === 'even' &&
    contestant.strategy === 'workqueue' &&
    connections > PARALLEL;
  const threadMs = isKthread ? Math.min(connections * THREAD_START_MS, HOLD_MS) : 0;
  const burstMs = isKthread ? point.clients * THREAD_START_MS : 0;
  return (
    START_MS +
    WARM_UP_MS +
    experiment.warmupMs +
    (experiment.warmupMs > 0 ? EXTENSION_MS : 0) +
    experiment.durationMs +
    (experiment.mode === 'burst' ? burstMs : 0) +
    (point.idleConnections > 0 ? SETTLE_MS + threadMs : 0) +
    connections * CONNECT_MS +
    serviceMs(run) +
    (starves ? experiment.timeoutMs : 0)
  );
}
