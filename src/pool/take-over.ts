/**
 * What main takes from workers: the run slot of a CPU-intensive one, and all that a dead one held.
 *
 * Main thread only. Owns nothing. A live worker may be anywhere in its item meanwhile: the transitions of
 * src/memory/run-slot.ts decide the race.
 */
import { poolOf, type SharedState, stateOf, WorkerState } from '../memory/layout.ts';
import {
  loadSlot,
  releaseDead,
  releaseSeized,
  seizeSlot,
  slotHolder,
  slotItem,
  uncountDead,
  uncountUnslotted,
} from '../memory/run-slot.ts';
import { awaitsRoom } from '../memory/spill.ts';
import { EPOLLIN, EPOLLOUT } from '../sys/epoll.ts';
import type { CpuPools } from './cpu-pools.ts';
import { type ExitedWorker, freeWorker, isInItem } from './roster.ts';

/** Takes a worker in item `fd` out of the concurrency count, and its slot if held. False: the worker was first. */
export function takeOutOfCount(
  shared: SharedState,
  pools: CpuPools,
  id: number,
  fd: number,
  state: number,
): boolean {
  const pool = poolOf(state);
  if (stateOf(state) === WorkerState.Finishing) {
    return uncountUnslotted(shared, pool, id, WorkerState.CpuIntensive);
  }
  if (!seizeSlot(shared, pool, id, fd)) return false;
  pools.worklist(pool).delete(fd);
  releaseSeized(shared, pool, id, fd);
  return true;
}

/**
 * Takes over what a dead worker held: its run slot, its place in the counts, its item's connection. Returns the
 * descriptor of that connection for the caller to close, 0 = none.
 */
export function takeOver(shared: SharedState, pools: CpuPools, exited: ExitedWorker): number {
  let lost = 0;
  for (let pool = 0; pool < shared.config.cpus; pool++) {
    const word = loadSlot(shared, pool);
    if (slotHolder(word) !== exited.workerId) continue;
    const item = slotItem(word);
    if (item !== 0) pools.worklist(pool).delete(item);
    lost ||= item; // a slow kicker may have granted it a second slot
    releaseDead(shared, pool, word);
  }
  uncountDead(shared, exited.state);
  freeWorker(shared, exited.workerId);
  return lost === 0 && wasInItem(shared, pools, exited) ? exited.itemFd : lost;
}

/** Whether a dead worker without a slot was still in its item; else it had put it back into the worklist. */
function wasInItem(shared: SharedState, pools: CpuPools, { itemFd: fd, state }: ExitedWorker): boolean {
  if (fd === 0) return false;
  const pool = poolOf(state);
  // Checked before and after the worklist: a slot holder that begins the item may take it out in between.
  const held = () => slotItem(loadSlot(shared, pool)) === fd || isInItem(shared, fd);
  const events = () => (awaitsRoom(shared, fd) ? EPOLLOUT : EPOLLIN);
  return !held() && !pools.worklist(pool).has(fd, events) && !held();
}
