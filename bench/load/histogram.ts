/**
 * A histogram of times with 2,048 buckets per power of two, each less than 0.05 % wide. All histograms have the same
 * buckets, and sum and maximum are whole nanoseconds, so a sum of histograms, across processes too, is exactly the
 * histogram of all the samples.
 *
 * Recording is one store and one load: the upper bits of the number itself (IEEE 754: exponent, then leading bits of
 * the fraction) select the bucket. Pure; reads no clock.
 */
import { endianness } from 'node:os';
import type { HistogramParts } from './schema.ts';

export type { HistogramParts } from './schema.ts';

// From the upper word of a double: 11 bits of exponent and 11 of the fraction.
const FRACTION_BITS = 11;
const SHIFT = 20 - FRACTION_BITS;
const EXPONENT_BIAS = 1023;
/** 2 ** -14 ms is 61 ns, shorter than any system call; 2 ** 20 ms is 17 minutes, longer than any run. */
const LOWEST_EXPONENT = -14;
const HIGHEST_EXPONENT = 20;
const FIRST_BUCKET = (EXPONENT_BIAS + LOWEST_EXPONENT) << FRACTION_BITS;
const BUCKETS = (HIGHEST_EXPONENT - LOWEST_EXPONENT) << FRACTION_BITS;
const NS_PER_MS = 1e6;
const UPPER_WORD = endianness() === 'LE' ? 1 : 0;

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

function bucketOf(ms: number): number {
  float[0] = ms;
  const bucket = ((words[UPPER_WORD] as number) >>> SHIFT) - FIRST_BUCKET; // both indices are 0 or 1
  return bucket < 0 || ms <= 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/** The lower bound of a bucket. */
export function bucketStartMs(bucket: number): number {
  words[UPPER_WORD] = (bucket + FIRST_BUCKET) << SHIFT;
  words[1 - UPPER_WORD] = 0;
  return float[0] as number;
}

export class Histogram {
  count = 0;
  private worstNs = 0;
  private sumNs = 0; // exact up to 104 days
  private readonly counts = new Uint32Array(BUCKETS);

  record(ms: number): void {
    const bucket = bucketOf(ms);
    this.counts[bucket] = (this.counts[bucket] as number) + 1; // bucketOf() < BUCKETS
    this.count++;
    const ns = Math.round(ms * NS_PER_MS);
    this.sumNs += ns;
    if (ns > this.worstNs) this.worstNs = ns;
  }

  clear(): void {
    this.counts.fill(0);
    this.count = 0;
    this.sumNs = 0;
    this.worstNs = 0;
  }

  get averageMs(): number {
    return this.count === 0 ? 0 : this.sumNs / this.count / NS_PER_MS;
  }

  get worstMs(): number {
    return this.worstNs / NS_PER_MS;
  }

  /** The non-empty buckets in ascending order, each with its upper bound. */
  *filled(): Generator<{ ms: number; count: number; bucket: number }> {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.counts[bucket] as number;
      if (count > 0) yield { ms: Math.min(bucketStartMs(bucket + 1), this.worstMs), count, bucket };
    }
  }

  /** Of the sample that `percent` of the samples do not exceed, from 1. */
  rankOf(percent: number): number {
    return Math.max(1, Math.ceil((percent / 100) * this.count - 1e-9));
  }

  /** The time that `rank` samples did not exceed; 0 without samples. */
  atRankMs(rank: number): number {
    let seen = 0;
    for (const { ms, count } of this.filled()) {
      seen += count;
      if (seen >= rank) return ms;
    }
    return this.worstMs;
  }

  percentileMs(percent: number): number {
    return this.atRankMs(this.rankOf(percent));
  }

  parts(): HistogramParts {
    const buckets = [...this.filled()].flatMap(({ bucket, count }) => [bucket, count]);
    return { buckets, sumNs: this.sumNs, worstNs: this.worstNs };
  }

  add({ buckets, sumNs, worstNs }: HistogramParts): void {
    for (let i = 0; i + 1 < buckets.length; i += 2) {
      const bucket = buckets[i] as number; // i + 1 is within the list
      const count = buckets[i + 1] as number;
      this.counts[bucket] = (this.counts[bucket] ?? 0) + count;
      this.count += count;
    }
    this.sumNs += sumNs;
    this.worstNs = Math.max(this.worstNs, worstNs);
  }
}
