/**
 * What main takes over when a thread has ended: all that a dead worker held, and the slots that a dead monitor was seizing.
 *
 * Main thread only. Owns nothing. The monitor may be at work on a dead worker, and a live worker anywhere in the item
 * whose slot a dead monitor had seized: the transitions of src/memory/run-slot.ts decide the race.
 */
import { MONITOR_ID, SEIZED_FROM, type SharedState, WorkerState } from '../memory/layout.ts';
import { placeOf, poolInPlace } from '../memory/move.ts';
import {
  isSeizedFrom,
  loadSlot,
  releaseDead,
  releaseSeized,
  slotHolder,
  slotItem,
  uncountDead,
} from '../memory/run-slot.ts';
import { awaitsRoom } from '../memory/spill.ts';
import { EPOLLIN, EPOLLOUT } from '../sys/epoll.ts';
import type { CpuPools } from './cpu-pools.ts';
import { type ExitedWorker, freeWorker, isInItem } from './roster.ts';

/**
 * Takes over what a dead worker held: its run slot, its place in the counts, its item's connection. Returns the
 * descriptor of that connection for the caller to close, 0 = none; null while the monitor is seizing its slot: the
 * caller must try again later.
 */
export function takeOver(shared: SharedState, pools: CpuPools, exited: ExitedWorker): number | null {
  const { workerId } = exited;
  let lost = 0;
  for (let pool = 0; pool < shared.config.cpus; pool++) {
    const word = loadSlot(shared, pool);
    if (isSeizedFrom(shared, word, workerId)) return null;
    if (slotHolder(word) !== workerId) continue;
    const item = slotItem(word);
    if (item !== 0) pools.worklist(pool).delete(item);
    // A grant may also be lost to a slow kicker, which has passed it on.
    if (!releaseDead(shared, pool, word) && item !== 0) return null;
    lost ||= item; // a slow kicker may have granted it a second slot
  }
  uncountDead(shared, workerId);
  freeWorker(shared, workerId);
  return lost === 0 && wasInItem(shared, pools, exited.itemFd) ? exited.itemFd : lost;
}

/** Releases the slot that a dead monitor had seized, if any. */
export function takeOverSeized(shared: SharedState, pools: CpuPools): void {
  const id = Atomics.load(shared.words, SEIZED_FROM);
  for (let pool = 0; pool < shared.config.cpus; pool++) {
    const word = loadSlot(shared, pool);
    if (slotHolder(word) !== MONITOR_ID) continue;
    pools.worklist(pool).delete(slotItem(word));
    releaseSeized(shared, pool, id, WorkerState.Noticed); // the next monitor sees whether it sleeps
  }
}

/** Whether a dead worker without a slot was still in its item; else it had put the connection into a worklist. */
function wasInItem(shared: SharedState, pools: CpuPools, fd: number): boolean {
  if (fd === 0) return false;
  const events = () => (awaitsRoom(shared, fd) ? EPOLLOUT : EPOLLIN);
  for (let place = placeOf(shared, fd); ; ) {
    const pool = poolInPlace(place);
    // Checked before and after the worklist: a slot holder that begins the item may take it out in between.
    const held = () => slotItem(loadSlot(shared, pool)) === fd || isInItem(shared, fd);
    const isThere = held() || pools.worklist(pool).has(fd, events) || held();
    const now = placeOf(shared, fd);
    if (now === place) return !isThere;
    place = now; // it has been put into a worklist meanwhile: see move.ts
  }
}
