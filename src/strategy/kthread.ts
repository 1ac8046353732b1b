/**
 * kthread: a thread per connection, as kecho began (kthread_run() for every accepted socket).
 *
 * Strength: a slow or sleeping connection holds up nobody, and nothing needs to be scheduled.
 * Weakness: the price of a thread for every connection: some 30 ms to start one here and 8 MiB of memory,
 * which for short connections is nearly all of the work.
 * Where the imitation stops: a kernel thread starts in microseconds, a worker thread loads a JavaScript
 * engine. Past `maxWorkers` connections wait in the FIFO; the kernel would make threads until it cannot.
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
