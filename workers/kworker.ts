/**
 * The worker threads' entry: the tasks that Piscina runs.
 *
 * `kworker` (cmwq) is one long task: sleep until kicked, be on duty for a CPU pool, sleep again.
 * `serve` (kthread, workqueue) is one connection from its first byte to its end.
 *
 * A worker owns its echo buffer and event list, and the word lines of its id in shared memory. Descriptors
 * are borrowed: it takes one out of the worklist and shuts it down when the connection ends, and main closes
 * it. It must not use the event loop while a task runs: it sleeps in epoll_wait, recv or Atomics.wait.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { pushDone, ring } from '../src/shared/completions.ts';
import { claimWorkerId, goIdle } from '../src/shared/kick.ts';
import {
  addTo,
  type CloseReason,
  COMPLETED,
  CONN_ID,
  CONNECTIONS,
  EPOLL_FD,
  ITEM_FD,
  ITEM_ID,
  poolOf,
  type SharedBuffers,
  SharedState,
  STARTED,
  STATE,
  STOP,
  stateOf,
  WAKE_FD,
  WATCHDOG_ON,
  WorkerState,
} from '../src/shared/layout.ts';
import { beginItem, endItem, loadSlot, mayBeginItem, slotWord, yieldSlot } from '../src/shared/run-slot.ts';
import { hasSpill } from '../src/shared/spill.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { EPOLLIN, EPOLLOUT, EventList, epollDelete, epollModify, epollWait } from '../src/sys/epoll.ts';
import { shutdownBoth } from '../src/sys/socket.ts';
import { Echo } from './echo.ts';

/** Sleeps are cut into pieces of this length so that a terminated thread ends: see epollWait. */
const WAIT_SLICE_MS = 1000;
/** Events taken at a time. More only lengthens what is forgotten when the slot is lost. */
const BATCH = 64;

const shared = new SharedState(workerData as SharedBuffers);
const { words, doubles } = shared;
const id = claimWorkerId(shared, threadId);
if (id === 0) throw new Error(`no free worker id for thread ${threadId}: more threads than planned`);

const state = shared.workerWord(id, STATE);
// Without CPU pools there is nothing to be kicked for: the thread is ready as soon as it has loaded.
if (shared.config.cpus === 0) Atomics.store(words, state, WorkerState.Idle);
ring(shared);
const itemFd = shared.workerWord(id, ITEM_FD);
const itemId = shared.workerDouble(id, ITEM_ID);
const started = shared.workerDouble(id, STARTED);
const completed = shared.workerDouble(id, COMPLETED);
const events = new EventList(BATCH);
const echo = new Echo(shared, id, null, (fd, bytes) => {
  const connection = shared.connDoubles[shared.connDouble(fd, CONN_ID)];
  parentPort?.postMessage({ type: 'echo', worker: id, connection, bytes });
});

function stopping(): boolean {
  return Atomics.load(words, STOP) === 1;
}

function noteBegin(fd: number): void {
  doubles[itemId] = shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
  Atomics.store(words, itemFd, fd);
  addTo(doubles, started, 1);
}

function noteEnd(): void {
  Atomics.store(words, itemFd, 0);
  addTo(doubles, completed, 1);
}

/** Task of kthread and workqueue: serves one connection to its end. The socket is blocking. */
export function serve(fd: number): void {
  Atomics.store(words, state, WorkerState.OnDuty);
  noteBegin(fd);
  const outcome = echo.serve(fd);
  shutdownBoth(fd);
  pushDone(shared, fd, (outcome & 0xff) as CloseReason, outcome >> 8);
  noteEnd();
  Atomics.store(words, state, WorkerState.Idle);
  ring(shared);
}

/** Task of cmwq: works until it is retired or the server stops. */
export function kworker(): void {
  for (;;) {
    const pool = sleepUntilKicked();
    if (pool < 0) break;
    beOnDuty(pool);
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
    waitSlice(word);
  }
}

/** A function of its own, for the same reason as epollWait. */
function waitSlice(word: number): void {
  Atomics.wait(words, state, word, WAIT_SLICE_MS);
}

/** Holds the slot of `pool` and runs its items until the slot is lost, given up, or the server stops. */
function beOnDuty(pool: number): void {
  const epfd = words[shared.poolWord(pool, EPOLL_FD)] as number;
  const wakeFd = words[shared.poolWord(pool, WAKE_FD)] as number;
  const connections = shared.poolWord(pool, CONNECTIONS);
  if (loadSlot(shared, pool) !== slotWord(id, 0)) return; // a late kick: the slot has moved on
  for (;;) {
    const n = epollWait(epfd, events, WAIT_SLICE_MS);
    // A pool without connections gives its worker back, so that a quiet server shrinks to two.
    if (stopping() || (n === 0 && Atomics.load(words, connections) === 0)) {
      yieldSlot(shared, pool, id);
      return;
    }
    for (let i = 0; i < n; i++) {
      const fd = events.fd(i);
      if (fd !== wakeFd && !runItem(pool, epfd, fd)) return;
    }
  }
}

/** One work item. False: the slot is no longer this worker's, and the rest of the events is not either. */
function runItem(pool: number, epfd: number, fd: number): boolean {
  if (!mayBeginItem(shared, pool)) {
    yieldSlot(shared, pool, id);
    return false;
  }
  if (!beginItem(shared, pool, id, fd)) return false;
  noteBegin(fd);
  if (Atomics.load(words, WATCHDOG_ON) === 0) ring(shared);
  const spilled = hasSpill(shared, fd);
  const outcome = echo.turn(fd);
  if (outcome !== 0) {
    epollDelete(epfd, fd);
    shutdownBoth(fd);
  } else if (hasSpill(shared, fd) !== spilled) {
    epollModify(epfd, fd, spilled ? EPOLLIN : EPOLLOUT);
  }
  const kept = endItem(shared, pool, id, fd);
  if (outcome !== 0) {
    // Only now: once main has closed it, the number may be a new connection's.
    pushDone(shared, fd, (outcome & 0xff) as CloseReason, outcome >> 8);
    ring(shared);
  }
  noteEnd();
  return kept;
}
