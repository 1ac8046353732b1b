/**
 * In a worker thread of a test: commits the faults that the test orders (test/support/faults.ts).
 *
 * A fault comes with the next request that any thread receives, in its item. The threads' system calls are wrapped, so
 * the product knows nothing of this.
 */
import { getEnvironmentData } from 'node:worker_threads';
import { FAULTS_KEY, WorkerFault } from './orders.ts';

const order = getEnvironmentData(FAULTS_KEY) as Int32Array;

/** For a thread that has claimed its id. */
export function failAtStart(): void {
  if (Atomics.load(order, 0) === WorkerFault.start) throw new Error('made to fail');
}

/** Commits what is ordered, or returns it when it is a system call that is to fail. */
export function takeFault(): number {
  const fault = Atomics.load(order, 0);
  if (fault === WorkerFault.none || fault === WorkerFault.start) return WorkerFault.none;
  // Two threads may see it: one of them commits it.
  if (Atomics.compareExchange(order, 0, fault, WorkerFault.none) !== fault) return WorkerFault.none;
  if (fault === WorkerFault.throw) throw new Error('made to fail');
  const hoard: number[][] = [];
  while (fault === WorkerFault.exhaustMemory) hoard.push(new Array(100_000).fill(hoard.length));
  return fault;
}
