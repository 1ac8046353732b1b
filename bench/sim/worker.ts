/**
 * A simulated worker thread: workers/kworker.ts as generators, in the same order and under the same names.
 */
import { ring } from '../../src/memory/completions.ts';
import { claimWorkerId, firstIdle, goIdle, kick, noteAwake } from '../../src/memory/kick.ts';
import {
  addTo,
  MAYDAY,
  poolOf,
  RESCUED,
  RESCUER_ID,
  STARTED,
  STATE,
  stateIn,
  stateOf,
  TASK,
  WorkerState,
} from '../../src/memory/layout.ts';
import { MAYDAY_INTERVAL_MS } from '../../src/memory/predicates.ts';
import { grantSlot, SLOT_FREE, slotWanted } from '../../src/memory/run-slot.ts';
import { type Place, SimDuty } from './duty.ts';
import { FOREVER, type Steps } from './scheduler.ts';
import type { World } from './world.ts';

export class SimWorker {
  readonly id: number;
  private readonly world: World;
  private readonly duty: SimDuty;

  private constructor(world: World, id: number) {
    this.world = world;
    this.id = id;
    this.duty = new SimDuty(world, id);
  }

  /** Called when the thread has loaded. Null when no id is free. */
  static claim(world: World, threadId: number): SimWorker | null {
    const id = claimWorkerId(world.shared, threadId);
    if (id === 0) return null;
    ring(world.shared);
    return new SimWorker(world, id);
  }

  get place(): Place {
    return this.duty.place;
  }

  get pool(): number {
    return this.duty.pool;
  }

  *kworker(task: number): Steps {
    const { shared } = this.world;
    Atomics.store(shared.words, shared.workerWord(this.id, TASK), task);
    for (;;) {
      const pool = yield* this.sleepUntilKicked();
      if (pool < 0) break;
      yield* this.duty.run(pool);
    }
    Atomics.store(shared.words, shared.workerWord(this.id, STATE), WorkerState.Retired);
    ring(shared);
  }

  *rescuer(): Steps {
    const { shared, scheduler } = this.world;
    Atomics.store(shared.words, shared.workerWord(this.id, STATE), WorkerState.Rescuer);
    Atomics.store(shared.words, RESCUER_ID, this.id);
    ring(shared);
    for (;;) {
      if (Atomics.compareExchange(shared.words, MAYDAY, 1, 0) === 1) yield* this.rescueAll();
      else yield { kind: 'wait', on: scheduler.waitersOf(MAYDAY), timeoutMs: FOREVER };
    }
  }

  private *sleepUntilKicked(): Steps<number> {
    const { shared, scheduler } = this.world;
    const state = shared.workerWord(this.id, STATE);
    goIdle(shared, this.id, scheduler.nowMs);
    while (Atomics.load(shared.words, state) === WorkerState.Idle) {
      this.duty.place = 'idle';
      yield { kind: 'wait', on: scheduler.waitersOf(state), timeoutMs: FOREVER };
      this.duty.place = 'other';
    }
    noteAwake(shared, this.id);
    const word = Atomics.load(shared.words, state);
    return stateOf(word) === WorkerState.OnDuty ? poolOf(word) : -1;
  }

  private *rescueAll(): Steps {
    const { shared } = this.world;
    const { cpus } = shared.config;
    for (const waitMs of [0, Math.ceil(MAYDAY_INTERVAL_MS / cpus)]) {
      for (let pool = 0; pool < cpus; pool++) {
        if (firstIdle(shared) === 0 && slotWanted(shared, pool)) yield* this.rescuePool(pool, waitMs);
      }
    }
    ring(shared);
  }

  private *rescuePool(pool: number, waitMs: number): Steps {
    const { id, duty } = this;
    const { shared } = this.world;
    const state = shared.workerWord(id, STATE);
    Atomics.store(shared.words, state, stateIn(WorkerState.OnDuty, pool));
    if (grantSlot(shared, pool, id) !== SLOT_FREE) {
      const before = this.count(STARTED);
      yield* duty.rescue(pool, waitMs);
      addTo(shared.doubles, shared.workerDouble(id, RESCUED), this.count(STARTED) - before);
    }
    Atomics.store(shared.words, state, WorkerState.Rescuer);
    kick(shared, pool);
  }

  private count(double: number): number {
    const { shared } = this.world;
    return shared.doubles[shared.workerDouble(this.id, double)] as number;
  }
}
