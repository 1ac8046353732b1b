/**
 * Main's view of the workers: which thread has which id, what it was doing when it exited, and their counters.
 *
 * Main thread only, except that the admin endpoint's thread reads states and counters too. Main writes a worker's words
 * only after the worker's thread has exited.
 */

import { countStates } from '../memory/kick.ts';
import {
  BYTES_IN,
  BYTES_OUT,
  CM_WAKEUP,
  COMPLETED,
  CONN_ID,
  DUTY_CPU_MS,
  ECHOES,
  ENDING,
  ITEM_FD,
  ITEM_ID,
  NOTICED_WAKEUPS,
  poolOf,
  RESCUED,
  RESCUER_ID,
  type SharedState,
  SLEEPS_SINCE_MS,
  SPILLS,
  STARTED,
  STATE,
  stateOf,
  TASK,
  THREAD_ID,
  TID,
  tidOf,
  WORKERS_HIGH,
  WorkerState,
} from '../memory/layout.ts';
import { loadSlot, slotHolder } from '../memory/run-slot.ts';
import type { WorkerStates, WorkerStatus } from '../schema/status.ts';
import type { ThreadActivity } from './thread-activity.ts';

/** State that an exited thread left behind. */
export interface ExitedWorker {
  workerId: number;
  /** Its STATE word. */
  state: number;
  /** The descriptor of its item; 0 = none, or the descriptor has been reused. */
  itemFd: number;
  wasRescuer: boolean;
  /** Its task had begun, even if it had not left the state Starting yet. */
  hadBegun: boolean;
}

/** The worker id of a thread; 0 if it never claimed one. */
export function workerOfThread(shared: SharedState, threadId: number): number {
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    if (Atomics.load(shared.words, shared.workerWord(id, THREAD_ID)) === threadId) return id;
  }
  return 0;
}

/** Whether a kworker task has begun on a thread, even one that has exited since. */
export function taskHasBegun(shared: SharedState, task: number): boolean {
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    if (Math.abs(Atomics.load(shared.words, shared.workerWord(id, TASK))) === task) return true;
  }
  return false;
}

/** The thread id of a worker; 0 if it has none. */
export function threadOfWorker(shared: SharedState, workerId: number): number {
  return Atomics.load(shared.words, shared.workerWord(workerId, THREAD_ID));
}

/** The descriptor of a worker's item; 0 if it is in none or the descriptor has been reused. */
function currentItem(shared: SharedState, workerId: number): number {
  const fd = Atomics.load(shared.words, shared.workerWord(workerId, ITEM_FD));
  if (fd === 0) return 0;
  const itemId = shared.doubles[shared.workerDouble(workerId, ITEM_ID)];
  return shared.connDoubles[shared.connDouble(fd, CONN_ID)] === itemId ? fd : 0;
}

/** Whether a live worker is in the item of this connection. */
export function isInItem(shared: SharedState, fd: number): boolean {
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    if (Atomics.load(shared.words, shared.workerWord(id, THREAD_ID)) === 0) continue;
    if (currentItem(shared, id) === fd) return true;
  }
  return false;
}

/** The state that a thread left behind at its exit; null if it had no id. The id stays taken until `freeWorker`. */
export function inspectExited(shared: SharedState, threadId: number): ExitedWorker | null {
  const workerId = workerOfThread(shared, threadId);
  if (workerId === 0) return null;
  const state = Atomics.load(shared.words, shared.workerWord(workerId, STATE));
  const wasRescuer = Atomics.load(shared.words, RESCUER_ID) === workerId;
  const hadBegun =
    stateOf(state) !== WorkerState.Starting ||
    Atomics.load(shared.words, shared.workerWord(workerId, TASK)) > 0;
  return { workerId, state, itemFd: currentItem(shared, workerId), wasRescuer, hadBegun };
}

/**
 * Whether a cmwq thread that exited in this state (a STATE word) has died. False for a retired one, and for one that
 * Piscina ended before its task began because another thread had taken it.
 */
export function hasDied(state: number, error: Error | null, ordered: boolean): boolean {
  if (error !== null) return true;
  if (stateOf(state) === WorkerState.Retired) return false;
  return ordered || stateOf(state) !== WorkerState.Starting;
}

/** Frees the id of an exited thread. */
export function freeWorker(shared: SharedState, workerId: number): void {
  const { words, doubles } = shared;
  doubles[shared.workerDouble(workerId, SLEEPS_SINCE_MS)] = 0;
  doubles[shared.workerDouble(workerId, DUTY_CPU_MS)] = 0;
  Atomics.compareExchange(words, RESCUER_ID, workerId, 0);
  Atomics.store(words, shared.workerWord(workerId, STATE), WorkerState.Free);
  Atomics.store(words, shared.workerWord(workerId, ITEM_FD), 0);
  Atomics.store(words, shared.workerWord(workerId, ENDING), 0);
  Atomics.store(words, shared.workerWord(workerId, TID), 0);
  const task = shared.workerWord(workerId, TASK);
  Atomics.store(words, task, -Math.abs(Atomics.load(words, task)));
  Atomics.store(words, shared.workerWord(workerId, THREAD_ID), 0);
}

export function workerStates(shared: SharedState): WorkerStates {
  const counts = countStates(shared);
  const count = (state: WorkerState) => counts[state] as number; // one entry per state
  return {
    starting: count(WorkerState.Starting),
    idle: count(WorkerState.Idle),
    onDuty: count(WorkerState.OnDuty),
    blocked: count(WorkerState.Blocked) + count(WorkerState.Noticed),
    cpuIntensive: count(WorkerState.CpuIntensive),
    finishing: count(WorkerState.Finishing),
  };
}

const STATE_NAMES: Record<WorkerState, WorkerStatus['state'] | null> = {
  [WorkerState.Free]: null,
  [WorkerState.Starting]: 'starting',
  [WorkerState.Idle]: 'idle',
  [WorkerState.OnDuty]: 'onDuty',
  [WorkerState.Blocked]: 'blocked',
  [WorkerState.CpuIntensive]: 'cpuIntensive',
  [WorkerState.Finishing]: 'finishing',
  [WorkerState.Retired]: 'retired',
  [WorkerState.Rescuer]: 'rescuer',
  [WorkerState.Noticed]: 'blocked',
};

/** The state of a worker for a status; null if it has no thread. */
export function stateName(shared: SharedState, id: number): WorkerStatus['state'] | null {
  return STATE_NAMES[stateOf(Atomics.load(shared.words, shared.workerWord(id, STATE)))];
}

/** The workers that have a thread, by id. */
export function workerDetails(shared: SharedState, activity: ThreadActivity): WorkerStatus[] {
  const details: WorkerStatus[] = [];
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= high; id++) {
    const word = Atomics.load(shared.words, shared.workerWord(id, STATE));
    const state = STATE_NAMES[stateOf(word)];
    if (state === null) continue;
    details.push({
      id,
      tid: tidOf(shared, id) || null,
      state,
      ...placeOf(shared, id, word),
      ...countsOf(shared, id),
      ...activity.of(id),
    });
  }
  return details;
}

function placeOf(shared: SharedState, id: number, word: number) {
  const idle = [WorkerState.Starting, WorkerState.Idle, WorkerState.Retired, WorkerState.Rescuer];
  const atWork = shared.config.cpus > 0 && !idle.some((state) => state === stateOf(word));
  const pool = atWork ? poolOf(word) : null;
  const inItem = Atomics.load(shared.words, shared.workerWord(id, ITEM_FD)) !== 0;
  return {
    pool,
    holdsSlot: pool !== null && slotHolder(loadSlot(shared, pool)) === id,
    connection: inItem ? (shared.doubles[shared.workerDouble(id, ITEM_ID)] as number) : null,
  };
}

function countsOf(shared: SharedState, id: number) {
  const double = (index: number) => shared.doubles[shared.workerDouble(id, index)] as number;
  return { started: double(STARTED), echoes: double(ECHOES) };
}

/** Sums of the workers' counters since the start, including exited workers. */
export interface WorkerTotals {
  started: number;
  completed: number;
  echoes: number;
  bytesIn: number;
  bytesOut: number;
  cmWakeup: number;
  rescued: number;
  spills: number;
}

export function workerTotals(shared: SharedState): WorkerTotals {
  const high = Atomics.load(shared.words, WORKERS_HIGH);
  const sum = (double: number) => {
    let total = 0;
    for (let id = 1; id <= high; id++) total += shared.doubles[shared.workerDouble(id, double)] as number;
    return total;
  };
  return {
    started: sum(STARTED),
    completed: sum(COMPLETED),
    echoes: sum(ECHOES),
    bytesIn: sum(BYTES_IN),
    bytesOut: sum(BYTES_OUT),
    cmWakeup: sum(CM_WAKEUP) + (shared.doubles[NOTICED_WAKEUPS] as number),
    rescued: sum(RESCUED),
    spills: sum(SPILLS),
  };
}
