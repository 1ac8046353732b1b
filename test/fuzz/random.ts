/**
 * Seeded random numbers (mulberry32), and the bytes that all scripts send. Pure.
 *
 * A script's numbers depend on the seed and its index alone, so each script can be repeated by itself.
 */

export class Random {
  private state: number;

  constructor(seed: number, index = 0) {
    this.state = mixed(mixed(seed >>> 0) ^ Math.imul(index, 0x9e3779b1));
  }

  /** An integer from 0 to 2^32 - 1. */
  private word(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + (this.word() % (high - low + 1));
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.word() % 100 < percent;
  }

  /** One of `choices`, with a probability proportional to its weight. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let left = this.between(
      1,
      choices.reduce((sum, [weight]) => sum + weight, 0),
    );
    for (const [weight, choice] of choices) {
      left -= weight;
      if (left <= 0) return choice;
    }
    throw new Error('weights must be above 0');
  }
}

/** The finalizer of MurmurHash3: neighbouring indices get unrelated numbers. */
function mixed(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const RING_BYTES = 4 << 20;
/** Maximum bytes that a script may send. */
export const STREAM_MAX_BYTES = 1 << 20;
/** Highest start position of a script. */
export const BASE_MAX = RING_BYTES - STREAM_MAX_BYTES;
/** Values that may be taken for the end of a text, a line or a stream. */
const DELICATE = [0x00, 0x0a, 0x0d, 0x04, 0x1a, 0xff];

/**
 * Random bytes with runs of delicate values. Every script sends a window that begins elsewhere, so a byte of another
 * connection, or from another position of the same one, differs from the expected one.
 */
export const RING = makeRing();

function makeRing(): Buffer {
  const random = new Random(0x6b6563686f);
  const ring = Buffer.allocUnsafeSlow(RING_BYTES);
  for (let i = 0; i < RING_BYTES; i++) ring[i] = random.between(0, 255);
  for (let i = 0; i < RING_BYTES - 16; i += random.between(200, 4000)) {
    ring.fill(random.weighted(DELICATE.map((value) => [1, value])), i, i + random.between(1, 12));
  }
  return ring;
}
