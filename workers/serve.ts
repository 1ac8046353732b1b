/**
 * The task of kthread and workqueue: serves one connection on a blocking socket from its first byte to its end. The two
 * differ in how their threads make system calls.
 *
 * The thread sleeps in recv or send; the socket's timeouts let it check for a stop.
 */
import { pushDone, ring } from '../src/memory/completions.ts';
import {
  addTo,
  CloseReason,
  COMPLETED,
  ITEM_FD,
  ITEM_ID,
  SERVING,
  STARTED,
  WorkerState,
} from '../src/memory/layout.ts';
import { noteDispatched } from './dispatched.ts';
import type { Echo } from './echo.ts';
import { exitThreadOnError } from './exit-thread.ts';
import type { SystemCalls } from './system-calls.ts';
import { connectionId, id, makeEcho, shared, state } from './thread.ts';

const { words, doubles } = shared;

function serveConnection(fd: number, echo: Echo, calls: SystemCalls): void {
  Atomics.store(words, state, WorkerState.OnDuty);
  doubles[shared.workerDouble(id, ITEM_ID)] = connectionId(fd);
  Atomics.store(words, shared.workerWord(id, ITEM_FD), fd);
  addTo(doubles, shared.workerDouble(id, STARTED), 1);
  shared.conns[shared.connWord(fd, SERVING)] = 1;
  noteDispatched(shared, id, fd);
  const outcome = echo.serve(fd);
  calls.end(fd, outcome === CloseReason.Eof);
  pushDone(shared, fd, outcome);
  Atomics.store(words, shared.workerWord(id, ITEM_FD), 0);
  addTo(doubles, shared.workerDouble(id, COMPLETED), 1);
  Atomics.store(words, state, WorkerState.Idle);
  ring(shared);
}

/** The task that serves a connection through `calls`. Rings main: this thread has loaded. */
export function connectionTask(calls: SystemCalls): (fd: number) => Promise<never> | undefined {
  const echo = makeEcho(calls, (sleep) => sleep()); // a sleeping handler keeps its thread; there is no other to kick
  Atomics.store(words, state, WorkerState.Idle);
  ring(shared);
  return (fd) => exitThreadOnError(() => serveConnection(fd, echo, calls));
}
