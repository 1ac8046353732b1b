/**
 * Tries the operator's handler before the server listens, in a thread of its own: kthread has no thread before its
 * first client, and main must not run the operator's code.
 *
 * Main thread only. It owns the thread until it has ended.
 */
import { Worker } from 'node:worker_threads';
import type { HandlerSpec } from '../memory/layout.ts';
import { takePost } from '../memory/posts.ts';
import { afterRunning } from '../sys/clock.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';
import { fileOf, resourceLimits } from './threads.ts';

/** Longest time for loading, setUp and tearDown together. */
const CHECK_TIMEOUT_MS = 10_000;

/** Why the handler cannot be used, on one line; null if it can. */
export async function handlerFailure(handler: HandlerSpec): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  fillStandardStreams(); // the thread's event loop must not get descriptors 0 to 2
  const worker = new Worker(fileOf('probe'), {
    workerData: handler,
    resourceLimits: resourceLimits(handler),
  });
  const late = `it does not load within ${CHECK_TIMEOUT_MS / 1000} s`;
  const cancel = afterRunning(CHECK_TIMEOUT_MS, () => resolve(late));
  worker.on('message', (posted) => takePost(posted, (reason) => resolve(reason as string | null)));
  worker.once('error', (error: NodeJS.ErrnoException) => {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    resolve(isMemory ? 'it runs out of memory while it loads' : error.message);
  });
  worker.once('exit', (code) => resolve(`it ends its thread while it loads (exit code ${code})`));
  const failure = await promise;
  cancel();
  void worker.terminate(); // a thread in native code ends later
  return failure;
}
