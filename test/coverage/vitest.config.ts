import { mergeConfig } from 'vitest/config';
import base from '../../vitest.config.ts';

// Without vite's module runner Node itself loads the sources here too, as it does in the worker threads and in
// the child processes: one text per file, with its positions kept, wherever its coverage comes from.
export default mergeConfig(base, {
  test: {
    experimental: { viteModuleRunner: false, nodeLoader: false },
    setupFiles: ['test/coverage/setup.ts'],
    // Tests of bench/ alone: they measure times, which counting disturbs.
    exclude: ['test/{bench-stats,compare,load,load-command,report}.test.ts'],
  },
});
