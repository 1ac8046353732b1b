/** The sample that `percent` of all do not exceed. (99.9 % of 2,000 is slightly above 1,998 in floating point.) */
export function rank(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length - 1e-9) - 1)] ?? Number.NaN;
}
