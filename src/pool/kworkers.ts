/**
 * Creates the kworkers of cmwq, keeps one in reserve, and culls surplus ones.
 *
 * Main thread only. Owns the workers' tasks and its timers. Which worker runs which item is decided by the run slots
 * (src/memory/kick.ts).
 *
 * The state words are the only count of workers. A task that Piscina has and that no worker has begun counts as
 * starting. The kernel's manager creates one worker at a time, in some 10 us; here it takes a thousand times as long, so
 * one is created for each CPU pool that waits for a worker, which leaves no processor without one. After a failure one
 * is tried at a time.
 */
import { countStates, firstIdle } from '../memory/kick.ts';
import { IDLE_SINCE_MS, type SharedState, STATE, WorkerState } from '../memory/layout.ts';
import { CREATE_COOLDOWN_MS, needToCreateWorker, tooManyWorkers } from '../memory/predicates.ts';
import { slotWanted } from '../memory/run-slot.ts';
import type { Clock } from '../sys/clock.ts';
import { taskHasBegun } from './roster.ts';
import type { KworkerThreads, StartedTask } from './threads.ts';

/** Culling runs every quarter of the idle timeout, within these bounds. */
const CULL_INTERVAL_MIN_MS = 10;
const CULL_INTERVAL_MAX_MS = 15_000;
/** Creation has failed when the worker has not come up after this time. */
const CREATE_TIMEOUT_MS = 15_000;
/** Weight of the newest worker in the time that creating one usually takes, as in TCP's smoothed round-trip time. */
const START_TIME_WEIGHT = 1 / 8;
/** One that took longer counts as this: the process may have been stopped meanwhile (SIGSTOP). */
const START_TIME_MAX_MS = 1000;
/** Deaths closer together than this form a series; from its second on, each doubles the pause before creation. */
const DEATH_SERIES_MS = 10_000;
const DEATH_BACKOFF_MS = 10;

export interface KworkersOptions {
  shared: SharedState;
  threads: KworkerThreads;
  clock: Clock;
  maxWorkers: number;
  idleTimeoutMs: number;
  onCulled: (workerId: number) => void;
  /** A worker could not be created. */
  onCreateFailed: (error: unknown) => void;
  /** Called once, when a worker is needed and there are maxWorkers. */
  onLimit: () => void;
}

interface StartingTask {
  task: StartedTask;
  sinceMs: number;
}

export class Kworkers {
  private readonly options: KworkersOptions;
  /** Tasks that Piscina has and that have not settled. */
  private tasks = 0;
  /** Those of them that no worker is known to have begun, by number. */
  private readonly starting = new Map<number, StartingTask>();
  /** The last creation has failed. */
  private failing = false;
  /** How long creating a worker usually takes; null until one has come up. */
  private usualStartMs: number | null = null;
  private lastTask = 0;
  private culledCount = 0;
  private deathsInSeries = 0;
  /** Dead workers that have not been replaced yet. */
  private missing = 0;
  private lastDeathMs = Number.NEGATIVE_INFINITY;
  /** No creation before this time of the monotonic clock, after a failure or a series of deaths. */
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Cancels the retry timer; null while it is not running. */
  private cancelRetry: (() => void) | null = null;
  private cancelCulling: (() => void) | null = null;
  private limitReported = false;
  /** False before the start and after the stop. */
  private running = false;

  constructor(options: KworkersOptions) {
    this.options = options;
  }

  get culled(): number {
    return this.culledCount;
  }

  /** Creates `count` workers. */
  start(count: number): void {
    this.running = true;
    for (let i = 0; i < count; i++) this.create();
  }

  /** Called after the first workers have come up; culling before could keep the start from completing. */
  startCulling(): void {
    if (!this.running) return;
    const { clock, idleTimeoutMs } = this.options;
    const intervalMs = Math.min(CULL_INTERVAL_MAX_MS, Math.max(CULL_INTERVAL_MIN_MS, idleTimeoutMs / 4));
    this.cancelCulling = clock.every(intervalMs, () => this.cull());
  }

  /** Workers that have come up. */
  get ready(): number {
    const counts = countStates(this.options.shared);
    const notUp = (counts[WorkerState.Free] as number) + (counts[WorkerState.Starting] as number);
    return counts.reduce((sum, count) => sum + count, 0) - notUp;
  }

  /**
   * Keeps one idle worker in reserve (may_start_working()), as a kick takes microseconds and creating a thread tens of
   * milliseconds, and replaces dead workers. Called whenever a worker may have come up or ceased to be idle.
   */
  ensureReserve(): void {
    if (!this.running) return;
    this.noteBegun();
    for (let more = this.wanted() - this.starting.size; more > 0; more--) this.createIfAllowed();
  }

  private noteBegun(): void {
    for (const [number, { task, sinceMs }] of this.starting) {
      if (!taskHasBegun(this.options.shared, number)) continue;
      task.isUp();
      this.starting.delete(number);
      this.failing = false;
      const tookMs = Math.min(START_TIME_MAX_MS, this.options.clock.now() - sinceMs);
      this.usualStartMs =
        tookMs * START_TIME_WEIGHT + (this.usualStartMs ?? tookMs) * (1 - START_TIME_WEIGHT);
    }
  }

  /** How long creating a worker usually takes; null until one has come up, and while it fails. */
  get startTimeMs(): number | null {
    return this.failing ? null : this.usualStartMs;
  }

  /** How many workers should be starting. */
  private wanted(): number {
    const reserve = this.missing > 0 || firstIdle(this.options.shared) === 0 ? 1 : 0;
    return this.failing ? reserve : Math.max(reserve, this.waitingPools());
  }

  private createIfAllowed(): void {
    if (this.tasks >= this.options.maxWorkers) {
      if (this.limitReported || !this.isNeeded()) return;
      this.limitReported = true;
      this.options.onLimit();
    } else if (this.options.clock.now() < this.notBeforeMs) this.retryLater();
    else this.create();
  }

  /** Whether a CPU pool needs a worker and none is idle (need_to_create_worker()). */
  isNeeded(): boolean {
    return this.waitingPools() > 0;
  }

  private waitingPools(): number {
    const { shared } = this.options;
    const idle = firstIdle(shared);
    let waiting = 0;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      if (needToCreateWorker(slotWanted(shared, pool), 0, idle)) waiting++;
    }
    return waiting;
  }

  private create(): void {
    this.missing = Math.max(0, this.missing - 1);
    const number = ++this.lastTask;
    const settled = (error: unknown) => this.taskSettled(number, error);
    const { threads, clock } = this.options;
    const sinceMs = clock.now();
    this.starting.set(number, {
      task: threads.start('kworker', CREATE_TIMEOUT_MS, settled, number),
      sinceMs,
    });
    this.tasks++;
  }

  private taskSettled(number: number, error: unknown): void {
    // If it had begun, its thread's exit reports the death.
    const failed = error !== null && this.running && !taskHasBegun(this.options.shared, number);
    if (failed) this.createFailed(error);
    this.tasks--;
    this.starting.delete(number);
    this.ensureReserve();
  }

  private createFailed(error: unknown): void {
    this.missing++;
    this.failing = true;
    this.pauseCreation(CREATE_COOLDOWN_MS);
    this.options.onCreateFailed(error);
  }

  /** A thread ended before it took a task: drops one. False when all have been taken. */
  abortStarting(error: Error): boolean {
    return [...this.starting.values()].some(({ task }) => task.abort(error));
  }

  /** A worker's thread has died: it is replaced, after a pause when deaths come in a series. */
  workerDied(): void {
    this.missing++;
    const nowMs = this.options.clock.now();
    this.deathsInSeries = nowMs - this.lastDeathMs < DEATH_SERIES_MS ? this.deathsInSeries + 1 : 1;
    this.lastDeathMs = nowMs;
    if (this.deathsInSeries < 2) return;
    const doublings = Math.min(20, this.deathsInSeries - 2);
    this.pauseCreation(Math.min(CREATE_COOLDOWN_MS, DEATH_BACKOFF_MS * 2 ** doublings));
  }

  private pauseCreation(durationMs: number): void {
    this.notBeforeMs = Math.max(this.notBeforeMs, this.options.clock.now() + durationMs);
    this.retryLater();
  }

  private retryLater(): void {
    if (this.cancelRetry !== null || !this.running) return;
    const { clock } = this.options;
    this.cancelRetry = clock.after(Math.max(1, Math.ceil(this.notBeforeMs - clock.now())), () => {
      this.cancelRetry = null;
      this.ensureReserve();
    });
  }

  /** Retires surplus workers that have been idle for the timeout, the longest idle first. */
  private cull(): void {
    const { shared, clock, idleTimeoutMs } = this.options;
    const counts = countStates(shared);
    let idle = counts[WorkerState.Idle] as number;
    const busy = this.ready - idle - (counts[WorkerState.Retired] as number);
    const nowMs = clock.now();
    for (const id of this.idleLongestFirst()) {
      if (!tooManyWorkers(idle, busy)) return;
      if (nowMs - this.idleSinceMs(id) < idleTimeoutMs) return;
      const state = shared.workerWord(id, STATE);
      const before = Atomics.compareExchange(shared.words, state, WorkerState.Idle, WorkerState.Retired);
      if (before !== WorkerState.Idle) continue; // kicked meanwhile
      Atomics.notify(shared.words, state);
      idle--;
      this.culledCount++;
      this.options.onCulled(id);
    }
  }

  private idleSinceMs(id: number): number {
    const { shared } = this.options;
    return shared.doubles[shared.workerDouble(id, IDLE_SINCE_MS)] as number;
  }

  private idleLongestFirst(): number[] {
    const { shared } = this.options;
    const ids: number[] = [];
    for (let id = 1; id <= shared.config.workers; id++) {
      if (Atomics.load(shared.words, shared.workerWord(id, STATE)) === WorkerState.Idle) ids.push(id);
    }
    return ids.sort((a, b) => this.idleSinceMs(a) - this.idleSinceMs(b));
  }

  /** Ends creation and culling. The workers end by themselves when STOP is set. */
  stop(): void {
    this.running = false;
    this.cancelCulling?.();
    this.cancelRetry?.();
  }
}
