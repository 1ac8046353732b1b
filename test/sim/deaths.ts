/**
 * Where a thread may die. V8 ends a terminated thread at a function entry or a loop's back edge, so never between two
 * Atomics of one transition: the three words of leaveSlot, the counts of wakeUnslotted, uncountUnslotted and
 * endUnslotted.
 */
import type { AtomicPlace } from '../../bench/sim/scheduler.ts';
import type { Sim } from '../../bench/sim/sim.ts';
import {
  ITEM_FD,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  RUN_SLOT,
  STATE,
  stateOf,
  WorkerState,
} from '../../src/memory/layout.ts';
import { slotItem } from '../../src/memory/run-slot.ts';

type Word = 'slot' | 'unslotted' | 'overshoot' | 'state' | 'itemFd';

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
    }
    for (let id = 1; id <= shared.config.workers; id++) {
      words.set(shared.workerWord(id, STATE), 'state');
      words.set(shared.workerWord(id, ITEM_FD), 'itemFd');
    }
  }

  /**
   * Ends the thread of a random worker, terminated by main or by itself: now, at one of the next places where it may
   * die, or at one of the two critical places below.
   */
  killRandomWorker(): void {
    const { random, scheduler, threads, main, cmwq } = this.sim;
    if (threads.workers.size === 0) return;
    const [worker, thread] = random.pick([...threads.workers]);
    if (random.chance(0.25)) main.post(() => cmwq.terminateWorker(worker.id));
    else if (random.chance(0.4)) scheduler.doom(thread, random.below(40));
    else scheduler.doom(thread, random.below(3), random.pick([this.settling, this.puttingBack]));
  }

  /** Before any operation that begins a transition or stands alone. */
  readonly anywhere: AtomicPlace = (operation, args) => {
    const [, index, value, replacement] = args as [unknown, number, number, number];
    if (operation === 'load') return true;
    switch (this.words.get(index)) {
      case 'slot': // not leaveSlot's second word: A|fd -> free
        return !(slotItem(value) !== 0 && replacement === 0);
      case 'state': // not leaveSlot's third word
        return operation === 'compareExchange' || !isUnslotted(value);
      case 'unslotted': // leaveSlot's first word, but not endUnslotted's second
        return operation === 'add';
      case 'overshoot':
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
}

function isUnslotted(state: number): boolean {
  const value = stateOf(state);
  return value === WorkerState.Blocked || value === WorkerState.CpuIntensive;
}
