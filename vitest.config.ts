import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { isBuilt } from './bench/programs.ts';
import { FULL } from './test/support/size.ts';

/** Tests without threads, sockets and descriptors may share a process. */
const PURE =
  'test/{balance,bench-options.fuzz,bench-stats,cmwq-exits,cmwq.sim,compare-estimate,compare-rounds,compute-limits,fifo,imports,' +
  'kick,kworkers,links,monitor,options,options-api.fuzz,predicates,promises,report-sentence,results,run-slot,run-slot-races,' +
  'schemas,service,terminal,thread-supply,timeouts,top-figures,top-view}.test.ts';

/** Tests that measure times: no other test may run beside them. */
const ALONE = ['load-times', 'soak-minute'].map((name) => `test/${name}.test.ts`);

/**
 * Other files each have a process: tests count its descriptors and threads, and load native code. They spend most of
 * their time waiting, so a few run at the same time.
 */
export const common = {
  pool: 'forks',
  testTimeout: 120_000,
  hookTimeout: 120_000, // of clean-up, too: waits there may take a minute
  teardownTimeout: 10_000,
} as const;

const BUILT_FROM = ['{src,workers}/**', 'bench/*.ts', 'bench/!(lab|results)/**/*.ts', 'package.json'];

/** Threads and child processes share compiled code, and come from dist if it is current. */
const env = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/kecho-pool', import.meta.url)),
  TEST_FROM_DIST: !FULL && isBuilt(BUILT_FROM) ? '1' : '',
};
const setupFiles = ['test/support/threads-from-dist.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          env,
          setupFiles,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, PURE],
          maxWorkers: 7,
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
          maxWorkers: 7,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          env,
          setupFiles,
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
