/**
 * Times of a run. Some are censored: a request that was never sent or not answered in time would have taken longer than
 * the generator waited, by an unknown time. Pure.
 *
 * So a figure has a range. Its lower end counts each censored time as its bound, its upper end as endless. Where both
 * are the same, within a bucket of the histogram, the figure is exact: the median when one of a hundred requests timed
 * out. Otherwise the lower end is given, and `atLeast` names the figure.
 */
import { Histogram } from './histogram.ts';
import type { Distribution, DistributionFigure, TimesParts } from './schema.ts';

const PERCENTILES = { p50Ms: 50, p90Ms: 90, p95Ms: 95, p99Ms: 99, p999Ms: 99.9 } as const;
type Percentile = keyof typeof PERCENTILES;

export class Times {
  private readonly known = new Histogram();
  private readonly bounds = new Histogram();

  record(ms: number): void {
    this.known.record(ms);
  }

  /** A time of which only a lower bound is known. */
  censor(atLeastMs: number): void {
    this.bounds.record(atLeastMs);
  }

  clear(): void {
    this.known.clear();
    this.bounds.clear();
  }

  add({ known, censored }: TimesParts): void {
    this.known.add(known);
    this.bounds.add(censored);
  }

  parts(): TimesParts {
    return { known: this.known.parts(), censored: this.bounds.parts() };
  }

  get censored(): number {
    return this.bounds.count;
  }

  /** The buckets of the times that were measured. */
  answered(): Iterable<{ ms: number; count: number }> {
    return this.known.filled();
  }

  /** All times, each censored one as its bound. */
  lowest(): Histogram {
    if (this.censored === 0) return this.known;
    const all = new Histogram();
    all.add(this.known.parts());
    all.add(this.bounds.parts());
    return all;
  }

  distribution(): Distribution {
    const all = this.lowest();
    const percentiles = Object.fromEntries(
      Object.entries(PERCENTILES).map(([name, percent]) => [name, all.percentileMs(percent)]),
    ) as Record<Percentile, number>;
    const { averageMs, worstMs } = all;
    return {
      count: this.known.count,
      censored: this.censored,
      averageMs,
      worstMs,
      ...percentiles,
      atLeast: this.censored === 0 ? [] : this.bounded(percentiles, all),
    };
  }

  /** The figures that the censored times may raise. */
  private bounded(lowest: Record<Percentile, number>, all: Histogram): DistributionFigure[] {
    const { known } = this;
    const moved = (Object.keys(PERCENTILES) as Percentile[]).filter((name) => {
      const rank = all.rankOf(PERCENTILES[name]);
      return rank > known.count || known.atRankMs(rank) > lowest[name];
    });
    return ['averageMs', 'worstMs', ...moved];
  }
}
