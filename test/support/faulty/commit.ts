/**
 * Commits the faults that the test orders (test/support/faults.ts), in a worker thread.
 *
 * A fault occurs within the item of the next request that any thread receives. The threads' system calls are wrapped,
 * so the product needs no hook.
 */
import { getEnvironmentData } from 'node:worker_threads';
import { FAULTS_KEY, WorkerFault } from './orders.ts';

const order = getEnvironmentData(FAULTS_KEY) as Int32Array;

/** Fails a thread that has claimed its id, if that is ordered. */
export function failAtStart(): void {
  if (Atomics.load(order, 0) === WorkerFault.start) throw new Error('made to fail');
}

/** The CPU pools that connections move through all the time; 0 = they do not. */
export function poolsToMoveThrough(): number {
  return Atomics.load(order, 1);
}

export function isBlind(): boolean {
  return Atomics.load(order, 0) === WorkerFault.blind;
}

/** In a worker that has never been idle. */
export function stopIfOrdered(): void {
  const { stopsBeforeIdle, none } = WorkerFault;
  if (Atomics.compareExchange(order, 0, stopsBeforeIdle, none) === stopsBeforeIdle)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** In the monitor. */
export function dieIfOrdered(fault: WorkerFault): void {
  if (Atomics.compareExchange(order, 0, fault, WorkerFault.none) === fault) throw new Error('made to fail');
}

/** The faults that are not a worker's in an item. */
const ELSEWHERE: readonly number[] = [
  WorkerFault.none,
  WorkerFault.start,
  WorkerFault.blind,
  WorkerFault.monitorDies,
  WorkerFault.monitorDiesSeizing,
  WorkerFault.stopsBeforeIdle,
];

/** Commits the ordered fault, or returns it when it is a system call that must fail. */
export function takeFault(): number {
  const fault = Atomics.load(order, 0);
  if (ELSEWHERE.includes(fault)) return WorkerFault.none;
  // If two threads see it, one of them commits it.
  if (Atomics.compareExchange(order, 0, fault, WorkerFault.none) !== fault) return WorkerFault.none;
  if (fault === WorkerFault.throw) throw new Error('made to fail');
  const hoard: number[][] = [];
  while (fault === WorkerFault.exhaustMemory) hoard.push(new Array(100_000).fill(hoard.length));
  return fault;
}
