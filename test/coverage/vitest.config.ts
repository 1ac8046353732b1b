import { defineConfig } from 'vitest/config';
import { common } from '../../vitest.config.ts';

// Without vite's module runner Node itself loads the sources here too, as it does in the worker threads and in
// the child processes: one text per file, with its positions kept, wherever its coverage comes from.
export default defineConfig({
  test: {
    ...common,
    testTimeout: 120_000, // counting slows everything down
    include: ['test/**/*.test.ts'],
    maxWorkers: 3,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ['test/coverage/setup.ts'],
    // Tests of bench/ alone, and of timelines: they measure times, which counting disturbs.
    exclude: ['test/{bench-stats,compare,load,load-command,report,timeline}.test.ts'],
  },
});
