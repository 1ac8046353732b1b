/**
 * Where a thread may die. V8 ends a terminated thread at a function entry or a loop's back edge, so never between two
 * Atomics of one transition: the three words of leaveSlot and of releaseSeized, the counts of wakeUnslotted,
 * uncountUnslotted and endUnslotted, the words of countMoved.
 */
import type { AtomicPlace } from '../../bench/sim/scheduler.ts';
import type { Sim } from '../../bench/sim/sim.ts';
import {
  CONNECTIONS,
  ITEM_FD,
  MOVED_IN,
  MOVED_OUT,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  RUN_SLOT,
  SEIZED_FROM,
  STATE,
  stateOf,
  WorkerState,
} from '../../src/memory/layout.ts';
import { slotItem } from '../../src/memory/run-slot.ts';

type Word = 'slot' | 'unslotted' | 'overshoot' | 'connections' | 'moved' | 'state' | 'itemFd';

export class Deaths {
  private readonly sim: Sim;
  private readonly words = new Map<number, Word>();

  constructor(sim: Sim) {
    const { words } = this;
    const { shared } = sim;
    this.sim = sim;
    sim.scheduler.mayDieBefore = this.anywhere;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      words.set(shared.poolWord(pool, RUN_SLOT), 'slot');
      words.set(shared.poolWord(pool, NR_UNSLOTTED), 'unslotted');
      words.set(shared.poolWord(pool, NR_OVERSHOOT), 'overshoot');
      words.set(shared.poolWord(pool, CONNECTIONS), 'connections');
      for (const word of [MOVED_IN, MOVED_OUT]) words.set(shared.poolWord(pool, word), 'moved');
    }
    for (let id = 1; id <= shared.config.workers; id++) {
      words.set(shared.workerWord(id, STATE), 'state');
      words.set(shared.workerWord(id, ITEM_FD), 'itemFd');
    }
  }

  /** Ends a thread: the monitor's once in five times. */
  killRandom(): void {
    if (this.sim.random.chance(0.2)) this.killMonitor();
    else this.killRandomWorker();
  }

  /**
   * Ends the thread of a random worker, terminated by main or by itself: now, at one of the next places where it may
   * die, or at one of the two critical places below.
   */
  private killRandomWorker(): void {
    const { random, scheduler, threads, main, cmwq } = this.sim;
    if (threads.workers.size === 0) return;
    const [worker, thread] = random.pick([...threads.workers]);
    if (random.chance(0.25)) main.post(() => cmwq.terminateWorker(worker.id));
    else if (random.chance(0.4)) scheduler.doom(thread, random.below(40));
    else scheduler.doom(thread, random.below(3), random.pick([this.settling, this.puttingBack]));
  }

  /**
   * Ends the monitor's thread: now, at one of the next places where it may die, or while it has a slot seized, together
   * with the worker or not.
   */
  private killMonitor(): void {
    const { random, scheduler, monitor } = this.sim;
    if (monitor.thread === null) return;
    if (random.chance(0.3)) scheduler.doom(monitor.thread, random.below(40));
    else scheduler.doom(monitor.thread, 0, this.releasing(random.chance(0.5)));
  }

  /** Before any operation that begins a transition or stands alone. */
  readonly anywhere: AtomicPlace = (operation, args) => {
    const [memory, index, value, replacement] = args as [unknown, number, number, number];
    if (operation === 'load') return true;
    if (memory === this.sim.shared.conns) return false; // countMoved's second word
    switch (this.words.get(index)) {
      case 'slot': // not leaveSlot's second word: A|fd -> free, nor releaseSeized's third
        return operation !== 'store' && !(slotItem(value) !== 0 && replacement === 0);
      case 'state': // not leaveSlot's third word, nor releaseSeized's second
        return operation === 'compareExchange' || !isUnslotted(value);
      case 'unslotted': // the first word of leaveSlot and releaseSeized, but not endUnslotted's second
      case 'connections': // the first word of countMoved
        return operation === 'add';
      case 'overshoot':
      case 'moved':
        return false;
      default:
        return true;
    }
  };

  /** In a kick: the slot has been granted, and the grantee's state is still idle. */
  readonly settling: AtomicPlace = (operation, args) => {
    const [, index, value] = args as [unknown, number, number];
    const fromIdle = operation === 'compareExchange' && value === WorkerState.Idle;
    return fromIdle && this.words.get(index) === 'state';
  };

  /** The item has ended and, if it had left the slot, is back in the worklist; ITEM_FD still names it. */
  readonly puttingBack: AtomicPlace = (operation, args) => {
    const [, index, value] = args as [unknown, number, number];
    return operation === 'store' && value === 0 && this.words.get(index) === 'itemFd';
  };

  /** The monitor has seized a slot, and the item is out of the worklist. There its worker may die, too. */
  private releasing(withWorker: boolean): AtomicPlace {
    return (operation, args) => {
      const isThere = operation === 'add' && this.words.get(args[1] as number) === 'unslotted';
      if (isThere && withWorker) this.killSeized();
      return isThere;
    };
  }

  private killSeized(): void {
    const { sim } = this;
    const { shared, scheduler } = sim;
    const thread = sim.threadOf(shared.words[SEIZED_FROM] as number);
    if (thread !== null) scheduler.doom(thread, 0);
  }
}

function isUnslotted(state: number): boolean {
  const value = stateOf(state);
  const { Blocked, Noticed, CpuIntensive } = WorkerState;
  return value === Blocked || value === Noticed || value === CpuIntensive;
}
