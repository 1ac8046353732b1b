/**
 * workqueue: a fixed set of workers, one connection each at a time, like multi-threaded workqueues before CMWQ: one
 * execution context per CPU, which a sleeping item keeps.
 *
 * Strength: no thread is created after the start; for short connections nothing is simpler.
 * Weakness: a long connection occupies its worker even when silent; the next one waits in the FIFO while the CPU is
 * idle. That is the point of the comparison.
 * Where the imitation stops: an item is a whole connection, as in kecho, not a single request.
 */

import type { Strategy, StrategyContext } from './strategy.ts';
import { ServingThreads } from './task-per-connection.ts';

export function createWorkqueue(context: StrategyContext): Strategy {
  return new ServingThreads(context, 'serve-ffi', context.options.workers, context.options.workers);
}
