import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** They compare times or processor use with what they themselves caused: nothing else may run beside them. */
const ALONE = [
  'load',
  'load-command',
  'compare',
  'timeline',
  'management',
  'management-failures',
  'limits',
  'soak',
].map((name) => `test/${name}.test.ts`);

/**
 * Each file in a process of its own: the tests count this process's descriptors and threads, and load native code. A
 * file spends most of its time waiting, so a few go at the same time.
 */
export const common = {
  pool: 'forks',
  testTimeout: 120_000,
  hookTimeout: 30_000,
  teardownTimeout: 10_000,
} as const;

/** Threads and child processes load what they share with others already compiled. */
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
          exclude: ALONE,
          maxWorkers: 5,
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
