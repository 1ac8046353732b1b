/** workers/kworker.ts with faults, or connections that move all the time, if that is ordered. */
import './ffi.ts';
import { Balance } from '../../../src/memory/balance.ts';
import { failAtStart, poolsToMoveThrough } from './commit.ts';

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
