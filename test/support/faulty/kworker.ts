/** workers/kworker.ts with faults, or connections that move all the time, if that is ordered. */
import './ffi.ts';
import { Balance } from '../../../src/memory/balance.ts';
import { failAtStart, poolsToMoveThrough, stopIfOrdered } from './commit.ts';

export { kworker, rescuer } from '../../../workers/kworker.ts';

const { target, mayGive } = Balance.prototype;

Balance.prototype.target = function (pool, n) {
  const pools = poolsToMoveThrough();
  return pools > 0 ? (pool + 1) % pools : target.call(this, pool, n);
};

Balance.prototype.mayGive = function (pool) {
  return poolsToMoveThrough() > 0 || mayGive.call(this, pool);
};

failAtStart();

/** A task reads the clock for the first time when it has begun and goes idle. */
const { bigint } = process.hrtime;
process.hrtime.bigint = () => {
  process.hrtime.bigint = bigint;
  stopIfOrdered();
  return bigint();
};
