/**
 * The monitor: finds items that sleep without having declared it, CPU-intensive ones and ones that hang
 * (wq_worker_sleeping(), wq_worker_tick() and the stall detector of kernel/workqueue.c; Go's sysmon).
 *
 * Pure of threads: `look` is called by a thread of its own (workers/monitor.ts), which waits as long as it returns, or
 * by a simulation. It owns nothing; it reads every worker's words and makes the transitions of run-slot.ts that are the
 * monitor's. While no item runs it sleeps, and the worker that begins one wakes it:
 *
 *   worker                                   monitor
 *   ------------------------------------     ------------------------------------
 *   ITEM_FD = fd                             MONITOR = 0
 *   MONITOR = 0? CAS to 1, notify            looks again for an item; found: MONITOR = 1, continues
 *                                            sleeps while MONITOR = 0
 *
 * An item is identified by its worker's STARTED counter. Between two looks at the same item the CPU clock of its thread
 * has moved: it computes; or it stands still, and the thread's state tells whether it sleeps or waits for a processor,
 * which is neither sleeping nor computing. CPU time is counted from when the item was first seen, or when its worker
 * woke; the time of a hang is time that this process ran, so that a stop of the process makes no item hang. Nothing
 * depends on when a look happens: a late one only finds later.
 */
import { type Clock, RunningTime } from '../sys/clock.ts';
import { ring } from './completions.ts';
import { firstIdle, kick } from './kick.ts';
import {
  addTo,
  CPU_INTENSIVE,
  ITEM_FD,
  ITEM_ID,
  MONITOR,
  NOTICED,
  NOTICED_WAKEUPS,
  poolOf,
  type SharedState,
  STARTED,
  STATE,
  STOP,
  stateOf,
  WORKERS_HIGH,
  WorkerState,
} from './layout.ts';
import { releaseSeized, seizeSlot, uncountUnslotted, wakeUnslotted } from './run-slot.ts';

/**
 * The interval of looks. A look costs 40 to 100 us of CPU time here, nearly all of it for waking up, so at the longest
 * interval the monitor takes about 1 % of a core. The price: when no item has slept for a while, the first sleep is
 * noticed after 10 to 20 ms, and an item is found CPU-intensive up to 20 ms after its threshold. Where items sleep they
 * do so in numbers: after the first, each is noticed within 2 to 3 ms, for as much CPU time as two looks (200 sleeps a
 * second: 4 to 6 % of a core).
 */
const LOOK_MIN_MS = 1;
const LOOK_MAX_MS = 10;
/** Looks without a sleeper after which the interval grows. */
const CALM_LOOKS = 4;
/** Looks without an item after which the monitor sleeps. */
const QUIET_LOOKS = 4;
/** Where the wall clock stands in for CPU time, a stop of the process counts as one look, see RunningTime. */
const LOOKS_PER_THRESH = 2;
/** More: a hang may cost a connection. */
const LOOKS_PER_HANG = 10;
const TIMER_PRECISION_MS = 1;

/** What can be seen of another thread. */
export interface Probe {
  /** CPU time of the worker's thread, in milliseconds; NaN when it cannot be read. */
  cpuMs(workerId: number): number;
  /** Whether its thread sleeps, rather than runs or waits for a processor. */
  isAsleep(workerId: number): boolean;
}

export interface MonitorLimits {
  /** An item with more CPU time than this leaves the concurrency count, in ms; 0 = never. */
  cpuIntensiveThreshMs: number;
  /** An item that takes longer than this is reported, in ms; 0 = never. */
  hangTimeoutMs: number;
}

/** What main is told. */
export type MonitorNews =
  | { kind: 'slotTaken'; worker: number; pool: number }
  /** `connection` is the CONN_ID of the item, `started` the worker's STARTED counter in it. */
  | { kind: 'hang'; worker: number; connection: number; started: number; forMs: number }
  /** Other threads cannot be observed. */
  | { kind: 'blind'; reason: string };

export interface MonitorOptions extends MonitorLimits {
  shared: SharedState;
  clock: Pick<Clock, 'now'>;
  /** Null: other threads cannot be observed. It goes by declared sleeps, and by the clock instead of CPU time. */
  probe: Probe | null;
  /** Removes a descriptor from a CPU pool's worklist. */
  removeFromWorklist: (pool: number, fd: number) => void;
  tell: (news: MonitorNews) => void;
}

interface Sighting {
  started: number;
  state: number;
  /** Running time when the item was first seen. */
  sinceMs: number;
  /** CPU time at the last look. */
  cpuMs: number;
  /** CPU time when it was first seen, or had woken. */
  cpuStartMs: number;
  hangReported: boolean;
}

/** Worker: an item has begun, or woken; the monitor must look at it. */
export function wakeMonitor({ words }: SharedState): void {
  if (Atomics.load(words, MONITOR) === 1 || Atomics.compareExchange(words, MONITOR, 0, 1) === 1) return;
  Atomics.notify(words, MONITOR);
}

/** Without a view of other threads: one that is awake counts as computing, in time that this process ran. */
function wallClockProbe(maxStepMs: number, clock: Pick<Clock, 'now'>): Probe {
  const time = new RunningTime(maxStepMs, clock);
  return { cpuMs: () => time.read(), isAsleep: () => false };
}

export class Monitor {
  private readonly options: MonitorOptions;
  private readonly probe: Probe;
  private readonly sightings = new Map<number, Sighting>();
  private readonly maxLookMs: number;
  private readonly hangLookMs: number;
  private readonly hangTime: RunningTime;
  private lookMs = LOOK_MIN_MS;
  private calmLooks = 0;
  private quietLooks = 0;
  /** Whether this look has found a sleeper. */
  private foundSleeper = false;
  /** False while it sleeps until MONITOR is no longer 0. */
  isLooking = true;

  constructor(options: MonitorOptions) {
    this.options = options;
    const { cpuIntensiveThreshMs, hangTimeoutMs, probe, clock } = options;
    const perThresh = probe === null ? LOOKS_PER_THRESH : 1;
    const threshLookMs = cpuIntensiveThreshMs > 0 ? cpuIntensiveThreshMs / perThresh : LOOK_MAX_MS;
    this.hangLookMs = hangTimeoutMs > 0 ? hangTimeoutMs / LOOKS_PER_HANG : Number.POSITIVE_INFINITY;
    this.maxLookMs = Math.max(LOOK_MIN_MS, Math.min(LOOK_MAX_MS, threshLookMs, this.hangLookMs));
    this.probe = probe ?? wallClockProbe(this.maxLookMs + TIMER_PRECISION_MS, clock);
    this.hangTime = new RunningTime(hangTimeoutMs / LOOKS_PER_HANG + TIMER_PRECISION_MS, clock);
    Atomics.store(options.shared.words, MONITOR, 1);
  }

  /** Looks at every item. Returns after how many ms to look again, sooner if MONITOR changes. */
  look(): number {
    const { shared } = this.options;
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    const nowMs = this.hangTime.read();
    if (!this.isLooking) this.resume();
    this.foundSleeper = false;
    let items = 0;
    for (let id = 1; id <= high; id++) {
      const fd = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD));
      if (fd === 0) this.sightings.delete(id);
      else if (this.inspect(id, fd, nowMs)) items++;
    }
    this.quietLooks = items > 0 ? 0 : this.quietLooks + 1;
    this.isLooking = this.quietLooks < QUIET_LOOKS || !this.mayStopLooking();
    return this.isLooking ? this.nextLookMs() : this.hangLook();
  }

  /** After an item that woke it, more will follow: if it ended before the look, the next ones must not each wake it. */
  private resume(): void {
    if (Atomics.exchange(this.options.shared.words, MONITOR, 1) === 1) this.quietLooks = 0; // else it is time for a hang look
  }

  private nextLookMs(): number {
    this.calmLooks = this.foundSleeper ? 0 : this.calmLooks + 1;
    if (this.foundSleeper) this.lookMs = LOOK_MIN_MS;
    else if (this.calmLooks > CALM_LOOKS) this.lookMs = Math.min(this.maxLookMs, 2 * this.lookMs);
    return this.lookMs;
  }

  /** Items that sleep or are CPU-intensive can only hang, and need no look but for that. */
  private hangLook(): number {
    return this.sightings.size > 0 ? this.hangLookMs : Number.POSITIVE_INFINITY;
  }

  /** See the header; a stop sets MONITOR to 1 as well. */
  private mayStopLooking(): boolean {
    const { words } = this.options.shared;
    Atomics.store(words, MONITOR, 0);
    if (!this.anyToWatch() && Atomics.load(words, STOP) === 0) return true;
    Atomics.store(words, MONITOR, 1);
    this.quietLooks = 0;
    return false;
  }

  private anyToWatch(): boolean {
    const { shared } = this.options;
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    for (let id = 1; id <= high; id++) {
      const fd = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD));
      if (fd !== 0 && isToWatch(Atomics.load(shared.words, shared.workerWord(id, STATE)))) return true;
    }
    return false;
  }

  /** Returns whether the item must be watched closely. */
  private inspect(id: number, fd: number, nowMs: number): boolean {
    const { shared } = this.options;
    const started = shared.doubles[shared.workerDouble(id, STARTED)] as number;
    const state = Atomics.load(shared.words, shared.workerWord(id, STATE));
    const toWatch = isToWatch(state);
    const cpuMs = toWatch ? this.probe.cpuMs(id) : Number.NaN;
    const seen = this.sightings.get(id);
    if (seen?.started !== started) {
      const sighting = { started, state, sinceMs: nowMs, cpuMs, cpuStartMs: cpuMs, hangReported: false };
      this.sightings.set(id, sighting);
      return toWatch;
    }
    if (seen.state !== state) {
      seen.state = state; // it slept or woke: its CPU time restarts, as in wq_worker_running()
      seen.cpuStartMs = cpuMs;
    } else if (toWatch) this.compare(id, fd, seen, cpuMs);
    seen.cpuMs = cpuMs;
    this.checkHang(id, seen, nowMs);
    return toWatch;
  }

  /** Compares with the last look at the same item in the same state. A clock that cannot be read (NaN) decides nothing. */
  private compare(id: number, fd: number, seen: Sighting, cpuMs: number): void {
    const { shared, cpuIntensiveThreshMs } = this.options;
    const { state } = seen;
    const isNoticed = stateOf(state) === WorkerState.Noticed;
    if (cpuMs > seen.cpuMs) {
      if (isNoticed) wakeUnslotted(shared, poolOf(state), id, WorkerState.Noticed);
      else if (cpuIntensiveThreshMs > 0 && cpuMs - seen.cpuStartMs >= cpuIntensiveThreshMs)
        this.ranTooLong(id, fd, state);
    } else if (!isNoticed && cpuMs === seen.cpuMs && this.isStillAsleep(id, cpuMs))
      this.sleeps(id, fd, state);
  }

  /**
   * Whether it sleeps, and its clock still stands at `cpuMs`: this thread may wait for a processor between its calls,
   * while the worker runs and then falls asleep for a moment.
   */
  private isStillAsleep(id: number, cpuMs: number): boolean {
    return this.probe.isAsleep(id) && this.probe.cpuMs(id) === cpuMs;
  }

  private sleeps(id: number, fd: number, state: number): void {
    const { shared } = this.options;
    this.foundSleeper = true;
    if (!this.takeOutOfCount(id, fd, state, WorkerState.Noticed)) return;
    addTo(shared.doubles, NOTICED, 1);
    if (this.kickNext(poolOf(state))) addTo(shared.doubles, NOTICED_WAKEUPS, 1);
  }

  private ranTooLong(id: number, fd: number, state: number): void {
    const { shared, tell } = this.options;
    if (!this.takeOutOfCount(id, fd, state, WorkerState.CpuIntensive)) return;
    addTo(shared.doubles, CPU_INTENSIVE, 1);
    this.kickNext(poolOf(state));
    tell({ kind: 'slotTaken', worker: id, pool: poolOf(state) });
  }

  /** Takes a worker out of the concurrency count, and its slot if held. False: the worker was first. */
  private takeOutOfCount(
    id: number,
    fd: number,
    state: number,
    as: typeof WorkerState.Noticed | typeof WorkerState.CpuIntensive,
  ): boolean {
    const { shared, removeFromWorklist } = this.options;
    const pool = poolOf(state);
    if (stateOf(state) === WorkerState.Finishing) return uncountUnslotted(shared, pool, id, as);
    if (!seizeSlot(shared, pool, id, fd)) return false;
    removeFromWorklist(pool, fd);
    releaseSeized(shared, pool, id, as);
    return true;
  }

  /** True when a worker has been kicked. Main must know when no idle one is left in reserve. */
  private kickNext(pool: number): boolean {
    const { shared } = this.options;
    const kicked = kick(shared, pool);
    if (kicked === 'no-idle' || firstIdle(shared) === 0) ring(shared);
    return kicked === 'kicked';
  }

  private checkHang(worker: number, seen: Sighting, nowMs: number): void {
    const { shared, hangTimeoutMs, tell } = this.options;
    const forMs = nowMs - seen.sinceMs;
    if (hangTimeoutMs === 0 || seen.hangReported || forMs < hangTimeoutMs) return;
    seen.hangReported = true;
    const connection = shared.doubles[shared.workerDouble(worker, ITEM_ID)] as number;
    tell({ kind: 'hang', worker, connection, started: seen.started, forMs });
  }
}

/** Whether a worker in an item may fall asleep, wake or compute unseen. */
function isToWatch(state: number): boolean {
  const { OnDuty, Finishing, Noticed } = WorkerState;
  const now = stateOf(state);
  return now === OnDuty || now === Finishing || now === Noticed;
}
