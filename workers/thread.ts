/**
 * What every worker thread has: its id, its words in shared memory and the services.
 *
 * Loaded once per thread, by its entry. A thread owns its echo buffer and the word lines of its id; descriptors are
 * borrowed, main closes them. It must not use the event loop while a task runs.
 *
 * Entries and their imports must not use top-level await: terminating a thread as such a module completes aborts the
 * process (AsyncModuleExecutionFulfilled in Node 26.10).
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { type Blocking, setBlockingHook } from '../src/handler.ts';
import { claimWorkerId } from '../src/memory/kick.ts';
import {
  CloseReason,
  CONN_ID,
  SERVICE,
  type ServiceSpec,
  type SharedBuffers,
  SharedState,
  SLEEPS_SINCE_MS,
  STATE,
  STOP,
  TID,
  TRACE,
} from '../src/memory/layout.ts';
import { markedPost } from '../src/memory/posts.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { ownThreadId } from '../src/sys/thread-id.ts';
import { Echo, type Handle } from './echo.ts';
import { HandlerRunner, startHandler } from './handler.ts';
import { runService } from './service.ts';
import type { SystemCalls } from './system-calls.ts';
import { Trace } from './trace.ts';

export const shared = new SharedState(workerData as SharedBuffers);
const { words } = shared;
export const services = shared.config.services ?? [];

/** The operator's handler, loaded before the thread claims its id: it may take long, or fail. */
const loaded = shared.config.handler === undefined ? null : startHandler(shared.config.handler);

/**
 * Claimed once the thread has loaded; until then main does not terminate it, since that aborts the process while koffi
 * loads. So entries that need the FFI import it before this module.
 */
export const id = claimWorkerId(shared, threadId);
if (id === 0) throw new Error(`no free worker id for thread ${threadId}: more threads than planned`);

Atomics.store(words, shared.workerWord(id, TID), ownThreadId());

const post = (message: object) => parentPort?.postMessage(markedPost(message));
const handler = loaded === null ? null : new HandlerRunner(shared, id, loaded, post);

/** Index of this worker's STATE word. */
export const state = shared.workerWord(id, STATE);

export function serviceOf(fd: number): ServiceSpec | undefined {
  return services[shared.conns[shared.connWord(fd, SERVICE)] as number];
}

export function connectionId(fd: number): number {
  return shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
}

export function stopping(): boolean {
  return Atomics.load(words, STOP) === 1;
}

/** Runs a declared sleep, and notes since when it lasts, for the status. */
function noteSleep<T>(sleep: () => T): T {
  const since = shared.workerDouble(id, SLEEPS_SINCE_MS);
  shared.doubles[since] = monotonicMs();
  try {
    return sleep();
  } finally {
    shared.doubles[since] = 0;
  }
}

/** This thread's echo loop. `blocking` runs the sleeps of its items. */
export function makeEcho(calls: SystemCalls, blocking: Blocking): Echo {
  const trace = words[TRACE] === 1 ? new Trace(shared, id, post) : null;
  const noted: Blocking = (sleep) => blocking(() => noteSleep(sleep));
  setBlockingHook(unlessAsleep(noted));
  return new Echo(shared, id, calls, handle(calls, noted, trace), trace);
}

/** What happens before each echo; null if nothing does. */
function handle(calls: SystemCalls, blocking: Blocking, trace: Trace | null): Handle | null {
  if (handler !== null) return (fd, buffer, length) => handler.handle(fd, buffer, length);
  if (services.length === 0) return null;
  const host = { words, blocking, cpuMs: calls.threadCpuMs };
  return (fd) => {
    const spec = serviceOf(fd);
    if (spec !== undefined) runService(spec, host, trace === null ? null : (step) => trace.step(fd, step));
    return CloseReason.Open;
  };
}

/** A handler may declare a sleep within a sleep. */
function unlessAsleep(blocking: Blocking): Blocking {
  let asleep = false;
  return (sleep) => {
    if (asleep) return sleep();
    asleep = true;
    try {
      return blocking(sleep);
    } finally {
      asleep = false;
    }
  };
}

/** The last task of a thread with a handler, which ends in order. */
export function end(): never {
  handler?.tearDown();
  process.exit();
}
