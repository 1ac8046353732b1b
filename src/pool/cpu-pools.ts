/**
 * The CPU pools of cmwq as main sees them: each has a worklist, a run slot and a number of connections.
 *
 * Main thread only. Owns the worklists. Workers may move a connection to another pool later (src/memory/move.ts).
 */

import { PoolCpuTimes } from '../memory/cpu-time.ts';
import {
  CONNECTIONS,
  EPOLL_FD,
  MONITOR_ID,
  MOVED_IN,
  MOVED_OUT,
  NR_UNSLOTTED,
  type SharedState,
  WAKE_FD,
} from '../memory/layout.ts';
import { countPlaced, countRemoved } from '../memory/move.ts';
import { loadSlot, nrRunning, slotHolder, slotItem } from '../memory/run-slot.ts';
import type { Worklist } from '../queue/worklist.ts';
import type { CpuPoolStats } from '../schema/status.ts';
import type { Clock } from '../sys/clock.ts';
import { threadCpuMsOf } from '../sys/cpu-clock.ts';
import { Placement } from './placement.ts';

export class CpuPools {
  private readonly shared: SharedState;
  private readonly cpuTimes: PoolCpuTimes;
  private readonly placement: Placement;
  private readonly worklists: Worklist[] = [];

  constructor(shared: SharedState, makeWorklist: () => Worklist, clock: Pick<Clock, 'now'>) {
    this.shared = shared;
    this.cpuTimes = new PoolCpuTimes(shared, threadCpuMsOf);
    this.placement = new Placement({ shared, clock, cpuTimesMs: () => this.cpuTimes.read() });
    try {
      for (let pool = 0; pool < shared.config.cpus; pool++) {
        const worklist = makeWorklist();
        this.worklists.push(worklist);
        shared.words[shared.poolWord(pool, EPOLL_FD)] = worklist.epollFd;
        shared.words[shared.poolWord(pool, WAKE_FD)] = worklist.wakeFd;
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Places a connection and returns its pool. The caller must kick the pool: a worker checks the number of connections
   * just before it gives up its slot. Throws SysError when the connection cannot be added to the worklist.
   */
  place(fd: number): number {
    const pool = this.placement.choose(fd);
    countPlaced(this.shared, fd, pool); // before the worklist: from there on a worker may move it
    try {
      this.worklist(pool).add(fd);
    } catch (error) {
      countRemoved(this.shared, fd);
      throw error;
    }
    return pool;
  }

  /** A worker has handed back a connection. */
  remove(fd: number): void {
    countRemoved(this.shared, fd);
  }

  worklist(pool: number): Worklist {
    const worklist = this.worklists[pool];
    if (worklist === undefined) throw new RangeError(`no CPU pool ${pool}`);
    return worklist;
  }

  /** Wakes the workers on duty when the server stops. */
  wakeAll(): void {
    for (const worklist of this.worklists) worklist.wake();
  }

  snapshot(): CpuPoolStats[] {
    const cpuTimesMs = this.cpuTimes.read();
    return this.worklists.map((_, pool) => ({
      ...cpuPoolFigures(this.shared, pool),
      cpuTimeMs: cpuTimesMs[pool] ?? 0,
    }));
  }

  close(): void {
    for (const worklist of this.worklists.splice(0)) worklist.close();
  }
}

/** The words of a CPU pool, for a status. Any thread. */
export function cpuPoolFigures(shared: SharedState, pool: number): Omit<CpuPoolStats, 'cpuTimeMs'> {
  const count = (word: number) => Atomics.load(shared.words, shared.poolWord(pool, word)) >>> 0;
  const slot = loadSlot(shared, pool);
  return {
    connections: count(CONNECTIONS),
    nrRunning: nrRunning(shared, pool),
    nrActive: (slotItem(slot) === 0 ? 0 : 1) + count(NR_UNSLOTTED),
    slot: holderName(slotHolder(slot)),
    movedIn: count(MOVED_IN),
    movedOut: count(MOVED_OUT),
  };
}

function holderName(id: number): CpuPoolStats['slot'] {
  return id === 0 ? 'free' : id === MONITOR_ID ? 'monitor' : id;
}
