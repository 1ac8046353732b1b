/**
 * `npm run mutation`: mutation testing of the modules with decisions that are tested without threads. report.ts turns
 * the result into bench/results/mutation.txt.
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
  // Long, so that a busy machine is not taken for an endless loop; most of those run into Stryker's hit limit.
  timeoutMS: 30_000,
  // Deliberately missing: Stryker would rewrite tsconfig.json through an API that TypeScript 7 lacks.
  tsconfigFile: 'none.json',
  ignorePatterns: ['dist', 'coverage', 'bench/results', 'compare-results'],
  tempDirName: '.stryker-tmp',
  reporters: ['progress-append-only', 'json'],
  jsonReporter: { fileName: 'coverage/mutation.json' },
};
