import { defineConfig } from 'vitest/config';
import { common } from '../../vitest.config.ts';

// Without vite's module runner Node itself loads the sources, as in worker threads and child processes: each file has
// one text with the same positions everywhere.
export default defineConfig({
  test: {
    ...common,
    testTimeout: 120_000, // counting slows everything down
    include: ['test/**/*.test.ts'],
    maxWorkers: 3,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ['test/coverage/setup.ts'],
    // They test only bench/, measure times, which counting disturbs, or replace modules, which needs vite's runner.
    exclude: ['test/{bench-stats,load,load-times,report}.test.ts', 'test/cmwq.sim-{broken,worker}.test.ts'],
  },
});
