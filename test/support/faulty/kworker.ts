/** workers/kworker.ts with faults. */
import './ffi.ts';
import { failAtStart, stopIfOrdered } from './commit.ts';

export { kworker, rescuer } from '../../../workers/kworker.ts';

failAtStart();

/** A task reads the clock for the first time when it has begun and goes idle. */
const { bigint } = process.hrtime;
process.hrtime.bigint = () => {
  process.hrtime.bigint = bigint;
  stopIfOrdered();
  return bigint();
};
