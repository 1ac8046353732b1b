/**
 * kick: gives a free run slot to an idle worker and wakes it (kick_pool() in kernel/workqueue.c); and its counterpart,
 * going idle.
 *
 * Any thread may kick, without a lock. The slot is granted first and the worker's state follows, so that a step left
 * undone by a dying thread shows in shared memory and any thread can finish it:
 *
 *   kicker                                   another kicker, or main's repair
 *   ------------------------------------     ------------------------------------
 *   CAS slot: free -> B
 *   (dies, or is slow)                       sees slot = B, B.state = Idle
 *                                            CAS B.state: Idle -> OnDuty|p; notify B
 *   CAS B.state: Idle -> OnDuty|p fails,
 *   and B is OnDuty|p: nothing to do
 *
 * If B was put on duty elsewhere in between (B.state = OnDuty|q), the slot passes to the next idle worker.
 * A worker begins its duty only if its state is OnDuty|p *and* it holds slot p; after a late Idle -> OnDuty|p for a
 * slot that has moved on, B returns to idle.
 *
 * No lost wake-up: a worker going idle and a thread that frees a slot or adds a connection both write
 * before they read, so at least one of them sees the other:
 *
 *   worker going idle                        thread that adds work or frees a slot
 *   ------------------------------------     ------------------------------------
 *   STATE = Idle                             CONNECTIONS++ (or slot = free)
 *   checks every pool: wanted? kick          kick: looks for an idle worker
 *   sleeps while STATE = Idle
 */

import {
  IDLE_SINCE_MS,
  RESCUER_ID,
  type SharedState,
  STATE,
  stateIn,
  stateOf,
  THREAD_ID,
  WORKERS_HIGH,
  WorkerState,
} from './layout.ts';
import {
  grantSlot,
  isGrantTo,
  loadSlot,
  regrantSlot,
  SLOT_FREE,
  slotHolder,
  slotItem,
  slotWanted,
} from './run-slot.ts';

/** The idle worker with the lowest id, so that high ids age and are culled; 0 = none. O(workers), at most 2046. */
export function firstIdle(shared: SharedState): number {
  const { words } = shared;
  const high = Atomics.load(words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    if (Atomics.load(words, shared.workerWord(id, STATE)) === WorkerState.Idle) return id;
  }
  return 0;
}

/** Result of a kick. `no-idle`: the slot is wanted, but no worker is idle; main must create one. */
export type Kick = 'kicked' | 'not-wanted' | 'no-idle';

/** Gives the slot of `pool` to an idle worker, if the slot is free and wanted. */
export function kick(shared: SharedState, pool: number): Kick {
  for (;;) {
    if (!slotWanted(shared, pool)) return 'not-wanted';
    const id = firstIdle(shared);
    if (id === 0) return 'no-idle';
    if (settleGrant(shared, pool, grantSlot(shared, pool, id))) return 'kicked';
  }
}

/**
 * Second half of a kick: moves the state of the grant's holder to OnDuty. True when a worker is on duty; false when the
 * slot is free again or another thread has settled it: the caller should check again.
 */
export function settleGrant(shared: SharedState, pool: number, granted: number): boolean {
  const { words } = shared;
  const onDuty = stateIn(WorkerState.OnDuty, pool);
  for (let grant = granted; grant !== SLOT_FREE; ) {
    const state = shared.workerWord(slotHolder(grant), STATE);
    const before = Atomics.compareExchange(words, state, WorkerState.Idle, onDuty);
    if (before === WorkerState.Idle) Atomics.notify(words, state);
    if (before === WorkerState.Idle || before === onDuty) return true;
    const moved = regrantSlot(shared, pool, grant, firstIdle(shared));
    if (moved === null) return false;
    grant = moved;
  }
  return false;
}

/** Main, after a thread's death: finishes a kick that the thread left half done. */
export function repairGrant(shared: SharedState, pool: number): void {
  const word = loadSlot(shared, pool);
  if (word === SLOT_FREE || slotItem(word) !== 0) return;
  const state = Atomics.load(shared.words, shared.workerWord(slotHolder(word), STATE));
  if (state === stateIn(WorkerState.OnDuty, pool)) return;
  if (!settleGrant(shared, pool, word)) kick(shared, pool);
}

/**
 * Worker `id` goes idle: it can be kicked from now on. It also kicks the pools whose slots were freed while no worker
 * was idle; each worker starts with a different CPU pool, so that all pools get their share of the workers.
 * `nowMs` is the monotonic clock, used for culling.
 */
export function goIdle(shared: SharedState, id: number, nowMs: number): void {
  const { cpus } = shared.config;
  shared.doubles[shared.workerDouble(id, IDLE_SINCE_MS)] = nowMs;
  Atomics.store(shared.words, shared.workerWord(id, STATE), WorkerState.Idle);
  for (let i = 0; i < cpus; i++) {
    const pool = (id + i) % cpus;
    const word = loadSlot(shared, pool);
    // Granted to this worker before it went idle: the granter saw OnDuty and will not notify it again.
    if (isGrantTo(word, id)) settleGrant(shared, pool, word);
    else kick(shared, pool);
  }
}

/**
 * Claims the lowest free worker id for the calling thread; 0 when all are taken. One compare-and-swap on
 * THREAD_ID, so that main finds a thread that dies right afterwards by its thread id.
 */
export function claimWorkerId(shared: SharedState, threadId: number): number {
  const { words, config } = shared;
  for (let id = 1; id <= config.workers; id++) {
    if (Atomics.compareExchange(words, shared.workerWord(id, THREAD_ID), 0, threadId) !== 0) continue;
    Atomics.store(words, shared.workerWord(id, STATE), WorkerState.Starting);
    let high = Atomics.load(words, WORKERS_HIGH);
    while (high < id) high = Atomics.compareExchange(words, WORKERS_HIGH, high, id);
    return id;
  }
  return 0;
}

/** Workers per state, in the order of WorkerState, without the rescuer. Not atomic: states change during the scan. */
export function countStates(shared: SharedState): number[] {
  const counts = new Array<number>(Object.keys(WorkerState).length).fill(0);
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  const rescuer = Atomics.load(shared.words, RESCUER_ID);
  for (let id = 1; id <= high; id++) {
    if (id === rescuer) continue;
    const state = stateOf(Atomics.load(shared.words, shared.workerWord(id, STATE)));
    counts[state] = (counts[state] as number) + 1;
  }
  return counts;
}
