/**
 * The kworkers of cmwq: made in reserve, culled when they are too many.
 *
 * Main thread only. It owns the tasks that run on the threads and the culling timer. It never decides what
 * a worker works on: that is the run slots' business (shared/kick.ts).
 *
 * Workers are counted from their state words, so there is no second account to keep in step. A task that
 * has been given to Piscina and has no worker word yet counts as starting.
 */
import { countStates, firstIdle, kick } from '../shared/kick.ts';
import { IDLE_SINCE_MS, type SharedState, STATE, WorkerState } from '../shared/layout.ts';
import { slotWanted } from '../shared/run-slot.ts';
import { mayStartWorking, needToCreateWorker, tooManyWorkers } from '../strategy/predicates.ts';
import { monotonicMs } from '../sys/clock.ts';
import type { Threads } from './threads.ts';

/** Bounds of how often the culling looks: a fourth of the idle timeout, within these. */
const CULL_LOOK_MIN_MS = 10;
const CULL_LOOK_MAX_MS = 15_000;

export interface KworkersOptions {
  shared: SharedState;
  threads: Threads;
  maxWorkers: number;
  idleTimeoutMs: number;
  /** A worker's task ended with an error: its thread has died or is about to. */
  onTaskError: (error: unknown) => void;
  /** The first time that a worker is needed and maxWorkers are there. */
  onLimit: () => void;
}

export class Kworkers {
  private readonly options: KworkersOptions;
  /** Tasks given to Piscina and not settled. */
  private tasks = 0;
  private culledCount = 0;
  private limitTold = false;
  /** False before the start and after the stop. */
  private running = false;
  private cullTimer: NodeJS.Timeout | null = null;

  constructor(options: KworkersOptions) {
    this.options = options;
  }

  get culled(): number {
    return this.culledCount;
  }

  /** Makes `count` workers and begins to look for too many. */
  start(count: number): void {
    this.running = true;
    for (let i = 0; i < count; i++) this.create();
    const lookMs = Math.min(CULL_LOOK_MAX_MS, Math.max(CULL_LOOK_MIN_MS, this.options.idleTimeoutMs / 4));
    this.cullTimer = setInterval(() => this.cull(), lookMs).unref();
  }

  /** Workers that have come up: idle, on duty or in an item. */
  get ready(): number {
    const counts = countStates(this.options.shared);
    const off = WorkerState.Free;
    return counts.reduce(
      (sum, count, state) => (state === off || state === WorkerState.Starting ? sum : sum + count),
      0,
    );
  }

  /**
   * Keeps one idle worker in reserve (may_start_working()): a kick takes microseconds, making a thread tens
   * of milliseconds. Called whenever a worker may have left the idle ones.
   */
  ensureReserve(): void {
    if (!this.running || firstIdle(this.options.shared) !== 0 || this.starting() > 0) return;
    if (this.tasks < this.options.maxWorkers) {
      this.create();
      return;
    }
    if (this.limitTold || mayStartWorking(0) || !this.anyPoolNeedsWorker()) return;
    this.limitTold = true;
    this.options.onLimit();
  }

  private anyPoolNeedsWorker(): boolean {
    const { shared } = this.options;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      if (needToCreateWorker(slotWanted(shared, pool), 0, 0)) return true;
    }
    return false;
  }

  /** Tasks whose workers have not come up. */
  private starting(): number {
    return Math.max(0, this.tasks - this.ready);
  }

  private create(): void {
    this.tasks++;
    this.options.threads.run('kworker').then(
      () => this.taskEnded(),
      (error: unknown) => {
        this.taskEnded();
        if (this.running) this.options.onTaskError(error);
      },
    );
  }

  private taskEnded(): void {
    this.tasks--;
    this.ensureReserve();
  }

  /** Retires idle workers that are too many and have been idle for the timeout, the longest idle first. */
  private cull(): void {
    const { shared, idleTimeoutMs } = this.options;
    const counts = countStates(shared);
    let idle = counts[WorkerState.Idle] as number;
    const busy = this.ready - idle - (counts[WorkerState.Retired] as number);
    const nowMs = monotonicMs();
    for (const id of this.idleLongestFirst()) {
      if (!tooManyWorkers(idle, busy)) return;
      if (nowMs - this.idleSinceMs(id) < idleTimeoutMs) return;
      const state = shared.workerWord(id, STATE);
      const before = Atomics.compareExchange(shared.words, state, WorkerState.Idle, WorkerState.Retired);
      if (before !== WorkerState.Idle) continue; // kicked meanwhile
      Atomics.notify(shared.words, state);
      idle--;
      this.culledCount++;
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

  /** Gives out slots that are free and wanted: after a worker's death or a change of the limits. */
  kickAll(): void {
    const { shared } = this.options;
    for (let pool = 0; pool < shared.config.cpus; pool++) kick(shared, pool);
  }

  /** No more creation and culling. The workers end by the STOP word. */
  stop(): void {
    this.running = false;
    if (this.cullTimer !== null) clearInterval(this.cullTimer);
    this.cullTimer = null;
  }
}
