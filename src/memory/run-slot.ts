/**
 * The run slot of a CPU pool: one word that names the running worker and its item. Every transition is one
 * compare-and-swap; this file has them all.
 *
 *   0                    free
 *   GRANT | A << 20 | g  worker A is on duty, between items; g distinguishes this grant from A's other grants
 *   A << 20 | fd         worker A is in the item of connection fd
 *   MONITOR_ID << 20 | fd  the monitor is taking the slot from that item's worker; no other thread writes the word
 *
 * Only the holder takes events from the pool's worklist, so an item never runs twice at once. While a worker is
 * inside an item without the slot, its fd must be out of the worklist: it is removed (epoll DEL) *before* the slot
 * becomes free, and added again after the item, once the monitor no longer has the slot.
 *
 *   worker A, in item fd                    monitor: A is CPU-intensive, or asleep
 *   ------------------------------------    ------------------------------------
 *                                           SEIZED_FROM = A; CAS A|fd -> monitor|fd
 *   finishes; CAS A|fd -> A fails           epoll DEL fd
 *   waits while slot = monitor|fd           A.state = CpuIntensive or Noticed; slot = free; kick
 *   epoll ADD fd                            .
 *   NR_UNSLOTTED--, CAS free -> A or idle
 *
 * The monitor acts on what it has seen, so A may be awake again, or in another item. Then A is Noticed although it
 * runs, until the monitor sees its clock move. Only the monitor makes A Noticed and, while A is, Finishing; a sleep
 * that A has declared (Blocked) it leaves alone. A ends its item by an exchange, so that it sees a count of the
 * monitor's or the monitor sees that it is too late:
 *
 *   worker A, Noticed, ends its item        monitor: A's clock has moved
 *   ------------------------------------    ------------------------------------
 *                                           CAS A.state: Noticed -> Finishing
 *   exchange A.state = OnDuty: Finishing    NR_OVERSHOOT++
 *   NR_OVERSHOOT--                          (or its CAS fails: no count)
 *
 *   worker A, Noticed, declares a sleep     monitor
 *   ------------------------------------    ------------------------------------
 *   CAS A.state: Noticed -> Blocked fails   CAS A.state: Noticed -> Finishing
 *   CAS A.state: Finishing -> Blocked       NR_OVERSHOOT++
 *   NR_OVERSHOOT--; kick
 *
 * If A dies, main takes what the slots and A.state say, with the monitor at work on both: it takes the slot by
 * compare-and-swap, A.state by exchange, and begins again later if the monitor is seizing A's slot. If the monitor dies
 * before it has released a slot, main does so at its exit:
 *
 *   main: A's thread has ended               monitor                       main: the monitor has ended
 *   ------------------------------------     --------------------------    ---------------------------
 *                                            CAS A|fd -> monitor|fd
 *   monitor|fd, SEIZED_FROM = A: later       (dies)
 *                                                                          epoll DEL fd; A.state = Noticed
 *   exchange A.state = Free: Noticed                                       NR_UNSLOTTED++; slot = free; kick
 *   NR_UNSLOTTED--
 *
 * Grants are numbered, since a worker between items can lose the slot and be granted it again without noticing. Its
 * events are stale then, and other workers may be in their connections:
 *
 *   worker A, with a batch of events         slow kickers, which saw A idle long ago
 *   ------------------------------------     ------------------------------------
 *   between items: slot = A, grant 1
 *                                            regrant A, grant 1 -> C (the kicker of grant 1, late)
 *                                            C serves the events, sleeps in one, leaves the slot
 *                                            grant free -> A, grant 2 (another kicker)
 *   CAS A, grant 1 -> A|fd fails
 *
 * A worker writes its own STATE; the monitor writes it after taking the slot from that worker, and main after the end
 * of its thread. The exceptions, all by compare-and-swap: Idle -> OnDuty and Idle -> Retired by any thread, and
 * Finishing -> Noticed or CpuIntensive and Noticed -> Finishing by the monitor.
 *
 * V8 ends a terminated thread only at function entries and loop ends. So a transition that writes two words computes
 * everything first and then makes only calls of Atomics: a worker cannot die in the middle.
 */

import {
  CONNECTIONS,
  FD_BITS,
  GRANTS,
  MAX_ACTIVE,
  MAX_FD,
  MONITOR_ID,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  poolOf,
  RUN_SLOT,
  SEIZED_FROM,
  type SharedState,
  STATE,
  stateIn,
  stateOf,
  WorkerState,
} from './layout.ts';
import { keepWorking, mayActivate, needMoreWorker } from './predicates.ts';

export const SLOT_FREE = 0;

/** Marks a grant: the low bits are its number instead of a descriptor. */
const GRANT = 1 << 31;

/** The word for worker `id`, or the monitor, in the item of `fd`. */
export function itemWord(id: number, fd: number): number {
  return (id << FD_BITS) | fd;
}

/** Worker id of the holder, 0 = free, MONITOR_ID = in transition. */
export function slotHolder(word: number): number {
  return (word & ~GRANT) >>> FD_BITS;
}

/** Descriptor of the holder's item, 0 = between items. */
export function slotItem(word: number): number {
  return word < 0 ? 0 : word & MAX_FD;
}

/** Whether the word is a grant to worker `id`, between items. */
export function isGrantTo(word: number, id: number): boolean {
  return word < 0 && slotHolder(word) === id;
}

function swapSlot(shared: SharedState, pool: number, from: number, to: number): boolean {
  return Atomics.compareExchange(shared.words, shared.poolWord(pool, RUN_SLOT), from, to) === from;
}

export function loadSlot(shared: SharedState, pool: number): number {
  return Atomics.load(shared.words, shared.poolWord(pool, RUN_SLOT));
}

/** Running workers of a pool: the one in the slot's item, and those that overshoot. */
export function nrRunning(shared: SharedState, pool: number): number {
  const overshoot = Math.max(0, Atomics.load(shared.words, shared.poolWord(pool, NR_OVERSHOOT)));
  return overshoot + (slotItem(loadSlot(shared, pool)) === 0 ? 0 : 1);
}

/** Whether the slot is free, a connection has no item in progress, no worker overshoots and another item may begin. */
export function slotWanted(shared: SharedState, pool: number): boolean {
  const { words } = shared;
  if (loadSlot(shared, pool) !== SLOT_FREE) return false;
  const unslotted = Atomics.load(words, shared.poolWord(pool, NR_UNSLOTTED));
  const pending = Atomics.load(words, shared.poolWord(pool, CONNECTIONS)) > unslotted;
  // Briefly below 0 when the monitor uncounts a worker that has woken but is not counted yet, or the reverse.
  const overshoot = Math.max(0, Atomics.load(words, shared.poolWord(pool, NR_OVERSHOOT)));
  return needMoreWorker(pending, overshoot) && mayActivate(unslotted, words[MAX_ACTIVE] as number);
}

/** Whether the holder may begin another item: no worker overshoots, and max_active is not reached. */
export function mayBeginItem(shared: SharedState, pool: number): boolean {
  const { words } = shared;
  return (
    keepWorking(true, 1 + Atomics.load(words, shared.poolWord(pool, NR_OVERSHOOT))) &&
    mayActivate(Atomics.load(words, shared.poolWord(pool, NR_UNSLOTTED)), words[MAX_ACTIVE] as number)
  );
}

function newGrant(shared: SharedState, pool: number, id: number): number {
  const number = Atomics.add(shared.words, shared.poolWord(pool, GRANTS), 1) & MAX_FD;
  return GRANT | (id << FD_BITS) | number;
}

/** kick: free -> B. Returns B's grant; SLOT_FREE when another kicker was faster. */
export function grantSlot(shared: SharedState, pool: number, id: number): number {
  const grant = newGrant(shared, pool, id);
  return swapSlot(shared, pool, SLOT_FREE, grant) ? grant : SLOT_FREE;
}

/**
 * kick: B -> C or free (`to` 0), when B was not idle after all. Returns the new word; null when another thread has
 * already changed it.
 */
export function regrantSlot(shared: SharedState, pool: number, from: number, to: number): number | null {
  const word = to === 0 ? SLOT_FREE : newGrant(shared, pool, to);
  return swapSlot(shared, pool, from, word) ? word : null;
}

/** Holder A: its grant -> A|fd, begins an item. */
export function beginItem(shared: SharedState, pool: number, grant: number, fd: number): boolean {
  return swapSlot(shared, pool, grant, itemWord(slotHolder(grant), fd));
}

/** Holder A: A|fd -> its grant, finishes an item. False: A lost the slot and must discard the rest of its events. */
export function endItem(shared: SharedState, pool: number, grant: number, fd: number): boolean {
  return swapSlot(shared, pool, itemWord(slotHolder(grant), fd), grant);
}

/** Holder A between items: its grant -> free; A goes idle next. */
export function yieldSlot(shared: SharedState, pool: number, grant: number): boolean {
  return swapSlot(shared, pool, grant, SLOT_FREE);
}

/**
 * Holder A, in item fd: A|fd -> free; A continues without the slot as Blocked or CpuIntensive. The fd must already be
 * out of the worklist. False: the monitor was faster and has made A CpuIntensive or Noticed.
 */
export function leaveSlot(
  shared: SharedState,
  pool: number,
  id: number,
  fd: number,
  as: typeof WorkerState.Blocked | typeof WorkerState.CpuIntensive,
): boolean {
  const { words } = shared;
  const unslotted = shared.poolWord(pool, NR_UNSLOTTED);
  const slot = shared.poolWord(pool, RUN_SLOT);
  const from = itemWord(id, fd);
  const state = shared.workerWord(id, STATE);
  const next = stateIn(as, pool);
  Atomics.add(words, unslotted, 1); // before the slot is free: the item counts as in progress throughout
  if (Atomics.compareExchange(words, slot, from, SLOT_FREE) !== from) {
    Atomics.sub(words, unslotted, 1);
    return false;
  }
  Atomics.store(words, state, next);
  return true;
}

/** How a worker that is out of the slot and does not count as running may be. */
type Uncounted = typeof WorkerState.Blocked | typeof WorkerState.Noticed | typeof WorkerState.CpuIntensive;

/**
 * A, asleep, counts as running again (wq_worker_running()): A does this after a sleep that it has declared (Blocked), the
 * monitor after one that it has noticed.
 */
export function wakeUnslotted(
  shared: SharedState,
  pool: number,
  id: number,
  from: typeof WorkerState.Blocked | typeof WorkerState.Noticed,
): boolean {
  const { words } = shared;
  const state = shared.workerWord(id, STATE);
  const overshoot = shared.poolWord(pool, NR_OVERSHOOT);
  const asleep = stateIn(from, pool);
  const finishing = stateIn(WorkerState.Finishing, pool);
  if (Atomics.compareExchange(words, state, asleep, finishing) !== asleep) return false;
  Atomics.add(words, overshoot, 1);
  return true;
}

/**
 * A, Finishing, leaves the running count: it sleeps again in the same item (Blocked), or the monitor has found it
 * asleep or CPU-intensive. False when it was not Finishing.
 */
export function uncountUnslotted(shared: SharedState, pool: number, id: number, as: Uncounted): boolean {
  const { words } = shared;
  const state = shared.workerWord(id, STATE);
  const overshoot = shared.poolWord(pool, NR_OVERSHOOT);
  const finishing = stateIn(WorkerState.Finishing, pool);
  const next = stateIn(as, pool);
  if (Atomics.compareExchange(words, state, finishing, next) !== finishing) return false;
  Atomics.sub(words, overshoot, 1);
  return true;
}

/** A, without the slot, declares that it sleeps. True when it counted as running until now. */
export function blockUnslotted(shared: SharedState, pool: number, id: number): boolean {
  const noticed = stateIn(WorkerState.Noticed, pool);
  const blocked = stateIn(WorkerState.Blocked, pool);
  const state = shared.workerWord(id, STATE);
  if (Atomics.compareExchange(shared.words, state, noticed, blocked) === noticed) return false;
  return uncountUnslotted(shared, pool, id, WorkerState.Blocked);
}

/**
 * A has finished its item without the slot, and the fd is back in the worklist (or closed): A leaves the counts
 * and takes the slot if it is wanted. Returns A's grant, or SLOT_FREE: A must go idle.
 */
export function endUnslotted(shared: SharedState, pool: number, id: number): number {
  const { words } = shared;
  const state = shared.workerWord(id, STATE);
  const overshoot = shared.poolWord(pool, NR_OVERSHOOT);
  const unslotted = shared.poolWord(pool, NR_UNSLOTTED);
  const onDuty = stateIn(WorkerState.OnDuty, pool);
  const finishing = stateIn(WorkerState.Finishing, pool);
  if (Atomics.exchange(words, state, onDuty) === finishing) Atomics.sub(words, overshoot, 1);
  Atomics.sub(words, unslotted, 1);
  return slotWanted(shared, pool) ? grantSlot(shared, pool, id) : SLOT_FREE;
}

/** Main, after the thread of a worker has ended and no slot names it: uncounts it. */
export function uncountDead(shared: SharedState, id: number): void {
  const { words } = shared;
  const word = Atomics.exchange(words, shared.workerWord(id, STATE), WorkerState.Free);
  const state = stateOf(word);
  const unslotted =
    state === WorkerState.Blocked ||
    state === WorkerState.Noticed ||
    state === WorkerState.CpuIntensive ||
    state === WorkerState.Finishing;
  if (!unslotted) return;
  if (state === WorkerState.Finishing) Atomics.sub(words, shared.poolWord(poolOf(word), NR_OVERSHOOT), 1);
  Atomics.sub(words, shared.poolWord(poolOf(word), NR_UNSLOTTED), 1);
}

/** Monitor: A|fd -> monitor|fd. From now on A cannot finish the item as the holder. */
export function seizeSlot(shared: SharedState, pool: number, id: number, fd: number): boolean {
  Atomics.store(shared.words, SEIZED_FROM, id);
  return swapSlot(shared, pool, itemWord(id, fd), itemWord(MONITOR_ID, fd));
}

/**
 * Monitor, or main in place of a dead one, after the fd is out of the worklist: monitor|fd -> free; A continues without
 * the slot.
 */
export function releaseSeized(
  shared: SharedState,
  pool: number,
  id: number,
  as: typeof WorkerState.Noticed | typeof WorkerState.CpuIntensive,
): void {
  const { words } = shared;
  const unslotted = shared.poolWord(pool, NR_UNSLOTTED);
  const state = shared.workerWord(id, STATE);
  const slot = shared.poolWord(pool, RUN_SLOT);
  const next = stateIn(as, pool);
  Atomics.add(words, unslotted, 1);
  Atomics.store(words, state, next);
  Atomics.store(words, slot, SLOT_FREE);
}

/** Main, after A's thread has ended: `word`, which A held -> free. The fd must be out of the worklist. */
export function releaseDead(shared: SharedState, pool: number, word: number): boolean {
  return swapSlot(shared, pool, word, SLOT_FREE);
}

/** Whether the monitor is about to remove fd from the worklist: A must not add it again yet. */
export function isSeized(shared: SharedState, pool: number, fd: number): boolean {
  return loadSlot(shared, pool) === itemWord(MONITOR_ID, fd);
}

/** Main, after A's thread has ended: whether the monitor was seizing A's slot when it read `word` there. */
export function isSeizedFrom(shared: SharedState, word: number, id: number): boolean {
  return slotHolder(word) === MONITOR_ID && Atomics.load(shared.words, SEIZED_FROM) === id;
}
