/**
 * What the workers' threads do: their CPU time, what those in an item sleep in, and for how long.
 *
 * Any thread, each with an instance of its own, and only for a status. A thread whose CPU time has not changed since an
 * earlier look has slept since then, in the same system call: then nothing is read from /proc, and the sleep has lasted
 * at least that long; a first look tells nothing. Of a declared sleep the start is known.
 */
import { ITEM_FD, type SharedState, SLEEPS_SINCE_MS, tidOf } from '../memory/layout.ts';
import type { WorkerStatus } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';
import { threadCpuMsOf } from '../sys/cpu-clock.ts';
import { RUNNING, threadSyscall } from '../sys/thread-syscall.ts';

type Activity = Pick<WorkerStatus, 'cpuTimeMs' | 'sleepsIn' | 'sleepsForMs'>;

/** A thread found asleep in an item. */
interface Sighting {
  cpuTimeMs: number | null;
  sleepsIn: string;
  sinceMs: number;
}

/** The system call that a worker's thread is in, or `running`; null when it cannot be read. */
export function syscallOfWorker(shared: SharedState, id: number): string | null {
  return threadSyscall(tidOf(shared, id));
}

export class ThreadActivity {
  private readonly shared: SharedState;
  /** By worker id. */
  private readonly sightings = new Map<number, Sighting>();

  constructor(shared: SharedState) {
    this.shared = shared;
  }

  of(id: number): Activity {
    const { shared, sightings } = this;
    const cpuTimeMs = threadCpuMsOf(tidOf(shared, id));
    const inItem = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD)) !== 0;
    const seen = sightings.get(id);
    const sleep = inItem ? this.sleepOf(id, cpuTimeMs, seen) : null;
    if (sleep === null) {
      sightings.delete(id);
      return { cpuTimeMs, sleepsIn: null, sleepsForMs: null };
    }
    sightings.set(id, sleep);
    const declaredMs = shared.doubles[shared.workerDouble(id, SLEEPS_SINCE_MS)] as number;
    const sinceMs = declaredMs !== 0 ? declaredMs : sleep === seen ? sleep.sinceMs : null;
    const sleepsForMs = sinceMs === null ? null : Math.max(0, monotonicMs() - sinceMs);
    return { cpuTimeMs, sleepsIn: sleep.sleepsIn, sleepsForMs };
  }

  /** Null: the thread runs, or it cannot be read. */
  private sleepOf(id: number, cpuTimeMs: number | null, seen: Sighting | undefined): Sighting | null {
    if (seen !== undefined && cpuTimeMs !== null && seen.cpuTimeMs === cpuTimeMs) return seen;
    const sleepsIn = syscallOfWorker(this.shared, id);
    if (sleepsIn === null || sleepsIn === RUNNING) return null;
    return { cpuTimeMs, sleepsIn, sinceMs: monotonicMs() };
  }
}
