/**
 * /metrics, in the Prometheus text format 0.0.4.
 *
 * Runs on the endpoint's thread. Nothing is counted here: each scrape sets every value from one snapshot, so counters are the
 * server's own and exact. Label values are bounded: reasons, states, causes, and CPU pools (at most 256). Connections
 * and workers are not labels (a worker id is reused by later threads); /status.json has them.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { HistogramStatus, ServerStatus } from '../schema/status.ts';
import { type AdminFigures, HISTOGRAMS, SERIES, type Series } from './series.ts';

export class Metrics {
  private readonly registry = new Registry();
  private readonly setters: ((status: ServerStatus, admin: AdminFigures) => void)[];

  constructor() {
    this.setters = [
      ...SERIES.map((series) => {
        const metric = this.register(series);
        return (status: ServerStatus, admin: AdminFigures) => {
          metric.reset();
          const samples = series.read(status, admin);
          for (const { labels = {}, value } of samples) metric.inc(labels, value);
          if (samples.length === 0 && series.label === undefined) metric.remove(); // the 0 that reset() leaves
        };
      }),
      ...HISTOGRAMS.map(({ name, help, read }) => {
        const histogram = new SnapshotHistogram(name, help, this.registry);
        return (status: ServerStatus) => {
          histogram.latest = read(status);
        };
      }),
    ];
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The registry reads every value before its first await, so concurrent scrapes do not mix. */
  text(status: ServerStatus, admin: AdminFigures): Promise<string> {
    for (const set of this.setters) set(status, admin);
    return this.registry.metrics();
  }

  private register({ type, name, help, label }: Series): Counter | Gauge {
    const labelNames = label === undefined ? [] : [label].flat();
    const configuration = { name, help, labelNames, registers: [this.registry] };
    return type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
  }
}

/** A histogram with buckets counted elsewhere: prom-client's own accepts only single observations. */
class SnapshotHistogram extends Histogram {
  private readonly heading: { name: string; help: string };
  latest: HistogramStatus = { boundsSeconds: [], counts: [], count: 0, sumSeconds: 0 };

  constructor(name: string, help: string, registry: Registry) {
    super({ name, help, registers: [registry] });
    this.heading = { name, help };
  }

  /** Called by the registry; not in prom-client's typings, so its version is pinned. */
  async getForPromString() {
    const { name } = this.heading;
    const { boundsSeconds, counts, count, sumSeconds } = this.latest;
    let sum = 0;
    const buckets = boundsSeconds.map((le, i) => {
      sum += counts[i] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le: String(le) }, value: sum };
    });
    return {
      ...this.heading,
      type: 'histogram',
      values: [
        ...buckets,
        { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
        { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
        { metricName: `${name}_count`, labels: {}, value: count },
      ],
    };
  }
}
