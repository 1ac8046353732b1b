/**
 * Whether child processes and threads of servers in the test's process come from dist in this run (vitest.config.ts):
 * they start in half the time. `npm run test:full` and `npm run coverage` run the sources.
 */
export const FROM_DIST = process.env.TEST_FROM_DIST === '1';
