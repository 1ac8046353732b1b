/**
 * The questions that a concurrency-managed workqueue asks, under the names they have in
 * kernel/workqueue.c, and its constants.
 *
 * Pure: numbers in, an answer out; no clock, no memory, no I/O. Used by main, by the workers and by the
 * simulation. The caller holds whatever makes the numbers true for long enough (run-slot.ts says what).
 */

/** MAX_IDLE_WORKERS_RATIO: a fourth as many idle workers as busy ones may stay. */
export const MAX_IDLE_WORKERS_RATIO = 4;
/** IDLE_WORKER_TIMEOUT: how long a worker that is too many stays, 300 s. */
export const IDLE_WORKER_TIMEOUT_MS = 300_000;
/** wq_cpu_intensive_thresh_us: an item longer than this leaves the concurrency count, 10 ms. */
export const CPU_INTENSIVE_THRESH_MS = 10;
/** CREATE_COOLDOWN: the pause after a failed creation of a worker, 1 s. */
export const CREATE_COOLDOWN_MS = 1000;
/** MAYDAY_INITIAL_TIMEOUT: how long a needed worker may be missing before the rescuer is called, 10 ms. */
export const MAYDAY_INITIAL_TIMEOUT_MS = 10;
/** MAYDAY_INTERVAL: how often the call is repeated, 100 ms. */
export const MAYDAY_INTERVAL_MS = 100;
/** WQ_DFL_ACTIVE: begun and unfinished items of a CPU pool unless it is set. */
export const WQ_DFL_ACTIVE = 1024;
/** WQ_MAX_ACTIVE: the most it can be set to. */
export const WQ_MAX_ACTIVE = 2048;

// need_more_worker() and the others assume nothing about the caller; a stale answer is corrected by the
// look-again of kick.ts.

/** Work is pending and nobody runs: a worker must be woken. */
export function needMoreWorker(pending: boolean, nrRunning: number): boolean {
  return pending && nrRunning === 0;
}

/** A worker may start working only if another one stays idle, to take over when it sleeps. */
export function mayStartWorking(nrIdle: number): boolean {
  return nrIdle > 0;
}

/** A worker that has finished an item takes the next one unless somebody else runs already. */
export function keepWorking(pending: boolean, nrRunning: number): boolean {
  return pending && nrRunning <= 1;
}

/** Work is pending, nobody runs and nobody is idle: a worker must be made. */
export function needToCreateWorker(pending: boolean, nrRunning: number, nrIdle: number): boolean {
  return needMoreWorker(pending, nrRunning) && !mayStartWorking(nrIdle);
}

/** More than two workers are idle, and the idle ones beyond two are a fourth of the busy ones or more. */
export function tooManyWorkers(nrIdle: number, nrBusy: number): boolean {
  return nrIdle > 2 && (nrIdle - 2) * MAX_IDLE_WORKERS_RATIO >= nrBusy;
}

/** An item may begin only while fewer than max_active have begun and not ended. */
export function mayActivate(nrActive: number, maxActive: number): boolean {
  return nrActive < maxActive;
}
