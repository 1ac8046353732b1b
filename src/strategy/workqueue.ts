/**
 * workqueue: a fixed set of workers, one connection each at a time, as multi-threaded workqueues were before
 * CMWQ: one execution context per CPU, and an item that sleeps holds it.
 *
 * Strength: no thread is ever made after the start; with short connections nothing is simpler.
 * Weakness: a connection that lives long occupies its worker whether it speaks or not; the next one waits
 * in the FIFO although the processor is idle. That is the point of the comparison: it is kept as it was.
 * Where the imitation stops: an item is a whole connection, as in kecho, not one request of it.
 */

import type { Strategy, StrategyContext } from './strategy.ts';
import { ServingThreads } from './task-per-connection.ts';

export function createWorkqueue(context: StrategyContext): Strategy {
  return new ServingThreads(context, 'serve-ffi', context.options.workers, context.options.workers);
}
