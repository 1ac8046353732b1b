/** Size of the long tests: full in `npm run test:full`, a fifth in `npm test`, which has four minutes. */
export const FULL = process.env.TEST_FULL === '1';

/** The number of repetitions where `npm run test:full` makes `full`. */
export function sized(full: number): number {
  return FULL ? full : Math.ceil(full / 5);
}
