/**
 * Mutation testing of the modules that decide and that can be tested without a thread: `npm run mutation`.
 * report.ts makes bench/results/mutation.txt of the result.
 */
export default {
  mutate: [
    'src/memory/predicates.ts',
    'src/memory/run-slot.ts',
    'src/memory/kick.ts',
    'src/queue/fifo.ts',
    'src/options/limits.ts',
  ],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'test/mutation/vitest.config.ts', pool: 'forks', related: false },
  coverageAnalysis: 'perTest',
  concurrency: 2,
  // Long, so that a busy machine does not pass for an endless loop; most of those run into Stryker's hit limit.
  timeoutMS: 30_000,
  // No such file, on purpose: Stryker would rewrite tsconfig.json through an API that TypeScript 7 does not
  // have. Nothing here is compiled.
  tsconfigFile: 'none.json',
  ignorePatterns: ['dist', 'coverage', 'bench/results', 'compare-results'],
  tempDirName: '.stryker-tmp',
  reporters: ['progress-append-only', 'json'],
  jsonReporter: { fileName: 'coverage/mutation.json' },
};
