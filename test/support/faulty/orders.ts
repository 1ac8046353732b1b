/** The faults that a test may order from a worker thread. */
export const WorkerFault = {
  none: 0,
  throw: 1,
  exhaustMemory: 2,
  /** The next return of a connection to the worklist fails. */
  epollAdd: 3,
  /** The next send takes half of its bytes. */
  shortSend: 4,
  /** While ordered, threads fail once they have claimed their id. */
  start: 5,
  /** While ordered, a monitor that starts cannot observe other threads. */
  blind: 6,
  /** The monitor dies when it looks at an item next. */
  monitorDies: 7,
  /** The monitor dies when it has seized a slot next, before it releases it. */
  monitorDiesSeizing: 8,
  /** The worker dies before it puts its connection into a worklist. */
  diesBeforeAdd: 9,
  /** The worker dies when it has put its connection into a worklist. */
  diesAfterAdd: 10,
  /** The next cmwq worker stops once its task has begun, before it is idle. */
  stopsBeforeIdle: 11,
} as const;
export type WorkerFault = (typeof WorkerFault)[keyof typeof WorkerFault];

/** Key of the words of faults in the threads' environment data. */
export const FAULTS_KEY = 'kecho-pool test faults';
