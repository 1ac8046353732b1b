/** workers/monitor.ts, which cannot read the clocks of other threads, or dies at a certain call, if that is ordered. */
import { libc } from '../../../src/sys/libc.ts';
import { dieIfOrdered, isBlind } from './commit.ts';
import { WorkerFault } from './orders.ts';

const { clock_gettime, epoll_ctl } = libc;
const table = libc as { -readonly [name in keyof typeof libc]: (typeof libc)[name] };

table.clock_gettime = (clock, timespec) => {
  if (clock < 0) dieIfOrdered(WorkerFault.monitorDies);
  return clock < 0 && isBlind() ? -1 : clock_gettime(clock, timespec);
};

/** It removes the item whose slot it has seized from the worklist. */
table.epoll_ctl = (...args) => {
  dieIfOrdered(WorkerFault.monitorDiesSeizing);
  return epoll_ctl(...args);
};

export { monitor } from '../../../workers/monitor.ts';
