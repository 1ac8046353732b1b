/**
 * The worker threads' entry: the tasks that Piscina runs.
 *
 * `kworker` (cmwq) is one long task: sleep until kicked, be on duty for a CPU pool, sleep again.
 * `rescuer` (cmwq) sleeps until a mayday and takes the slots of pools that have no worker.
 * `serve` (kthread, workqueue) is one connection from its first byte to its end.
 *
 * A thread owns its echo buffer and event list, and the word lines of its id in shared memory. Descriptors
 * are borrowed: it takes one out of the worklist and shuts it down when the connection ends, and main closes
 * it. It must not use the event loop while a task runs: it sleeps in epoll_wait, recv or Atomics.wait.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import type { ServiceSpec } from '../src/service.ts';
import { pushDone, ring } from '../src/shared/completions.ts';
import { claimWorkerId, firstIdle, goIdle, kick } from '../src/shared/kick.ts';
import {
  addTo,
  type CloseReason,
  COMPLETED,
  CONN_ID,
  FAULT,
  FAULTS_ON,
  ITEM_FD,
  ITEM_ID,
  MAYDAY,
  poolOf,
  RESCUED,
  RESCUER_ID,
  SERVICE,
  SERVING,
  Serving,
  type SharedBuffers,
  SharedState,
  STARTED,
  STATE,
  STOP,
  stateIn,
  stateOf,
  TASK,
  TRACE,
  WorkerFault,
  WorkerState,
} from '../src/shared/layout.ts';
import { grantSlot, slotWanted } from '../src/shared/run-slot.ts';
import { MAYDAY_INTERVAL_MS } from '../src/strategy/predicates.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { shutdownBoth } from '../src/sys/socket.ts';
import { Duty, noteDispatched, WAIT_SLICE_MS } from './duty.ts';
import { Echo } from './echo.ts';
import { type DoneStep, runService } from './service.ts';

const shared = new SharedState(workerData as SharedBuffers);
const { words, doubles } = shared;
const services = shared.config.services ?? [];
const tracing = words[TRACE] === 1;
const id = claimWorkerId(shared, threadId);
if (id === 0) throw new Error(`no free worker id for thread ${threadId}: more threads than planned`);

const state = shared.workerWord(id, STATE);
const faulty = words[FAULTS_ON] === 1;
const echo = new Echo(shared, id, services.length === 0 && !faulty ? null : serveRequest, traceEcho);
const duty = new Duty(shared, id, echo, services.some((spec) => spec.cpuIntensive) ? isCpuIntensive : null);
// Without CPU pools there is nothing to be kicked for: the thread is ready as soon as it has loaded.
if (shared.config.cpus === 0) Atomics.store(words, state, WorkerState.Idle);
ring(shared);

function serviceOf(fd: number): ServiceSpec | undefined {
  return services[shared.conns[shared.connWord(fd, SERVICE)] as number];
}

function isCpuIntensive(fd: number): boolean {
  return serviceOf(fd)?.cpuIntensive === true;
}

function serveRequest(fd: number): void {
  if (faulty) commitFault(Atomics.exchange(words, FAULT, WorkerFault.none));
  const spec = serviceOf(fd);
  if (spec !== undefined) runService(spec, sleepWell, tracing ? (step) => traceStep(fd, step) : null, words);
}

function commitFault(fault: number): void {
  if (fault === WorkerFault.throw) throw new Error('made to fail');
  if (fault === WorkerFault.epollAdd) duty.failNextAdd = true;
  const hoard: number[][] = [];
  while (fault === WorkerFault.exhaustMemory) hoard.push(new Array(100_000).fill(hoard.length));
}

/**
 * An error outside any connection's own: the thread ends with it. Piscina alone would report it and give the
 * thread another task, with the words of this one left as they are.
 */
function die(error: unknown): Promise<never> {
  setImmediate(() => {
    throw error;
  });
  return new Promise(() => {});
}

/** How an item sleeps: without the slot under cmwq; the other strategies know nothing better than to sleep. */
function sleepWell(sleep: () => void): void {
  duty.blocking(sleep);
}

function connectionId(fd: number): number {
  return shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
}

function traceEcho(fd: number, bytes: number): void {
  parentPort?.postMessage({ type: 'echo', worker: id, connection: connectionId(fd), bytes });
}

function traceStep(fd: number, step: DoneStep): void {
  parentPort?.postMessage({ type: 'step', worker: id, connection: connectionId(fd), ...step });
}

function stopping(): boolean {
  return Atomics.load(words, STOP) === 1;
}

/** Task of kthread and workqueue: serves one connection to its end. The socket is blocking. */
export function serve(fd: number): Promise<void> | undefined {
  try {
    serveConnection(fd);
  } catch (error) {
    return die(error);
  }
}

/** Task of kthread and workqueue: makes Piscina start a thread for those that wait. */
export function nothing(): void {}

/** Task of cmwq: works until it is retired or the server stops. `task` is its number among these tasks. */
export function kworker(task: number): Promise<void> | undefined {
  try {
    Atomics.store(words, shared.workerWord(id, TASK), task);
    work();
  } catch (error) {
    return die(error);
  }
}

/** Task of cmwq: set aside at the start, and never idle in the sense of a kick. */
export function rescuer(): Promise<void> | undefined {
  try {
    rescue();
  } catch (error) {
    return die(error);
  }
}

function serveConnection(fd: number): void {
  Atomics.store(words, state, WorkerState.OnDuty);
  doubles[shared.workerDouble(id, ITEM_ID)] = connectionId(fd);
  Atomics.store(words, shared.workerWord(id, ITEM_FD), fd);
  addTo(doubles, shared.workerDouble(id, STARTED), 1);
  shared.conns[shared.connWord(fd, SERVING)] = Serving.on;
  noteDispatched(shared, id, fd);
  const outcome = echo.serve(fd);
  shutdownBoth(fd);
  pushDone(shared, fd, (outcome & 0xff) as CloseReason, outcome >> 8);
  Atomics.store(words, shared.workerWord(id, ITEM_FD), 0);
  addTo(doubles, shared.workerDouble(id, COMPLETED), 1);
  Atomics.store(words, state, WorkerState.Idle);
  ring(shared);
}

function work(): void {
  for (;;) {
    const pool = sleepUntilKicked();
    if (pool < 0) break;
    duty.run(pool);
  }
  Atomics.store(words, state, WorkerState.Retired);
  ring(shared);
}

/** Idle until kicked: the CPU pool to be on duty for, or -1 to end. */
function sleepUntilKicked(): number {
  goIdle(shared, id, monotonicMs());
  ring(shared);
  for (;;) {
    const word = Atomics.load(words, state);
    if (stopping() || stateOf(word) === WorkerState.Retired) return -1;
    if (stateOf(word) === WorkerState.OnDuty) return poolOf(word);
    waitSlice(state, word);
  }
}

/** A function of its own, for the same reason as epollWait. */
function waitSlice(index: number, value: number): void {
  Atomics.wait(words, index, value, WAIT_SLICE_MS);
}

function rescue(): void {
  Atomics.store(words, state, WorkerState.Rescuer);
  Atomics.store(words, RESCUER_ID, id);
  ring(shared);
  while (!stopping()) {
    if (Atomics.compareExchange(words, MAYDAY, 1, 0) === 1) rescueAll();
    else waitSlice(MAYDAY, 0);
  }
}

/** One batch of every pool that has no worker, while no worker is idle that could do it. */
function rescueAll(): void {
  for (let pool = 0; pool < shared.config.cpus && !stopping(); pool++) {
    if (firstIdle(shared) !== 0 || !slotWanted(shared, pool)) continue;
    Atomics.store(words, state, stateIn(WorkerState.OnDuty, pool));
    if (grantSlot(shared, pool, id)) {
      const before = doubles[shared.workerDouble(id, STARTED)] as number;
      duty.runOnce(pool, MAYDAY_INTERVAL_MS);
      const items = (doubles[shared.workerDouble(id, STARTED)] as number) - before;
      addTo(doubles, shared.workerDouble(id, RESCUED), items);
    }
    Atomics.store(words, state, WorkerState.Rescuer);
    kick(shared, pool); // a regular worker may have come up meanwhile
  }
  ring(shared);
}
