/**
 * Entry of the monitor's thread (src/memory/monitor.ts): looks, sleeps, looks again.
 *
 * It has no worker id. It borrows the worklists' descriptors, to remove items from them, and opens one at a time for the
 * state of a thread. It sleeps in Atomics.wait, for any length of time while no item runs; a stop wakes it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { EPOLL_FD, MONITOR, type SharedBuffers, SharedState, STOP, tidOf } from '../src/memory/layout.ts';
import { Monitor, type MonitorLimits, type MonitorNews, type Probe } from '../src/memory/monitor.ts';
import { markedPost } from '../src/memory/posts.ts';
import { processClock } from '../src/sys/clock.ts';
import { threadCpuMsOf } from '../src/sys/cpu-clock.ts';
import { epollDelete } from '../src/sys/epoll.ts';
import { stateOfThread } from '../src/sys/thread-state.ts';
import { exitThreadOnError } from './exit-thread.ts';

const shared = new SharedState(workerData as SharedBuffers);
const { words } = shared;
const tell = (news: MonitorNews) => parentPort?.postMessage(markedPost(news));

/** Runs until the server stops. */
export function monitor(limits: MonitorLimits): Promise<never> | undefined {
  return exitThreadOnError(() => {
    const looker = new Monitor({
      ...limits,
      shared,
      clock: processClock,
      probe: canObserve() ? { cpuMs, isAsleep } : null,
      removeFromWorklist: (pool, fd) => epollDelete(words[shared.poolWord(pool, EPOLL_FD)] as number, fd),
      tell,
    });
    while (Atomics.load(words, STOP) === 0) {
      const ms = looker.look();
      wait(looker.isLooking ? 1 : 0, ms); // see Monitor.look
    }
  });
}

/** A separate function, for the same reason as epollWait. */
function wait(value: number, ms: number): void {
  Atomics.wait(words, MONITOR, value, ms);
}

const cpuMs: Probe['cpuMs'] = (id) => threadCpuMsOf(tidOf(shared, id)) ?? Number.NaN;

const isAsleep: Probe['isAsleep'] = (id) => {
  try {
    return 'SD'.includes(stateOfThread(tidOf(shared, id)));
  } catch {
    return false; // it has ended, or no descriptor is left
  }
};

/** Whether the clock and the state of other threads can be read, tried on main's. */
function canObserve(): boolean {
  try {
    if (threadCpuMsOf(process.pid) === null)
      throw new Error('the CPU clocks of other threads cannot be read');
    stateOfThread(process.pid);
    return true;
  } catch (error) {
    tell({ kind: 'blind', reason: (error as Error).message });
    return false;
  }
}
