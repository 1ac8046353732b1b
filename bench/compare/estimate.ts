/**
 * How long the runs of a comparison take. Pure.
 */
import type { PlannedRun } from './plan.ts';

// Measured on two cores: start and end of a server and a generator.
const START_MS = 450;
// Start of one thread, most of the cost of a connection under kthread.
const THREAD_START_MS = 28;
const CONNECT_MS = 0.1;
// Until the memory of a server with idle connections is stable.
const SETTLE_MS = 500;
// The run gives up on kthread after this time (HOLD_TIMEOUT_MS in measure.ts).
const HOLD_MS = 6_000;

// Start of what runs beside the load.
const COMPANY_MS = 150;

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

/** Three waits until the memory is stable, and the threads of the connections that are held. */
function heldAfterMs({ point: { heldAfter }, contestant }: PlannedRun): number {
  if (heldAfter === undefined) return 0;
  return 3 * SETTLE_MS + (contestant.strategy === 'kthread' ? heldAfter * THREAD_START_MS : 0);
}

/** Estimated duration of one run. */
export function expectedMs(run: PlannedRun): number {
  const { experiment, point, contestant } = run;
  if (isLikelySkipped(run) && run.round > UNANSWERED_RUNS_MAX) return 0;
  const connections = point.clients + point.idleConnections;
  const isKthread = contestant.strategy === 'kthread';
  const starves =
    experiment.mode === 'closed' &&
    !experiment.workerPerClient &&
    contestant.strategy === 'workqueue' &&
    connections > PARALLEL;
  const threadMs = isKthread ? Math.min(connections * THREAD_START_MS, HOLD_MS) : 0;
  const burstMs = isKthread ? point.clients * THREAD_START_MS : 0;
  return (
    START_MS +
    (point.warmupMs ?? experiment.warmupMs) +
    experiment.durationMs +
    (point.company === undefined ? 0 : COMPANY_MS) +
    (experiment.mode === 'burst' ? burstMs : 0) +
    (point.idleConnections > 0 ? SETTLE_MS + threadMs : 0) +
    heldAfterMs(run) +
    connections * CONNECT_MS +
    serviceMs(run) +
    (starves ? experiment.timeoutMs : 0)
  );
}
