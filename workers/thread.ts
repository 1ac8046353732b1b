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
import { claimWorkerId } from '../src/memory/kick.ts';
import {
  CONN_ID,
  SERVICE,
  type ServiceSpec,
  type SharedBuffers,
  SharedState,
  STATE,
  STOP,
  TID,
  TRACE,
} from '../src/memory/layout.ts';
import { ownThreadId } from '../src/sys/thread-id.ts';
import { Echo } from './echo.ts';
import { runService } from './service.ts';
import type { SystemCalls } from './system-calls.ts';
import { Trace } from './trace.ts';

export const shared = new SharedState(workerData as SharedBuffers);
const { words } = shared;
export const services = shared.config.services ?? [];

/**
 * Claimed once the thread has loaded; until then main does not terminate it, since that aborts the process while koffi
 * loads. So entries that need the FFI import it before this module.
 */
export const id = claimWorkerId(shared, threadId);
if (id === 0) throw new Error(`no free worker id for thread ${threadId}: more threads than planned`);

Atomics.store(words, shared.workerWord(id, TID), ownThreadId());

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

/** This thread's echo loop. `blocking` runs the sleeps of its items. */
export function makeEcho(calls: SystemCalls, blocking: (sleep: () => void) => void): Echo {
  const host = { words, blocking, cpuMs: calls.threadCpuMs };
  const trace =
    words[TRACE] === 1 ? new Trace(shared, id, (message) => parentPort?.postMessage(message)) : null;
  const serve = (fd: number) => {
    const spec = serviceOf(fd);
    if (spec !== undefined) runService(spec, host, trace === null ? null : (step) => trace.step(fd, step));
  };
  return new Echo(shared, id, calls, services.length === 0 ? null : serve, trace);
}
