/**
 * Records one hand-off of cmwq for the slow motion of the dashboard: an item begins and sleeps, another worker gets the
 * run slot, the sleeper wakes and ends its item.
 *
 * Any thread; it only reads shared memory, by looks in short succession, so the workers do nothing for it. A time is
 * that of the first look that found a change; changes between two looks, microseconds apart, have the same time.
 */
import { COMPLETED, ITEM_FD, ITEM_ID, MONITOR_ID, type SharedState } from '../memory/layout.ts';
import { loadSlot, nrRunning, slotHolder, slotItem } from '../memory/run-slot.ts';
import { stateName } from '../pool/roster.ts';
import type { WorkerStatus } from '../schema/status.ts';

export type StepKind = 'begins' | 'sleeps' | 'onDuty' | 'nextBegins' | 'wakes' | 'ends';

/** As in a status; `running`: in an item, with the run slot. */
export type State = WorkerStatus['state'] | 'running';

export interface Step {
  kind: StepKind;
  /** Since the first step. */
  atUs: number;
  nrRunning: number;
  /** Worker that holds the run slot; 0 = free. */
  slot: number;
  sleeperState: State;
  nextState: State;
}

/** What a step is about, which other words may not show yet or no longer. */
const SLEEPER: Partial<Record<StepKind, State>> = {
  begins: 'running',
  sleeps: 'blocked',
  wakes: 'finishing',
};
const NEXT: Partial<Record<StepKind, State>> = {
  begins: 'idle',
  sleeps: 'idle',
  onDuty: 'onDuty',
  nextBegins: 'running',
};

export interface HandOff {
  pool: number;
  /** The worker whose item sleeps, and the number of the item's connection. */
  sleeper: number;
  connection: number;
  /** The worker that gets the run slot. */
  next: number;
  /** In order. Without `ends` the recording ended before the item. */
  steps: Step[];
}

/** A hand-off in progress. */
interface Followed extends HandOff {
  beganUs: number;
  /** Of the sleeper, before the item. */
  completed: number;
}

/** The run slot of a CPU pool as last seen, and how many items its holder had completed. */
interface Seen {
  slot: number;
  completed: number;
  sinceUs: number;
}

export class HandOffRecorder {
  private readonly shared: SharedState;
  private seen: Seen[] = [];
  private followed: Followed | null = null;

  constructor(shared: SharedState) {
    this.shared = shared;
    this.restart();
  }

  /** Whether the next steps may take long: another worker has the slot, and the sleeper sleeps. */
  get isWaiting(): boolean {
    return this.has('nextBegins') && !this.has('wakes');
  }

  /** What has been recorded; null if no other worker has got a slot yet. */
  get handOff(): HandOff | null {
    if (this.followed === null || this.followed.next === 0) return null;
    const { pool, sleeper, connection, next, steps } = this.followed;
    return { pool, sleeper, connection, next, steps };
  }

  /** Whether every kind of step has been seen: on a busy machine looks may come too late for some. */
  get isWhole(): boolean {
    return this.has('nextBegins') && this.has('ends');
  }

  /** Looks once. True when a hand-off is complete. */
  look(nowUs: number): boolean {
    if (this.followed === null) this.seek(nowUs);
    if (this.followed !== null) this.follow(this.followed, nowUs);
    return this.has('ends');
  }

  /** Items in progress now are not followed: they began unseen. */
  private restart(): void {
    this.followed = null;
    const { cpus } = this.shared.config;
    this.seen = Array.from({ length: cpus }, (_, pool) => this.slotNow(pool, Number.NaN));
  }

  private has(kind: StepKind): boolean {
    return this.followed?.steps.some((step) => step.kind === kind) ?? false;
  }

  private slotNow(pool: number, sinceUs: number): Seen {
    const slot = loadSlot(this.shared, pool);
    return { slot, completed: this.double(slotHolder(slot), COMPLETED), sinceUs };
  }

  private double(worker: number, double: number): number {
    return this.shared.doubles[this.shared.workerDouble(worker, double)] as number;
  }

  /** Looks for an item whose worker has left the slot in it: whose completion does not count yet. */
  private seek(nowUs: number): void {
    for (const [pool, { slot, completed, sinceUs }] of this.seen.entries()) {
      const now = this.slotNow(pool, nowUs);
      const sleeper = slotHolder(slot);
      const isSame = now.slot === slot && now.completed === completed;
      if (isSame || slotHolder(now.slot) === MONITOR_ID) continue;
      this.seen[pool] = now;
      const hasLeft = slotItem(slot) !== 0 && slotHolder(now.slot) !== sleeper;
      if (!hasLeft || Number.isNaN(sinceUs) || this.double(sleeper, COMPLETED) !== completed) continue;
      const connection = this.double(sleeper, ITEM_ID);
      this.followed = { pool, sleeper, connection, next: 0, steps: [], beganUs: sinceUs, completed };
      this.add('begins', sinceUs, sleeper, 1);
      this.add('sleeps', nowUs, 0);
      return;
    }
  }

  private follow(followed: Followed, nowUs: number): void {
    const { pool, sleeper } = followed;
    if (this.stateOf(sleeper) === 'cpuIntensive') {
      this.restart(); // the monitor has taken the slot from it: it does not sleep
      return;
    }
    const slot = loadSlot(this.shared, pool);
    const holder = slotHolder(slot);
    const isOther = holder !== 0 && holder !== MONITOR_ID && holder !== sleeper;
    if (isOther && followed.next === 0) {
      followed.next = holder;
      this.add('onDuty', nowUs, holder);
    }
    if (slotItem(slot) !== 0 && holder === followed.next && !this.has('nextBegins'))
      this.add('nextBegins', nowUs, holder);
    const hasEnded = this.double(sleeper, COMPLETED) !== followed.completed;
    const isAwake = hasEnded || this.stateOf(sleeper) === 'finishing';
    if (isAwake && followed.next === 0) {
      this.restart(); // no worker has taken the slot meanwhile
      return;
    }
    if (isAwake && !this.has('wakes')) this.add('wakes', nowUs, holder);
    if (hasEnded && this.stateOf(sleeper) !== 'finishing') this.add('ends', nowUs, holder);
  }

  private add(kind: StepKind, nowUs: number, slot: number, running?: number): void {
    const { followed, shared } = this;
    if (followed === null) return;
    const { pool, sleeper, next, beganUs, steps } = followed;
    steps.push({
      kind,
      atUs: Math.round(nowUs - beganUs),
      nrRunning: running ?? nrRunning(shared, pool),
      slot,
      sleeperState: SLEEPER[kind] ?? this.stateOf(sleeper),
      nextState: NEXT[kind] ?? this.stateOf(next),
    });
  }

  private stateOf(worker: number): State {
    const state = stateName(this.shared, worker) ?? 'retired';
    const inItem = Atomics.load(this.shared.words, this.shared.workerWord(worker, ITEM_FD)) !== 0;
    return state === 'onDuty' && inItem ? 'running' : state;
  }
}
