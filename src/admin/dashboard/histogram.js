// @ts-check
/**
 * Percentiles of histograms, as bucket indexes. Pure.
 */

/**
 * The bucket in which the share `q` of all samples is reached; -1 without samples.
 * @param {readonly number[]} counts per bucket, not cumulative
 * @param {number} q above 0, at most 1
 */
export function quantile(counts, q) {
  const goal = counts.reduce((total, value) => total + value, 0) * q;
  if (goal === 0) return -1;
  let reached = 0;
  for (const [bucket, value] of counts.entries()) {
    reached += value;
    if (reached >= goal) return bucket;
  }
  return counts.length - 1;
}

/** The highest bucket that has a sample; -1 without samples. @param {readonly number[]} counts */
export function lastUsed(counts) {
  return counts.findLastIndex((value) => value > 0);
}
