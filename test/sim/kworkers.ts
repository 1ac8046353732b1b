/**
 * Making and culling workers in virtual time, and the rescuer: src/pool/kworkers.ts and src/pool/rescuer.ts with
 * simulated threads and timers. Creation takes a while and may fail.
 */
import { countStates, firstIdle } from '../../src/memory/kick.ts';
import {
  IDLE_SINCE_MS,
  MAYDAY,
  RESCUER_ID,
  type SharedState,
  STATE,
  WorkerState,
} from '../../src/memory/layout.ts';
import {
  CREATE_COOLDOWN_MS,
  MAYDAY_INITIAL_TIMEOUT_MS,
  MAYDAY_INTERVAL_MS,
  needToCreateWorker,
  tooManyWorkers,
} from '../../src/memory/predicates.ts';
import { slotWanted } from '../../src/memory/run-slot.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Timer } from './timers.ts';

const DEATH_ROW_MS = 10_000;
const DEATH_BACKOFF_MS = 10;

export interface KworkersOptions {
  shared: SharedState;
  scheduler: Scheduler;
  random: Random;
  maxWorkers: number;
  createMs: number;
  /** How likely it is that a creation fails. */
  createFails: number;
  idleTimeoutMs: number;
  /** Runs something on main's thread. */
  post: (job: () => void) => void;
  /** Starts the thread of a worker or the rescuer; `ended` runs on main's thread. */
  spawn: (rescuer: boolean, ended: () => void) => void;
}

export class SimKworkers {
  failed = 0;
  maydays = 0;
  private readonly options: KworkersOptions;
  private tasks = 0;
  private readonly starting = new Set<object>();
  private owed = 0;
  private deathsInRow = 0;
  private lastDeathMs = Number.NEGATIVE_INFINITY;
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  private retryTimer: Timer | null = null;
  private maydayTimer: Timer | null = null;
  private stopped = false;

  constructor(options: KworkersOptions) {
    this.options = options;
  }

  start(count: number): void {
    for (let i = 0; i < count; i++) this.create();
    if (this.options.idleTimeoutMs < Number.POSITIVE_INFINITY) this.cullLater();
    this.startRescuer();
  }

  /** Nothing is left to do: no more timers. */
  stop(): void {
    this.stopped = true;
  }

  private later(ms: number, job: () => void): Timer {
    return this.options.scheduler.after(ms, () => this.options.post(job));
  }

  // ---- Kworkers --------------------------------------------------------------------------------

  private get ready(): number {
    const counts = countStates(this.options.shared);
    const notUp = (counts[WorkerState.Free] as number) + (counts[WorkerState.Starting] as number);
    return counts.reduce((sum, count) => sum + count, 0) - notUp;
  }

  ensureReserve(): void {
    if (this.starting.size > 0 && this.ready >= this.tasks) this.starting.clear();
    if (this.starting.size > 0 || this.stopped) return;
    if (this.owed > 0 || firstIdle(this.options.shared) === 0) this.createIfAllowed();
  }

  private createIfAllowed(): void {
    const { maxWorkers, scheduler } = this.options;
    if (this.tasks >= maxWorkers) return;
    if (scheduler.nowMs < this.notBeforeMs) this.retryLater();
    else this.create();
  }

  isNeeded(): boolean {
    const { shared } = this.options;
    const idle = firstIdle(shared);
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      if (needToCreateWorker(slotWanted(shared, pool), 0, idle)) return true;
    }
    return false;
  }

  private create(): void {
    const { createMs, createFails, random, spawn } = this.options;
    const task = {};
    this.owed = Math.max(0, this.owed - 1);
    this.tasks++;
    this.starting.add(task);
    const ended = () => {
      this.tasks--;
      this.starting.delete(task);
      this.ensureReserve();
    };
    this.later(createMs, () => {
      if (!random.chance(createFails)) return spawn(false, ended);
      this.failed++;
      this.owed++;
      this.holdBack(CREATE_COOLDOWN_MS);
      ended();
    });
  }

  workerDied(): void {
    const { nowMs } = this.options.scheduler;
    this.owed++;
    this.deathsInRow = nowMs - this.lastDeathMs < DEATH_ROW_MS ? this.deathsInRow + 1 : 1;
    this.lastDeathMs = nowMs;
    if (this.deathsInRow < 2) return;
    this.holdBack(Math.min(CREATE_COOLDOWN_MS, DEATH_BACKOFF_MS * 2 ** (this.deathsInRow - 2)));
  }

  private holdBack(ms: number): void {
    this.notBeforeMs = Math.max(this.notBeforeMs, this.options.scheduler.nowMs + ms);
    this.retryLater();
  }

  private retryLater(): void {
    if (this.retryTimer !== null || this.stopped) return;
    this.retryTimer = this.later(Math.max(1, this.notBeforeMs - this.options.scheduler.nowMs), () => {
      this.retryTimer = null;
      this.ensureReserve();
    });
  }

  private cullLater(): void {
    this.later(Math.max(1, this.options.idleTimeoutMs / 4), () => {
      if (this.stopped) return;
      this.cull();
      this.cullLater();
    });
  }

  private cull(): void {
    const { shared, idleTimeoutMs, scheduler } = this.options;
    const counts = countStates(shared);
    let idle = counts[WorkerState.Idle] as number;
    const busy = this.ready - idle - (counts[WorkerState.Retired] as number);
    for (const id of this.idleLongestFirst()) {
      if (!tooManyWorkers(idle, busy)) return;
      if (scheduler.nowMs - this.idleSinceMs(id) < idleTimeoutMs) return;
      const state = shared.workerWord(id, STATE);
      const before = Atomics.compareExchange(shared.words, state, WorkerState.Idle, WorkerState.Retired);
      if (before !== WorkerState.Idle) continue;
      Atomics.notify(shared.words, state);
      idle--;
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

  // ---- The rescuer -----------------------------------------------------------------------------

  private startRescuer(): void {
    const restart = () => this.later(CREATE_COOLDOWN_MS, () => this.startRescuer());
    this.later(this.options.createMs, () => {
      if (!this.stopped) this.options.spawn(true, restart);
    });
  }

  get rescuerIsUp(): boolean {
    return Atomics.load(this.options.shared.words, RESCUER_ID) !== 0;
  }

  /** The bell rang: somebody may be needed, or no longer. */
  look(): void {
    if (!this.isNeeded()) {
      if (this.maydayTimer !== null) this.maydayTimer.run = null;
      this.maydayTimer = null;
    } else if (this.maydayTimer === null && !this.stopped) {
      this.maydayTimer = this.later(MAYDAY_INITIAL_TIMEOUT_MS, () => this.mayday());
    }
  }

  private mayday(): void {
    const { shared } = this.options;
    this.maydayTimer = null;
    if (!this.isNeeded() || this.stopped) return;
    this.maydayTimer = this.later(MAYDAY_INTERVAL_MS, () => this.mayday());
    this.maydays++;
    Atomics.store(shared.words, MAYDAY, 1);
    Atomics.notify(shared.words, MAYDAY);
  }
}
