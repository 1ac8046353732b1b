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
 * Idle workers are found by a bit each. Only the worker itself writes its bit: it sets it before its STATE becomes Idle,
 * and clears it after it has been woken. So a set bit is a hint, and a missing one the proof that the worker is not idle;
 * no death of any thread leaves an idle worker without its bit. The lowest bit is taken, so that few workers do most of
 * the work and the others age.
 *
 * No lost wake-up: a worker going idle and a thread that frees a slot or adds a connection both write before they read,
 * so at least one of them sees the other. A thread that frees a slot kicks its CPU pool, and finds an idle worker or
 * leaves NO_IDLE; a worker that gave up a slot without a kick goes idle next, and looks at that CPU pool itself:
 *
 *   worker going idle                        thread that adds work or frees a slot
 *   ------------------------------------     ------------------------------------
 *   its bit; STATE = Idle                    CONNECTIONS++ (or slot = free)
 *   kicks the CPU pool of its last duty      kick: looks for an idle worker; none?
 *   NO_IDLE? swap to 0, kick every pool      NO_IDLE = 1; looks once more
 *   sleeps while STATE = Idle
 */

import { ring } from './completions.ts';
import {
  IDLE_BITS,
  IDLE_SINCE_MS,
  NO_IDLE,
  poolOf,
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

/** The idle worker with the lowest id; 0 = none. Reads a word for 32 workers, and STATE where a bit is set. */
export function firstIdle(shared: SharedState): number {
  const { words } = shared;
  const high = Atomics.load(words, WORKERS_HIGH);
  for (let base = 0; base <= high; base += 32) {
    for (let bits = Atomics.load(words, idleWord(base)); bits !== 0; bits &= bits - 1) {
      const id = base + 31 - Math.clz32(bits & -bits);
      if (Atomics.load(words, shared.workerWord(id, STATE)) === WorkerState.Idle) return id;
    }
  }
  return 0;
}

function idleWord(id: number): number {
  return IDLE_BITS + (id >>> 5);
}

/** Worker `id` becomes idle, nothing else; see goIdle. */
export function setIdle(shared: SharedState, id: number): void {
  Atomics.or(shared.words, idleWord(id), 1 << (id & 31));
  Atomics.store(shared.words, shared.workerWord(id, STATE), WorkerState.Idle);
}

/** Worker `id` has been woken, and is no longer idle. */
export function noteAwake(shared: SharedState, id: number): void {
  Atomics.and(shared.words, idleWord(id), ~(1 << (id & 31)));
}

/** Result of a kick. `no-idle`: the slot is wanted, but no worker is idle; main must create one. */
export type Kick = 'kicked' | 'not-wanted' | 'no-idle';

/** Has an idle worker wake on the caller's processor: called just before and just after the wake. */
export interface WakeNear {
  bind(id: number): void;
  unbind(id: number): void;
}

/**
 * Gives the slot of `pool` to an idle worker, if the slot is free and wanted. `near` is for a caller that is about to
 * sleep.
 */
export function kick(shared: SharedState, pool: number, near: WakeNear | null = null): Kick {
  for (;;) {
    if (!slotWanted(shared, pool)) return 'not-wanted';
    const id = firstIdle(shared) || lastLook(shared);
    if (id === 0) return 'no-idle';
    if (settleGrant(shared, pool, grantSlot(shared, pool, id), near)) return 'kicked';
  }
}

/** No worker is idle: the next one must look at every CPU pool, unless one has become idle meanwhile. */
function lastLook(shared: SharedState): number {
  Atomics.store(shared.words, NO_IDLE, 1);
  return firstIdle(shared);
}

/**
 * Second half of a kick: moves the state of the grant's holder to OnDuty. True when a worker is on duty; false when the
 * slot is free again or another thread has settled it: the caller should check again.
 */
export function settleGrant(
  shared: SharedState,
  pool: number,
  granted: number,
  near: WakeNear | null = null,
): boolean {
  const { words } = shared;
  const onDuty = stateIn(WorkerState.OnDuty, pool);
  for (let grant = granted; grant !== SLOT_FREE; ) {
    const id = slotHolder(grant);
    const state = shared.workerWord(id, STATE);
    near?.bind(id);
    const before = Atomics.compareExchange(words, state, WorkerState.Idle, onDuty);
    if (before === WorkerState.Idle) Atomics.notify(words, state);
    near?.unbind(id);
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
 * Worker `id` goes idle, from a duty or because its thread has come up: it can be kicked from now on. `nowMs` is the
 * monotonic clock, used for culling.
 */
export function goIdle(shared: SharedState, id: number, nowMs: number): void {
  const { words } = shared;
  const before = Atomics.load(words, shared.workerWord(id, STATE));
  shared.doubles[shared.workerDouble(id, IDLE_SINCE_MS)] = nowMs;
  setIdle(shared, id);
  if (stateOf(before) === WorkerState.OnDuty) settleOrKick(shared, poolOf(before), id);
  else kickAll(shared, id);
  if (Atomics.load(words, NO_IDLE) === 1 && Atomics.exchange(words, NO_IDLE, 0) === 1) kickAll(shared, id);
}

function settleOrKick(shared: SharedState, pool: number, id: number): void {
  const word = loadSlot(shared, pool);
  // Granted to this worker before it went idle: the granter saw OnDuty and will not notify it again.
  if (!isGrantTo(word, id) || !settleGrant(shared, pool, word)) kick(shared, pool);
}

/** Kicks the CPU pools whose slots were freed while no worker was idle, each worker beginning with another one. */
function kickAll(shared: SharedState, id: number): void {
  const { cpus } = shared.config;
  for (let i = 0; i < cpus; i++) settleOrKick(shared, (id + i) % cpus, id);
  ring(shared); // main has been told that no worker was idle, or waits for this one
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
