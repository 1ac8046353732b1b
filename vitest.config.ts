import { defineConfig } from 'vitest/config';

// Each file in a process of its own: the tests count this process's descriptors and threads, and load native
// code. One file at a time: two would disturb each other's counts on a small machine.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
});
