/**
 * One connection from its first byte to its end on a blocking socket: the task of kthread and workqueue, which differ in
 * how their threads call recv and send.
 *
 * The thread sleeps in recv or send; the socket's timeouts let it look for a stop.
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
import type { SystemCalls } from './system-calls.ts';
import { connectionId, id, makeEcho, orDie, shared, state } from './thread.ts';

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

/** The task that serves a connection through `calls`. Tells main that this thread has loaded. */
export function connectionTask(calls: SystemCalls): (fd: number) => Promise<never> | undefined {
  const echo = makeEcho(calls, (sleep) => sleep()); // a handler that sleeps holds its thread: there is nobody to kick
  Atomics.store(words, state, WorkerState.Idle);
  ring(shared);
  return (fd) => orDie(() => serveConnection(fd, echo, calls));
}
