/**
 * The kworkers of cmwq: made in reserve, culled when they are too many.
 *
 * Main thread only. It owns the tasks that run on the threads, and its timers. It never decides what a worker
 * works on: that is the run slots' business (src/memory/kick.ts).
 *
 * Workers are counted from their state words, so there is no second account to keep in step. A task that
 * has been given to Piscina and that no worker has begun counts as starting; but for the first ones, at most
 * one is made at a time, as the kernel's manager does.
 */
import { countStates, firstIdle } from '../memory/kick.ts';
import { IDLE_SINCE_MS, type SharedState, STATE, WorkerState } from '../memory/layout.ts';
import { CREATE_COOLDOWN_MS, needToCreateWorker, tooManyWorkers } from '../memory/predicates.ts';
import { slotWanted } from '../memory/run-slot.ts';
import type { Clock } from '../sys/clock.ts';
import { taskHasBegun } from './roster.ts';
import type { KworkerThreads, StartedTask } from './threads.ts';

/** Bounds of how often the culling looks: a fourth of the idle timeout, within these. */
const CULL_LOOK_MIN_MS = 10;
const CULL_LOOK_MAX_MS = 15_000;
/** A thread that has not come up by then counts as a failed creation. */
const CREATE_TIMEOUT_MS = 15_000;
/** Deaths closer together than this are a row; from the second on creation waits, twice as long each time. */
const DEATH_ROW_MS = 10_000;
const DEATH_BACKOFF_MS = 10;

export interface KworkersOptions {
  shared: SharedState;
  threads: KworkerThreads;
  clock: Clock;
  maxWorkers: number;
  idleTimeoutMs: number;
  onCulled: (workerId: number) => void;
  /** A worker could not be made. */
  onCreateFailed: (error: unknown) => void;
  /** The first time that a worker is needed and maxWorkers are there. */
  onLimit: () => void;
}

export class Kworkers {
  private readonly options: KworkersOptions;
  /** Tasks given to Piscina and not settled. */
  private tasks = 0;
  /** Of these, the ones whose workers may not have come up yet. */
  private readonly starting = new Map<number, StartedTask>();
  private lastTask = 0;
  private culledCount = 0;
  private deathsInRow = 0;
  /** Dead workers that have no successor yet. */
  private owed = 0;
  private lastDeathMs = Number.NEGATIVE_INFINITY;
  /** No creation before this moment of the monotonic clock: after a failed one, or deaths in a row. */
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Stops the timer for another try; null while it does not run. */
  private cancelRetry: (() => void) | null = null;
  private cancelCulling: (() => void) | null = null;
  private limitTold = false;
  /** False before the start and after the stop. */
  private running = false;

  constructor(options: KworkersOptions) {
    this.options = options;
  }

  get culled(): number {
    return this.culledCount;
  }

  /** Makes `count` workers. */
  start(count: number): void {
    this.running = true;
    for (let i = 0; i < count; i++) this.create();
  }

  /** Begins to look for too many workers: when the first ones are all there, else they would never be. */
  startCulling(): void {
    if (!this.running) return;
    const { clock, idleTimeoutMs } = this.options;
    const lookMs = Math.min(CULL_LOOK_MAX_MS, Math.max(CULL_LOOK_MIN_MS, idleTimeoutMs / 4));
    this.cancelCulling = clock.every(lookMs, () => this.cull());
  }

  /** Workers that have come up: idle, on duty or in an item. */
  get ready(): number {
    const counts = countStates(this.options.shared);
    const notUp = (counts[WorkerState.Free] as number) + (counts[WorkerState.Starting] as number);
    return counts.reduce((sum, count) => sum + count, 0) - notUp;
  }

  /**
   * Keeps one idle worker in reserve (may_start_working()), since a kick takes microseconds and making a thread
   * tens of milliseconds, and replaces the dead. Called whenever a worker may have come up or left the idle ones.
   */
  ensureReserve(): void {
    if (!this.running) return;
    this.noteCameUp();
    if (this.starting.size > 0) return;
    if (this.owed > 0 || firstIdle(this.options.shared) === 0) this.createIfAllowed();
  }

  private noteCameUp(): void {
    for (const [number, task] of this.starting) {
      if (!taskHasBegun(this.options.shared, number)) continue;
      task.isUp();
      this.starting.delete(number);
    }
  }

  private createIfAllowed(): void {
    if (this.tasks >= this.options.maxWorkers) {
      if (this.limitTold || !this.isNeeded()) return;
      this.limitTold = true;
      this.options.onLimit();
    } else if (this.options.clock.now() < this.notBeforeMs) this.retryLater();
    else this.create();
  }

  /** Whether a CPU pool needs a worker and none is idle (need_to_create_worker()). */
  isNeeded(): boolean {
    const { shared } = this.options;
    const idle = firstIdle(shared);
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      if (needToCreateWorker(slotWanted(shared, pool), 0, idle)) return true;
    }
    return false;
  }

  private create(): void {
    this.owed = Math.max(0, this.owed - 1);
    const number = ++this.lastTask;
    const settled = (error: unknown) => this.taskSettled(number, error);
    this.starting.set(number, this.options.threads.start('kworker', CREATE_TIMEOUT_MS, settled, number));
    this.tasks++;
  }

  private taskSettled(number: number, error: unknown): void {
    // Once it has begun, its thread's exit says more.
    const failed = error !== null && this.running && !taskHasBegun(this.options.shared, number);
    if (failed) this.createFailed(error);
    this.tasks--;
    this.starting.delete(number);
    this.ensureReserve();
  }

  private createFailed(error: unknown): void {
    this.owed++;
    this.holdBack(CREATE_COOLDOWN_MS);
    this.options.onCreateFailed(error);
  }

  /** A thread failed before it took a task: which one Piscina does not say. */
  abortStarting(error: Error): void {
    for (const task of this.starting.values()) task.abort(error);
  }

  /** A worker's thread has died: it gets a successor, which waits if that happens again and again. */
  workerDied(): void {
    this.owed++;
    const nowMs = this.options.clock.now();
    this.deathsInRow = nowMs - this.lastDeathMs < DEATH_ROW_MS ? this.deathsInRow + 1 : 1;
    this.lastDeathMs = nowMs;
    if (this.deathsInRow < 2) return;
    this.holdBack(Math.min(CREATE_COOLDOWN_MS, DEATH_BACKOFF_MS * 2 ** Math.min(20, this.deathsInRow - 2)));
  }

  private holdBack(durationMs: number): void {
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

  /** Retires idle workers that are too many and have been idle for the timeout, the longest idle first. */
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

  /** No more creation and culling. The workers end by the STOP word. */
  stop(): void {
    this.running = false;
    this.cancelCulling?.();
    this.cancelRetry?.();
  }
}
