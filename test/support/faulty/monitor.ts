/** workers/monitor.ts, which cannot read the clocks of other threads, or dies as it does, if that is ordered. */
import { libc } from '../../../src/sys/libc.ts';
import { dieIfOrdered, isBlind } from './commit.ts';

const { clock_gettime } = libc;
const table = libc as { -readonly [name in keyof typeof libc]: (typeof libc)[name] };

table.clock_gettime = (clock, timespec) => {
  if (clock < 0) dieIfOrdered();
  return clock < 0 && isBlind() ? -1 : clock_gettime(clock, timespec);
};

export { monitor } from '../../../workers/monitor.ts';
