/**
 * How much the long tests do: everything in `npm run test:full`, a fifth in `npm test`, which has four minutes.
 */
export const FULL = process.env.TEST_FULL === '1';

/** How often a test does something that `npm run test:full` does `full` times. */
export function sized(full: number): number {
  return FULL ? full : Math.ceil(full / 5);
}
