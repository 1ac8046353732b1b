import { defineConfig } from 'vitest/config';

// Tests without threads and sockets, whose mutants cannot crash the process.
export default defineConfig({
  test: {
    include: ['test/{predicates,run-slot,run-slot-races,kick,fifo,compute-limits,cmwq.sim}.test.ts'],
    env: { SIM_SCHEDULES: '200' }, // a mutant that survives 200 is unlikely to be caught by 2000
    testTimeout: 0, // a slow test on a busy machine would count as failed
  },
});
