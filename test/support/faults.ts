/**
 * Makes the threads of a server in the test's own process fail. The product does not know of it: Piscina gets a Worker
 * that throws as the real one does when the system has no thread to give, or that loads another module: none, or one
 * in test/support/faulty/ that wraps the worker module.
 */
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import { FAULTS_KEY, type WorkerFault } from './faulty/orders.ts';

export { WorkerFault } from './faulty/orders.ts';

export interface ThreadFaults {
  /** So many of the next threads cannot be made. */
  failCreations: number;
  /** So many of the next threads end while they load. */
  failLoads: number;
  /** The next worker that is in an item fails in this way. */
  order(fault: WorkerFault): void;
}

const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Worker };

/** Faults of the threads that are made until the test ends. None unless the test sets them. */
export function threadFaults(): ThreadFaults {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const faults: ThreadFaults = {
    failCreations: 0,
    failLoads: 0,
    order: (fault) => Atomics.store(word, 0, fault),
  };
  const { Worker: Real } = threads;
  threads.Worker = class extends Real {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      if (faults.failCreations > 0) {
        faults.failCreations--;
        throw new Error('no thread: EAGAIN (made to fail)');
      }
      super(...args);
    }

    /** The first message names the module. */
    override postMessage(...[message, ...rest]: Parameters<Worker['postMessage']>): void {
      if (faults.failLoads > 0) {
        faults.failLoads--;
        message.filename += '.missing';
      } else message.filename = join(import.meta.dirname, 'faulty', basename(message.filename));
      super.postMessage(message, ...rest);
    }
  };
  setEnvironmentData(FAULTS_KEY, word);
  onTestFinished(() => {
    threads.Worker = Real;
    setEnvironmentData(FAULTS_KEY, undefined);
  });
  return faults;
}
