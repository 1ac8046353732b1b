/**
 * Seeded random numbers (mulberry32), and the bytes that all scripts send from. Pure.
 *
 * A script's numbers follow from the seed and its index alone, so any of them can be run again by itself.
 */

export class Random {
  private state: number;

  constructor(seed: number, index = 0) {
    this.state = mixed(mixed(seed >>> 0) ^ Math.imul(index, 0x9e3779b1));
  }

  /** A whole number from 0 to 2^32 - 1. */
  private word(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + (this.word() % (high - low + 1));
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.word() % 100 < percent;
  }

  /** One of `choices`, each as often as its weight says. */
  weighted<T>(choices: readonly (readonly [weight: number, choice: T])[]): T {
    let left = this.between(
      1,
      choices.reduce((sum, [weight]) => sum + weight, 0),
    );
    for (const [weight, choice] of choices) {
      left -= weight;
      if (left <= 0) return choice;
    }
    throw new Error('weights above 0 are needed');
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
/** Most bytes that a script may send. */
export const STREAM_MAX_BYTES = 1 << 20;
/** A script sends from one of these positions on. */
export const BASE_MAX = RING_BYTES - STREAM_MAX_BYTES;
/** Values that end a text or a line somewhere, or look like the end of a stream. */
const DELICATE = [0x00, 0x0a, 0x0d, 0x04, 0x1a, 0xff];

/**
 * Random bytes with runs of delicate values in between. Every script sends a window of it that begins elsewhere, so
 * a byte of another connection, or from another place of the same one, is not the one that is due.
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
