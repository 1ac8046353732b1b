/**
 * Records what workers really do, independently of shared memory, and checks the shared words against it.
 *
 * Some rules are checked when an item begins, the others when nothing is left to run at the current time: then every
 * transition is complete, and the words must be true.
 */
import type { Place } from '../../bench/sim/duty.ts';
import type { Sim } from '../../bench/sim/sim.ts';
import type { SimWorker } from '../../bench/sim/worker.ts';
import type { Observer } from '../../bench/sim/world.ts';
import {
  CONNECTIONS,
  MONITOR_ID,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  RESCUER_ID,
  RUN_SLOT,
  type SharedState,
  STATE,
  stateIn,
  stateOf,
  WorkerState,
} from '../../src/memory/layout.ts';
import { loadSlot, SLOT_FREE, slotHolder, slotItem } from '../../src/memory/run-slot.ts';
import { type Item, isCounted, newItem } from './item.ts';
import { noticeLimitMs, runLimitMs } from './notice-limits.ts';
import { misplaced } from './places.ts';

export class Ledger implements Observer {
  private readonly sim: Sim;
  private readonly shared: SharedState;
  private readonly maxActive: number;
  private readonly noticeLimitMs: number;
  private readonly runLimitMs: number;
  private readonly items = new Map<number, Item>();
  /** Dead threads that main has not handled yet. */
  private unhandledDeaths = 0;
  private monitorIsUp = false;
  /** Deaths of the monitor while it had seized a slot. */
  diedSeizing = 0;

  constructor(sim: Sim) {
    this.sim = sim;
    this.shared = sim.shared;
    this.maxActive = sim.options.maxActive;
    this.noticeLimitMs = noticeLimitMs(sim.options);
    this.runLimitMs = runLimitMs(sim.options);
    sim.observer = this;
    sim.scheduler.onQuiet = () => this.checkQuiet();
  }

  private get nowMs(): number {
    return this.sim.scheduler.nowMs;
  }

  /** Workers that are alive. */
  private get workers(): MapIterator<SimWorker> {
    return this.sim.threads.workers.keys();
  }

  begin(workerId: number, pool: number, fd: number): void {
    const { maxActive } = this;
    this.noteFound();
    const other = this.items.get(fd);
    if (other !== undefined) this.fail(`item ${fd} begun by ${workerId} while ${other.workerId} is in it`);
    const mine = [...this.items.values()].filter((item) => item.pool === pool && !item.dead);
    if (mine.length >= maxActive) this.fail(`${mine.length + 1} items of pool ${pool} begun`);
    for (const item of mine) {
      // An item that woke at this very time may be missed: nr_running overshoots. An earlier one must be counted.
      if (isCounted(item) && item.sinceMs < this.nowMs) {
        this.fail(`item ${fd} of pool ${pool} begun while ${item.fd} runs`);
      }
    }
    const item = newItem(workerId, pool, fd);
    this.items.set(fd, item);
    this.change(item);
  }

  /** What the monitor must see from now on. */
  private change(item: Item, what: Partial<Pick<Item, 'sleeps' | 'noticed'>> = {}): void {
    Object.assign(item, what, { sinceMs: this.nowMs, sinceCpuMs: this.cpuMs(item) });
  }

  private cpuMs({ workerId }: Item): number {
    const thread = this.sim.threadOf(workerId);
    return thread === null ? Number.NaN : this.sim.scheduler.cpuMs(thread);
  }

  private item(fd: number): Item {
    return this.items.get(fd) ?? this.fail(`item ${fd} has not begun`);
  }

  /** The item's worker has given up the slot. */
  left(fd: number, intensive: boolean): void {
    const item = this.item(fd);
    if (!item.inSlot) this.fail(`item ${fd} left the slot twice`);
    item.inSlot = false;
    item.intensive = intensive;
  }

  /** Notes what the monitor has found; only the worker's state shows it. */
  private noteFound(): void {
    for (const item of this.items.values()) {
      // Not Atomics.load: another thread could cut in, or this one die.
      const state = stateOf(this.shared.words[this.shared.workerWord(item.workerId, STATE)] as number);
      if (item.dead) continue;
      item.intensive ||= state === WorkerState.CpuIntensive;
      // Blocked: it has declared a sleep after the monitor had taken its slot.
      item.inSlot &&= state === WorkerState.OnDuty;
      const noticed = state === WorkerState.Noticed;
      if (noticed !== item.noticed) this.change(item, { noticed });
    }
  }

  asleep(fd: number, declared: boolean): void {
    this.change(this.item(fd), { sleeps: declared ? 'declared' : 'undeclared' });
  }

  awake(fd: number): void {
    this.change(this.item(fd), { sleeps: 'no' });
  }

  end(fd: number): void {
    this.item(fd);
    this.items.delete(fd);
  }

  died(workerId: number): void {
    this.unhandledDeaths++;
    for (const item of this.items.values()) if (item.workerId === workerId) item.dead = true;
  }

  deathHandled(workerId: number, lost: number): void {
    this.unhandledDeaths--;
    for (const [fd, item] of this.items) {
      if (item.workerId !== workerId || !item.dead) continue;
      if (fd !== lost) this.fail(`worker ${workerId} died in item ${fd}, and ${lost} was lost`);
      this.items.delete(fd);
    }
  }

  monitorUp(): void {
    this.monitorIsUp = true;
    for (const item of this.items.values()) this.change(item);
  }

  monitorDied(): void {
    this.monitorIsUp = false;
    this.unhandledDeaths++;
    if (this.hasSeized()) this.diedSeizing++;
  }

  monitorDeathHandled(): void {
    this.unhandledDeaths--;
    if (this.hasSeized()) this.fail('the slot that a dead monitor had seized is not released');
  }

  private hasSeized(): boolean {
    const { words, config } = this.shared;
    for (let pool = 0; pool < config.cpus; pool++) {
      if (slotHolder(words[this.shared.poolWord(pool, RUN_SLOT)] as number) === MONITOR_ID) return true;
    }
    return false;
  }

  /**
   * Nothing is left to run at the current time. A dead worker may have left wrong counts and an unfinished kick;
   * that is excused until main has handled the death.
   */
  private checkQuiet(): void {
    const holders = new Set<number>();
    this.noteFound();
    for (let pool = 0; pool < this.shared.config.cpus; pool++) {
      const holder = slotHolder(loadSlot(this.shared, pool));
      const twice = holder !== 0 && holders.has(holder);
      if (twice && this.unhandledDeaths === 0) this.fail(`worker ${holder} holds two slots`);
      holders.add(holder);
      this.checkHolder(pool);
      this.checkCounts(pool);
      this.checkPending(pool);
      this.checkMonitor(pool);
    }
    this.checkConnections();
    this.checkIdle(holders);
    this.checkReserve();
  }

  private checkConnections(): void {
    if (this.unhandledDeaths > 0) return;
    const wrong = misplaced(this.sim, (fd) => this.items.get(fd)?.pool ?? null);
    if (wrong !== null) this.fail(wrong);
  }

  /** After the run: every count must be 0. */
  checkEnd(): void {
    const { shared } = this;
    if (this.items.size > 0) this.fail('an item has not ended');
    if (this.unhandledDeaths > 0) this.fail('a death has not been handled');
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      for (const word of [NR_UNSLOTTED, NR_OVERSHOOT, CONNECTIONS]) {
        const value = Atomics.load(shared.words, shared.poolWord(pool, word));
        if (value !== 0) this.fail(`word ${word} of pool ${pool} is ${value} at the end`);
      }
      if (loadSlot(shared, pool) !== SLOT_FREE) this.fail(`slot ${pool} is not free at the end`);
    }
  }

  /** The slot's holder is on duty in this pool, and in the item that the slot names. */
  private checkHolder(pool: number): void {
    const { shared } = this;
    const word = loadSlot(shared, pool);
    const id = slotHolder(word);
    if (word === SLOT_FREE) return;
    if (id === MONITOR_ID) {
      if (this.unhandledDeaths === 0) this.fail(`the monitor keeps slot ${pool}`);
      return;
    }
    const holder = [...this.workers].find((worker) => worker.id === id);
    if (holder === undefined) {
      if (this.unhandledDeaths === 0) this.fail(`slot ${pool} is held by worker ${id}, which has ended`);
      return;
    }
    const state = Atomics.load(shared.words, shared.workerWord(id, STATE));
    if (state !== stateIn(WorkerState.OnDuty, pool)) {
      if (this.unhandledDeaths > 0) return;
      this.fail(`the holder of slot ${pool} is not on duty in that pool`);
    }
    if (holder.pool !== pool) this.fail(`the holder of slot ${pool} works in another pool`);
    const fd = slotItem(word);
    const item = this.items.get(fd);
    const there = fd === 0 ? isBetweenItems(holder.place) : item?.workerId === id && item.inSlot;
    if (!there) this.fail(`slot ${pool} names item ${fd} of worker ${id}, which is in: ${holder.place}`);
  }

  private checkCounts(pool: number): void {
    const { shared } = this;
    if (this.unhandledDeaths > 0) return;
    const out = [...this.items.values()].filter((item) => item.pool === pool && !item.inSlot);
    const running = out.filter(isCounted);
    this.expectWord(pool, NR_UNSLOTTED, out.length);
    this.expectWord(pool, NR_OVERSHOOT, running.length);
    const connections = Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
    if (out.length > connections) this.fail(`pool ${pool} has more items than connections`);
  }

  private expectWord(pool: number, word: number, expected: number): void {
    const value = Atomics.load(this.shared.words, this.shared.poolWord(pool, word));
    if (value !== expected) this.fail(`word ${word} of pool ${pool} is ${value}, not ${expected}`);
  }

  /** No item waits while the pool may begin one: slot free, a worker idle, below max_active, none running. */
  private checkPending(pool: number): void {
    const { worklists } = this.sim;
    if (loadSlot(this.shared, pool) !== SLOT_FREE || this.unhandledDeaths > 0 || worklists.ready(pool) === 0)
      return;
    const begun = [...this.items.values()].filter((item) => item.pool === pool);
    if (begun.length >= this.maxActive || begun.some(isCounted)) return;
    for (const { id, place } of this.workers) {
      if (place === 'idle') this.fail(`an item of pool ${pool} waits, and worker ${id} is idle`);
    }
  }

  private checkMonitor(pool: number): void {
    const { canObserve } = this.sim.options;
    if (!this.monitorIsUp) return;
    for (const item of this.items.values()) {
      const { fd, sleeps, noticed } = item;
      if (item.pool !== pool || item.dead || item.intensive || sleeps === 'declared') continue;
      const forMs = this.nowMs - item.sinceMs;
      const ranMs = canObserve ? this.cpuMs(item) - item.sinceCpuMs : forMs;
      if (noticed && ranMs > this.noticeLimitMs) this.fail(`item ${fd} has woken unnoticed`);
      if (!noticed && ranMs > this.runLimitMs) this.fail(`item ${fd} runs too long`);
      const unseen = sleeps === 'undeclared' && !noticed && canObserve;
      if (unseen && forMs > this.noticeLimitMs) this.fail(`item ${fd} sleeps unnoticed`);
    }
  }

  /** A worker that sleeps until kicked is idle by its state, and holds no slot. */
  private checkIdle(holders: ReadonlySet<number>): void {
    const { shared } = this;
    for (const { id, place } of this.workers) {
      if (place !== 'idle') continue;
      const state = Atomics.load(shared.words, shared.workerWord(id, STATE));
      if (state !== WorkerState.Idle) this.fail(`worker ${id} sleeps through state ${state}`);
      if (holders.has(id) && this.unhandledDeaths === 0) this.fail(`idle worker ${id} holds a slot`);
    }
  }

  /** A worker is idle or starting, or the limit is reached. Unchecked after failures and deaths: creation waits. */
  private checkReserve(): void {
    const { threads, options, died, isUp } = this.sim;
    if (!isUp || died + this.unhandledDeaths > 0 || threads.failed > 0 || threads.starting > 0) return;
    const rescuer = Atomics.load(this.shared.words, RESCUER_ID);
    const kworkers = [...this.workers].filter(({ id }) => id !== rescuer);
    if (kworkers.length >= options.maxWorkers || kworkers.some(({ place }) => place === 'idle')) return;
    this.fail('no worker is in reserve');
  }

  private fail(what: string): never {
    throw new Error(`at ${this.nowMs} ms: ${what}`);
  }
}

/** Where a worker on duty may wait: also in `ending`, until main has ended the thread for its last item. */
function isBetweenItems(place: Place): boolean {
  return place === 'worklist' || place === 'ending';
}
