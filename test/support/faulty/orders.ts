/** The faults that a test may order from a worker thread. */
export const WorkerFault = {
  none: 0,
  throw: 1,
  exhaustMemory: 2,
  /** The next return of a connection to the worklist fails. */
  epollAdd: 3,
  /** The next send takes half of its bytes. */
  shortSend: 4,
  /** Threads fail when they have claimed their id, as long as it is ordered. */
  start: 5,
} as const;
export type WorkerFault = (typeof WorkerFault)[keyof typeof WorkerFault];

/** Names the word with the fault in the environment data of threads. */
export const FAULTS_KEY = 'kecho-pool test faults';
