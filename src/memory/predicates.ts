/**
 * The predicates and constants of a concurrency-managed workqueue, named as in kernel/workqueue.c.
 *
 * Pure: no clock, no memory, no I/O. Used by main, the workers and the simulation. The caller keeps the numbers valid
 * for as long as its decision needs them (see run-slot.ts).
 */

/** MAX_IDLE_WORKERS_RATIO: idle workers may number up to a quarter of the busy ones. */
export const MAX_IDLE_WORKERS_RATIO = 4;
/** IDLE_WORKER_TIMEOUT: how long a surplus worker may stay idle, 300 s. */
export const IDLE_WORKER_TIMEOUT_MS = 300_000;
/** wq_cpu_intensive_thresh_us: an item longer than this leaves the concurrency count, 10 ms. */
export const CPU_INTENSIVE_THRESH_MS = 10;
/** CREATE_COOLDOWN: the pause after a failed worker creation, 1 s. */
export const CREATE_COOLDOWN_MS = 1000;
/** MAYDAY_INITIAL_TIMEOUT: how long a pool waits for a needed worker before main calls the rescuer, 10 ms. */
export const MAYDAY_INITIAL_TIMEOUT_MS = 10;
/** MAYDAY_INTERVAL: the interval between repeated calls, 100 ms. */
export const MAYDAY_INTERVAL_MS = 100;
/** WQ_DFL_ACTIVE: default limit of items in progress per CPU pool. */
export const WQ_DFL_ACTIVE = 1024;
/** WQ_MAX_ACTIVE: the largest limit that can be set. */
export const WQ_MAX_ACTIVE = 2048;

// None of these assumes anything about its caller; the second check in kick.ts corrects a stale answer.

/** Work is pending and no worker is running: one must be woken. */
export function needMoreWorker(pending: boolean, nrRunning: number): boolean {
  return pending && nrRunning === 0;
}

/** A worker may start working only if another stays idle, ready to take over when the first one sleeps. */
export function mayStartWorking(nrIdle: number): boolean {
  return nrIdle > 0;
}

/** A worker that has finished an item takes the next one unless another worker is running. */
export function keepWorking(pending: boolean, nrRunning: number): boolean {
  return pending && nrRunning <= 1;
}

/** Work is pending, and no worker is running or idle: one must be created. */
export function needToCreateWorker(pending: boolean, nrRunning: number, nrIdle: number): boolean {
  return needMoreWorker(pending, nrRunning) && !mayStartWorking(nrIdle);
}

/** More than two workers are idle, and those beyond two number at least a quarter of the busy ones. */
export function tooManyWorkers(nrIdle: number, nrBusy: number): boolean {
  return nrIdle > 2 && (nrIdle - 2) * MAX_IDLE_WORKERS_RATIO >= nrBusy;
}

/** An item may begin only while fewer than max_active are in progress. */
export function mayActivate(nrActive: number, maxActive: number): boolean {
  return nrActive < maxActive;
}
