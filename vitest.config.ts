import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Tests without threads, sockets and descriptors may share a process. */
const PURE =
  'test/{bench-stats,cmwq-exits,compare-rounds,compute-limits,fifo,imports,kick,monitor,options-api.fuzz,predicates,promises,results,' +
  'run-slot,run-slot-races,schemas,service,terminal,thread-supply,timeouts,top-figures,top-view}.test.ts';

/** Tests that measure times: no other test may run beside them. */
const ALONE = ['load-times', 'soak-minute'].map((name) => `test/${name}.test.ts`);

/**
 * Other files each have a process: tests count its descriptors and threads, and load native code. They spend most of
 * their time waiting, so a few run at the same time.
 */
export const common = {
  pool: 'forks',
  testTimeout: 120_000,
  hookTimeout: 30_000,
  teardownTimeout: 10_000,
} as const;

/** Threads and child processes share compiled code. */
const env = { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/kecho-pool', import.meta.url)) };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          env,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, PURE],
          maxWorkers: 6,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          env,
          name: 'pure',
          include: [PURE],
          isolate: false,
          maxWorkers: 6,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          env,
          name: 'alone',
          include: ALONE,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
