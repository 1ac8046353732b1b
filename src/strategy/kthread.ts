/**
 * kthread: a thread per connection, as in the first kecho (kthread_run() for every accepted socket).
 *
 * Strength: a slow or sleeping connection holds up no other, and nothing needs to be scheduled.
 * Weakness: every connection pays for a thread: some 20 ms to start here and 8 MiB of memory, which for short
 * connections is most of the cost.
 * Where the imitation stops: a kernel thread starts in microseconds, a worker thread loads a JavaScript engine. Beyond
 * `maxWorkers` connections wait in the FIFO; the kernel would create threads until it fails.
 */
import type { ServiceSpec } from '../memory/layout.ts';
import type { Strategy, StrategyContext } from './strategy.ts';
import { ServingThreads } from './task-per-connection.ts';

function burns({ steps }: ServiceSpec): boolean {
  return steps.some(({ kind }) => kind === 'burn');
}

export function createKthread(context: StrategyContext): Strategy {
  const module = (context.shared.config.services ?? []).some(burns) ? 'serve-ffi' : 'serve-fs';
  return new ServingThreads(context, module, 0, context.limits.maxWorkers);
}
