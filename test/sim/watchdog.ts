/**
 * src/pool/watchdog.ts in virtual time, without the hang timeout.
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
} from '../../src/memory/layout.ts';
import { RunningTime } from '../../src/sys/clock.ts';
import type { Scheduler } from './scheduler.ts';

const QUIET_TICKS = 4;
const TIMER_PRECISION_MS = 1;

/** How long an item may be counted as awake before the watchdog has taken it out, with ticks missed by a hair. */
export function awakeLimitMs(threshMs: number): number {
  return threshMs === 0 ? Number.POSITIVE_INFINITY : threshMs + 2 * tickOf(threshMs);
}

function tickOf(threshMs: number): number {
  return Math.max(1, threshMs / 2);
}

interface Sighting {
  started: number;
  state: number;
  awakeSinceMs: number;
}

export interface SimWatchdogOptions {
  shared: SharedState;
  scheduler: Scheduler;
  /** 0 = never. */
  threshMs: number;
  post: (job: () => void) => void;
  tooLong: (id: number, fd: number, state: number) => void;
}

export class SimWatchdog {
  private readonly options: SimWatchdogOptions;
  private readonly sightings = new Map<number, Sighting>();
  private running = false;
  private readonly time: RunningTime;
  private quietTicks = 0;

  constructor(options: SimWatchdogOptions) {
    this.options = options;
    const { scheduler, threshMs } = options;
    this.time = new RunningTime(tickOf(threshMs) + TIMER_PRECISION_MS, () => scheduler.nowMs);
    Atomics.store(options.shared.words, WATCHDOG_ON, options.threshMs === 0 ? 1 : 0);
  }

  look(): void {
    const { words } = this.options.shared;
    if (this.running || Atomics.load(words, WATCHDOG_ON) === 1 || !this.anyItem()) return;
    Atomics.store(words, WATCHDOG_ON, 1);
    this.quietTicks = 0;
    this.running = true;
    this.tick();
    this.tickLater();
  }

  private tickLater(): void {
    const { scheduler, threshMs, post } = this.options;
    scheduler.after(tickOf(threshMs), () =>
      post(() => {
        if (!this.running) return;
        this.tick();
        if (this.running) this.tickLater();
      }),
    );
  }

  private *watched(): Generator<[number, number]> {
    const { shared } = this.options;
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    for (let id = 1; id <= high; id++) {
      const fd = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD));
      const state = stateOf(Atomics.load(shared.words, shared.workerWord(id, STATE)));
      const awake = state === WorkerState.OnDuty || state === WorkerState.Finishing;
      yield [id, awake ? fd : 0];
    }
  }

  private anyItem(): boolean {
    for (const [, fd] of this.watched()) if (fd !== 0) return true;
    return false;
  }

  private tick(): void {
    const nowMs = this.time.read();
    let items = 0;
    for (const [id, fd] of this.watched()) {
      if (fd === 0) this.sightings.delete(id);
      else {
        items++;
        this.inspect(id, fd, nowMs);
      }
    }
    this.quietTicks = items > 0 ? 0 : this.quietTicks + 1;
    if (this.quietTicks >= QUIET_TICKS) this.sleep();
  }

  private inspect(id: number, fd: number, nowMs: number): void {
    const { shared, threshMs, tooLong } = this.options;
    const started = shared.doubles[shared.workerDouble(id, STARTED)] as number;
    const state = Atomics.load(shared.words, shared.workerWord(id, STATE));
    const seen = this.sightings.get(id);
    if (seen === undefined || seen.started !== started) {
      this.sightings.set(id, { started, state, awakeSinceMs: nowMs });
      return;
    }
    if (seen.state !== state) {
      seen.state = state;
      seen.awakeSinceMs = nowMs;
    }
    const awake = stateOf(state) === WorkerState.OnDuty || stateOf(state) === WorkerState.Finishing;
    if (awake && nowMs - seen.awakeSinceMs >= threshMs) tooLong(id, fd, state);
  }

  private sleep(): void {
    const { words } = this.options.shared;
    Atomics.store(words, WATCHDOG_ON, 0);
    if (this.anyItem()) {
      Atomics.store(words, WATCHDOG_ON, 1);
      this.quietTicks = 0;
    } else this.running = false;
  }
}
