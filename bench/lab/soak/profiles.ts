/**
 * The server and the load of each strategy's part.
 *
 * The number of connections at a time follows from what the strategy can serve: under cmwq 188 in all; under workqueue
 * and kthread a few more than there are workers, so that some always wait in the queue.
 */
import { LOOPBACK } from '../../../src/sys/loopback.ts';
import type { Lanes, SoakStrategy } from './types.ts';

export interface Profile {
  /** Options of createEchoServer. */
  server: Record<string, unknown>;
  lanes: Lanes;
}

/** Stats lines are logged at level info. */
const COMMON = { port: 0, host: LOOPBACK, logLevel: 'info', pretty: false };

export const PROFILES: Record<SoakStrategy, Profile> = {
  cmwq: {
    // Surplus idle workers end soon, so that the number of threads at the end can be compared with the start.
    server: { ...COMMON, strategy: 'cmwq', idleTimeoutMs: 1000 },
    lanes: { echo: 48, churn: 72, halfClose: 16, reset: 16, slow: 12, silent: 24 },
  },
  workqueue: {
    server: { ...COMMON, strategy: 'workqueue', workers: 8 },
    lanes: { echo: 2, churn: 6, halfClose: 2, reset: 2, slow: 1, silent: 1 },
  },
  kthread: {
    // A thread per connection: some forty are created and ended each second, however high the load.
    server: { ...COMMON, strategy: 'kthread', maxWorkers: 32 },
    lanes: { echo: 10, churn: 14, halfClose: 4, reset: 4, slow: 2, silent: 2 },
  },
};
