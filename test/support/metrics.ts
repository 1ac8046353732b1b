/**
 * A strict parser of the Prometheus text format 0.0.4: it throws on everything that the format does not allow, and on
 * unusable figures: a series without HELP or TYPE, a duplicate one, histograms with inconsistent buckets.
 */

export interface Metric {
  type: string;
  help: string;
  /** Value by name and labels as written: `x_bucket{le="1"}`. */
  samples: Map<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(`^(${NAME})(\\{${LABEL}(?:,${LABEL})*\\})? (\\S+)$`);
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/;
const TYPES = ['counter', 'gauge', 'histogram'];

function fail(line: string, why: string): never {
  throw new Error(`${why}: ${line}`);
}

/** Metrics by name. The lines of a metric must be adjacent: HELP, TYPE, then its samples. */
export function parseMetrics(text: string): Map<string, Metric> {
  if (!text.endsWith('\n')) throw new Error('the last line has no newline');
  const metrics = new Map<string, Metric>();
  let name = '';
  for (const line of text.split('\n')) {
    const heading = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    const [, kind, named = '', rest = ''] = heading ?? [];
    const metric = metrics.get(name);
    if (line === '') continue;
    if (kind === 'HELP') {
      if (metrics.has(named)) fail(line, 'a second HELP');
      name = named;
      metrics.set(name, { type: '', help: rest, samples: new Map() });
    } else if (kind === 'TYPE') {
      if (metric === undefined || named !== name || metric.type !== '') fail(line, 'a TYPE out of place');
      if (!TYPES.includes(rest)) fail(line, 'an unknown type');
      metric.type = rest;
    } else {
      addSample(line, name, metric);
    }
  }
  for (const [own, metric] of metrics) checkMetric(own, metric);
  return metrics;
}

function addSample(line: string, name: string, metric: Metric | undefined): void {
  const match = SAMPLE.exec(line);
  if (match === null) fail(line, 'not a sample');
  const [, sample = '', labels = '', value = ''] = match;
  const suffixes = metric?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  if (!suffixes.some((suffix) => sample === name + suffix)) fail(line, `not a sample of ${name}`);
  if (metric === undefined || metric.type === '' || !NUMBER.test(value))
    fail(line, 'out of place, or not a number');
  if (metric.samples.has(sample + labels)) fail(line, 'a second sample');
  metric.samples.set(sample + labels, Number(value.replace('Inf', 'Infinity')));
}

function checkMetric(name: string, { type, samples }: Metric): void {
  const values = [...samples.values()];
  if (type === '') throw new Error(`${name} has no type`);
  if ((type === 'counter') !== name.endsWith('_total')) throw new Error(`${name} is a ${type}`);
  if (type !== 'gauge' && values.some((value) => !(value >= 0))) throw new Error(`${name} is below 0`);
  if (type !== 'histogram') return;
  const buckets = [...samples].filter(([sample]) => sample.startsWith(`${name}_bucket{`));
  const bounds = buckets.map(([sample]) =>
    Number(/le="([^"]+)"/.exec(sample)?.[1]?.replace('+Inf', 'Infinity')),
  );
  const counts = buckets.map(([, count]) => count);
  const rises = (list: number[]) => list.every((value, i) => i === 0 || value >= (list[i - 1] ?? Number.NaN));
  if (!rises(bounds) || !rises(counts) || bounds.at(-1) !== Number.POSITIVE_INFINITY) {
    throw new Error(`${name}: buckets out of order`);
  }
  if (counts.at(-1) !== samples.get(`${name}_count`))
    throw new Error(`${name}: the count differs from the last bucket`);
}
