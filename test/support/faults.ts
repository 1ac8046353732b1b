/**
 * Makes the threads of a server in the test's process fail, without any hook in the product: Piscina gets a Worker that
 * throws as the real one does when the system cannot create a thread, or that loads a missing module, or one of
 * test/support/faulty/, which wrap the worker modules.
 */
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import { FAULTS_KEY, WorkerFault } from './faulty/orders.ts';

export { WorkerFault } from './faulty/orders.ts';

export interface ThreadFaults {
  /** How many of the next threads cannot be created, */
  failCreations: number;
  /** after this many that can. */
  spareCreations: number;
  /** How many of the next threads exit while they load. */
  failLoads: number;
  /** Makes the next worker in an item fail in this way. */
  order(fault: WorkerFault): void;
  /** Whether a worker has begun to fail as ordered. */
  readonly isCommitted: boolean;
  /** From now on connections move on to the next of `cpus` CPU pools whenever they can; 0 = no longer. */
  moveAlways(cpus: number): void;
}

const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Worker };

/** Faults of the threads created until the test ends; initially none. */
export function threadFaults(): ThreadFaults {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const faults: ThreadFaults = {
    failCreations: 0,
    spareCreations: 0,
    failLoads: 0,
    order: (fault) => Atomics.store(words, 0, fault),
    get isCommitted() {
      return Atomics.load(words, 0) === WorkerFault.none;
    },
    moveAlways: (cpus) => Atomics.store(words, 1, cpus),
  };
  const { Worker: Real } = threads;
  threads.Worker = class extends Real {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      if (faults.spareCreations > 0) faults.spareCreations--;
      else if (faults.failCreations > 0) {
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
  setEnvironmentData(FAULTS_KEY, words);
  onTestFinished(() => {
    threads.Worker = Real;
    setEnvironmentData(FAULTS_KEY, undefined);
  });
  return faults;
}
