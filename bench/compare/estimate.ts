/**
 * How long the runs of a comparison take: at first from a trial run of each kind of server and a model of the load, then
 * from the runs that have ended. Pure.
 */
import { availableParallelism } from 'node:os';
import { parseService } from '../../src/options/service-spec.ts';
import { mean } from '../stats/summary.ts';
import type { Point } from './experiment-points.ts';
import type { PlannedRun } from './plan.ts';

/** What a request does before its echo. */
export interface Work {
  burnMs: number;
  sleepMs: number;
}

/** What a trial run has measured: few clients, few requests. */
export interface Trial {
  /** Start and end of server and load generator. */
  startMs: number;
  /** Start of a thread, under kthread; null under other servers. */
  threadStartMs: number | null;
  /** The operator's handler; null without one. */
  work: Work | null;
}

/** On two idle cores, with the generator's own warm-up; where there is no trial run. */
const START_MS = 450;
// The same: start of one thread, most of the cost of a connection under kthread.
const THREAD_START_MS = 28;
const CONNECT_MS = 0.1;
// Until the memory of a server with idle connections is stable.
const SETTLE_MS = 500;
// The run gives up on kthread after this time (HOLD_TIMEOUT_MS in measure.ts).
const HOLD_MS = 6_000;
// Start of what runs beside the load.
const COMPANY_MS = 150;
// A warm-up that may be extended is, by at least three slices of 200 ms (settle() in run-load.ts).
const SETTLING_MS = 600;
/** Of the load generator, after all runs: two programs, each with a short load. */
const SELF_CHECK_MS = 950;
/** Workers of a workqueue by default, and items that compute at the same time. */
const PARALLEL = availableParallelism();
/** Beyond this many idle connections kthread is too busy starting threads to accept the rest. */
const KTHREAD_HOLDS = 2_000;
/** A contestant is skipped at a point after this many runs without an answer. */
export const UNANSWERED_RUNS_MAX = 2;

function workersOf({ experiment, point, contestant }: PlannedRun): number {
  if (contestant.strategy !== 'workqueue') return point.clients;
  return contestant.workers ?? (experiment.workerPerClient ? point.clients : PARALLEL);
}

/** Whether some connections get no answer while others stay open. */
function starves(run: PlannedRun): boolean {
  const { experiment, point } = run;
  const connections = point.clients + point.idleConnections;
  return (
    run.contestant.strategy === 'workqueue' && experiment.mode === 'closed' && connections > workersOf(run)
  );
}

/** The average over the specs of which connections take turns. */
function workOf(service: string): Work {
  const specs = service.split(';').map((text) => parseService(text).steps);
  const sumOf = (kind: 'burn' | 'sleep') =>
    specs.flat().reduce((sum, step) => sum + (step.kind === kind ? step.durationMs : 0), 0) / specs.length;
  return { burnMs: sumOf('burn'), sleepMs: sumOf('sleep') };
}

/** Duration of the work of a burst: limited by the processors, by the workers, or by each client's own requests. */
function burstWorkMs(run: PlannedRun, { burnMs, sleepMs }: Work): number {
  const { clients, requests } = run.point;
  const each = requests ?? 1;
  const bounds = [burnMs / PARALLEL, (burnMs + sleepMs) / Math.min(workersOf(run), clients)];
  return each * clients * Math.max(...bounds);
}

/** The self-checks after all runs, one for each point. */
export function selfChecksMs(points: ReadonlySet<Point>): number {
  return SELF_CHECK_MS * points.size;
}

/** Whether it will probably be skipped. */
function isLikelySkipped({ round, point, contestant }: PlannedRun): boolean {
  if (round <= UNANSWERED_RUNS_MAX) return false;
  if (contestant.strategy === 'workqueue') return point.idleConnections > (contestant.workers ?? PARALLEL);
  return contestant.strategy === 'kthread' && point.idleConnections > KTHREAD_HOLDS;
}

/** Three waits until the memory is stable, and the threads of the connections that are held. */
function heldAfterMs({ point: { heldAfter } }: PlannedRun, threadStartMs: number): number {
  return heldAfter === undefined ? 0 : 3 * SETTLE_MS + heldAfter * threadStartMs;
}

/** The duration of one run by the model. */
export function expectedMs(run: PlannedRun, trial: Trial | undefined): number {
  const { experiment, point, contestant } = run;
  if (isLikelySkipped(run)) return 0;
  const connections = point.clients + point.idleConnections;
  const isBurst = experiment.mode === 'burst';
  const threadStartMs = contestant.strategy === 'kthread' ? (trial?.threadStartMs ?? THREAD_START_MS) : 0;
  const threadsMs = connections * threadStartMs;
  const work = experiment.service === null ? (trial?.work ?? null) : workOf(experiment.service);
  const { warmupMs = experiment.warmupMs } = point;
  return (
    (trial?.startMs ?? START_MS) +
    warmupMs +
    (experiment.settleMs > 0 && warmupMs > 0 ? SETTLING_MS : 0) +
    experiment.durationMs +
    (point.company === undefined ? 0 : COMPANY_MS) +
    (isBurst ? threadsMs : 0) +
    (point.idleConnections > 0 ? SETTLE_MS + Math.min(threadsMs, HOLD_MS) : 0) +
    heldAfterMs(run, threadStartMs) +
    connections * CONNECT_MS +
    (isBurst && work !== null ? burstWorkMs(run, work) : 0) +
    (starves(run) ? experiment.timeoutMs : 0)
  );
}

/** Servers of one key share a trial: other programs have their own, and kthread has one for its threads. */
export function trialKey({ label, kind, strategy }: PlannedRun['contestant']): string {
  if (strategy === null || kind === 'before') return label;
  return strategy === 'kthread' ? strategy : 'kecho-pool';
}

function cellKey({ experiment, point, contestant }: PlannedRun): string {
  return JSON.stringify([experiment.name, point.key, contestant.label]);
}

/** The estimate, which the runs that end correct. */
export class Estimate {
  private readonly trials: ReadonlyMap<string, Trial>;
  /** Durations of the runs that have ended, by cell. */
  private readonly took = new Map<string, number[]>();
  private tookMs = 0;
  private modelMs = 0;

  /** `trials` by trialKey(). */
  constructor(trials: ReadonlyMap<string, Trial>) {
    this.trials = trials;
  }

  private model(run: PlannedRun): number {
    return expectedMs(run, this.trials.get(trialKey(run.contestant)));
  }

  /** A run of this cell was skipped, so all later ones will be. */
  skip(run: PlannedRun): void {
    this.took.set(cellKey(run), [0]);
  }

  /** A run has ended. */
  record(run: PlannedRun, ms: number): void {
    const cell = cellKey(run);
    this.took.set(cell, [...(this.took.get(cell) ?? []), ms]);
    this.tookMs += ms;
    this.modelMs += this.model(run);
  }

  /** A run like those of its cell that have ended; for the first of a cell the model, as wrong as it was so far. */
  private runMs(run: PlannedRun): number {
    if (isLikelySkipped(run)) return 0;
    const ended = this.took.get(cellKey(run));
    if (ended !== undefined) return mean(ended);
    return this.model(run) * (this.modelMs > 0 ? this.tookMs / this.modelMs : 1);
  }

  totalMs(runs: readonly PlannedRun[]): number {
    return runs.reduce((sum, run) => sum + this.runMs(run), 0);
  }
}
