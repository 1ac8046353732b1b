import { defineConfig } from 'vitest/config';

// The tests that run on shared memory and numbers alone: no thread, no socket, and a mutant of theirs cannot
// take a process down with it.
export default defineConfig({
  test: {
    include: ['test/{predicates,run-slot,run-slot-races,kick,fifo,compute-limits,cmwq.sim}.test.ts'],
    env: { SIM_SCHEDULES: '200' }, // a mutant that no rule of the first 200 catches is hardly caught by 2000
    testTimeout: 0, // a test that is slow on a busy machine would count as one that failed
  },
});
