/**
 * The watchdog: notices CPU-intensive and hanging items (wq_worker_tick(), CPU_INTENSIVE and the stall watchdog of
 * kernel/workqueue.c).
 *
 * Main thread only. Owns one timer, which runs only while some worker is in an item. A worker that begins an item
 * while WATCHDOG_ON is 0 rings the bell, and `look` starts the timer:
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   ITEM_FD = fd                             WATCHDOG_ON = 0
 *   WATCHDOG_ON = 0? ring                    looks again for an item; found: WATCHDOG_ON = 1, keeps the timer
 *
 * An item is identified by its worker's STARTED counter. It is timed from when it was first seen, or when its worker
 * woke, in time that this process ran: a late tick counts as at most a part of the limit, so a stop of the process
 * makes no item too long. The kernel counts CPU time; another thread's takes a system call to read here.
 */
import {
  ITEM_FD,
  type SharedState,
  STARTED,
  STATE,
  stateOf,
  WATCHDOG_ON,
  WORKERS_HIGH,
  WorkerState,
} from '../memory/layout.ts';
import { type Clock, RunningTime } from '../sys/clock.ts';

/** Ticks without an item after which the timer stops. */
const QUIET_TICKS = 4;
const TICKS_PER_THRESH = 2;
/** More: a stop of the process counts as one tick, and a hang may cost a connection. */
const TICKS_PER_HANG = 10;
const TIMER_PRECISION_MS = 1;

export interface WatchdogOptions {
  shared: SharedState;
  clock: Clock;
  /** An item awake for longer than this leaves the concurrency count, in ms; 0 = never. */
  cpuIntensiveThreshMs: number;
  /** An item that takes longer than this is reported, in ms; 0 = never. */
  hangTimeoutMs: number;
  /** Takes the worker out of the concurrency count, unless its item has ended or fallen asleep. */
  onCpuIntensive: (workerId: number, fd: number, state: number) => void;
  /** `started` is the worker's STARTED counter in this item. */
  onHang: (workerId: number, fd: number, started: number, forMs: number) => void;
}

interface Sighting {
  started: number;
  state: number;
  itemSinceMs: number;
  awakeSinceMs: number;
  hangReported: boolean;
}

export class Watchdog {
  private readonly options: WatchdogOptions;
  private readonly sightings = new Map<number, Sighting>();
  private readonly tickMs: number;
  private readonly awakeTime: RunningTime;
  private readonly hangTime: RunningTime;
  /** Cancels the timer; null while it is not running. */
  private cancelTimer: (() => void) | null = null;
  private quietTicks = 0;

  constructor(options: WatchdogOptions) {
    this.options = options;
    const { cpuIntensiveThreshMs, hangTimeoutMs, clock } = options;
    const ticks = [cpuIntensiveThreshMs / TICKS_PER_THRESH, hangTimeoutMs / TICKS_PER_HANG].filter(
      (ms) => ms > 0,
    );
    this.tickMs = Math.max(1, Math.min(...ticks));
    this.awakeTime = new RunningTime(cpuIntensiveThreshMs / TICKS_PER_THRESH + TIMER_PRECISION_MS, clock);
    this.hangTime = new RunningTime(hangTimeoutMs / TICKS_PER_HANG + TIMER_PRECISION_MS, clock);
    // With both limits off it claims to be on, so that no worker rings for it.
    Atomics.store(options.shared.words, WATCHDOG_ON, ticks.length === 0 ? 1 : 0);
  }

  /** The bell rang: perhaps an item has begun. */
  look(): void {
    const { shared, clock } = this.options;
    const { words } = shared;
    if (this.cancelTimer !== null || Atomics.load(words, WATCHDOG_ON) === 1 || !this.anyItem()) return;
    Atomics.store(words, WATCHDOG_ON, 1);
    this.quietTicks = 0;
    this.tick();
    this.cancelTimer = clock.every(this.tickMs, () => this.tick());
  }

  stop(): void {
    this.stopTimer();
    Atomics.store(this.options.shared.words, WATCHDOG_ON, 1);
  }

  private anyItem(): boolean {
    const { shared } = this.options;
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    for (let id = 1; id <= high; id++) if (this.watched(id) !== 0) return true;
    return false;
  }

  /** The worker's item, 0 = none to watch: one that sleeps matters only to the hang timeout. */
  private watched(id: number): number {
    const { shared, hangTimeoutMs } = this.options;
    const fd = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD));
    if (fd === 0 || hangTimeoutMs > 0) return fd;
    const state = stateOf(Atomics.load(shared.words, shared.workerWord(id, STATE)));
    return state === WorkerState.OnDuty || state === WorkerState.Finishing ? fd : 0;
  }

  private tick(): void {
    const { shared } = this.options;
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    const now = { awakeMs: this.awakeTime.read(), itemMs: this.hangTime.read() };
    let items = 0;
    for (let id = 1; id <= high; id++) {
      const fd = this.watched(id);
      if (fd === 0) this.sightings.delete(id);
      else {
        items++;
        this.inspect(id, fd, now);
      }
    }
    this.quietTicks = items > 0 ? 0 : this.quietTicks + 1;
    if (this.quietTicks >= QUIET_TICKS) this.turnOff();
  }

  private inspect(id: number, fd: number, now: { awakeMs: number; itemMs: number }): void {
    const { shared, cpuIntensiveThreshMs, hangTimeoutMs, onCpuIntensive, onHang } = this.options;
    const started = shared.doubles[shared.workerDouble(id, STARTED)] as number;
    const state = Atomics.load(shared.words, shared.workerWord(id, STATE));
    const seen = this.sightings.get(id);
    if (seen === undefined || seen.started !== started) {
      const since = { itemSinceMs: now.itemMs, awakeSinceMs: now.awakeMs };
      this.sightings.set(id, { started, state, ...since, hangReported: false });
      return;
    }
    if (seen.state !== state) {
      seen.state = state; // it slept or woke: its time awake restarts, as in wq_worker_running()
      seen.awakeSinceMs = now.awakeMs;
    }
    const awake = stateOf(state) === WorkerState.OnDuty || stateOf(state) === WorkerState.Finishing;
    if (awake && cpuIntensiveThreshMs > 0 && now.awakeMs - seen.awakeSinceMs >= cpuIntensiveThreshMs) {
      onCpuIntensive(id, fd, state);
    }
    const itemForMs = now.itemMs - seen.itemSinceMs;
    if (hangTimeoutMs > 0 && !seen.hangReported && itemForMs >= hangTimeoutMs) {
      seen.hangReported = true;
      onHang(id, fd, started, itemForMs);
    }
  }

  private turnOff(): void {
    const { words } = this.options.shared;
    Atomics.store(words, WATCHDOG_ON, 0);
    if (this.anyItem()) {
      Atomics.store(words, WATCHDOG_ON, 1);
      this.quietTicks = 0;
      return;
    }
    this.stopTimer();
  }

  private stopTimer(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
  }
}
