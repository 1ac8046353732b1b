/**
 * What main takes from workers: the run slot of one whose item is awake for too long, and everything of a dead one.
 *
 * Main thread only. It owns nothing. A worker that is alive may be anywhere in its item meanwhile: the transitions of
 * src/memory/run-slot.ts decide who was faster.
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

/** Takes a worker in item `fd` out of the concurrency count, and its slot if it has it. False: it was faster. */
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
 * Takes over what a dead worker held: its run slot, its place in the counts, and the connection that it was
 * in. Returns that connection's descriptor, which is to be closed, or 0.
 */
export function takeOver(shared: SharedState, pools: CpuPools, exited: ExitedWorker): number {
  let lost = 0;
  for (let pool = 0; pool < shared.config.cpus; pool++) {
    const word = loadSlot(shared, pool);
    if (slotHolder(word) !== exited.workerId) continue;
    const item = slotItem(word);
    if (item !== 0) pools.worklist(pool).delete(item);
    lost ||= item; // it may have been granted a second slot by a slow kicker
    releaseDead(shared, pool, word);
  }
  uncountDead(shared, exited.state);
  freeWorker(shared, exited.workerId);
  return lost === 0 && wasInItem(shared, pools, exited) ? exited.itemFd : lost;
}

/** Whether a dead worker without the slot was still in its item, or had put it back into the worklist. */
function wasInItem(shared: SharedState, pools: CpuPools, { itemFd: fd, state }: ExitedWorker): boolean {
  if (fd === 0) return false;
  const pool = poolOf(state);
  // Before and after the look at the worklist: a holder that has begun with it may take it out meanwhile.
  const held = () => slotItem(loadSlot(shared, pool)) === fd || isInItem(shared, fd);
  const events = () => (awaitsRoom(shared, fd) ? EPOLLOUT : EPOLLIN);
  return !held() && !pools.worklist(pool).has(fd, events) && !held();
}
