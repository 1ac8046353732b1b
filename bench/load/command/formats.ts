/**
 * Machine-readable results: JSON lines, CSV, and HdrHistogram's percentile text format. Pure.
 */
import { ERROR_CLASSES } from '../result.ts';
import type { BenchRun } from '../schema.ts';
import type { Times } from '../times.ts';

/** More digits than a measurement has, and fewer than a double. */
const DIGITS = 6;

/** Numbers that are not whole, rounded to DIGITS significant digits, at any depth. */
export function rounded<T>(value: T): T {
  const round = (_: string, part: unknown) =>
    typeof part === 'number' && !Number.isInteger(part) ? Number(part.toPrecision(DIGITS)) : part;
  return JSON.parse(JSON.stringify(value, round)) as T;
}

export function jsonLine(run: BenchRun): string {
  return `${JSON.stringify(run)}\n`;
}

const COLUMNS: readonly (readonly [name: string, value: (run: BenchRun) => string | number | boolean])[] = [
  ['target', (run) => run.target],
  ['mode', (run) => run.mode],
  ['stage', (run) => run.stage ?? ''],
  ['clients', (run) => run.clients],
  ['repeat', (run) => run.repeat],
  ['requests', (run) => run.requests],
  ['messageBytes', (run) => run.messageBytes],
  ['rate', (run) => run.rate ?? ''],
  ['arrivals', (run) => run.arrivals ?? ''],
  ['durationMs', (run) => run.durationMs],
  ['startedAt', (run) => run.startedAt],
  ['roundTripMs', (run) => run.roundTripMs ?? ''],
  ['windowMs', (run) => run.windowMs],
  ['completed', (run) => run.completed],
  ['perSecond', (run) => run.perSecond],
  ['count', (run) => run.response.count],
  ['censored', (run) => run.response.censored],
  ['atLeast', (run) => run.response.atLeast.join(' ')],
  ['averageMs', (run) => run.response.averageMs],
  ['worstMs', (run) => run.response.worstMs],
  ['p50Ms', (run) => run.response.p50Ms],
  ['p90Ms', (run) => run.response.p90Ms],
  ['p95Ms', (run) => run.response.p95Ms],
  ['p99Ms', (run) => run.response.p99Ms],
  ['p999Ms', (run) => run.response.p999Ms],
  ['rawAverageMs', (run) => run.responseRaw?.averageMs ?? ''],
  ['rawWorstMs', (run) => run.responseRaw?.worstMs ?? ''],
  ['rawP99Ms', (run) => run.responseRaw?.p99Ms ?? ''],
  ['latenessP50Ms', (run) => run.lateness?.p50Ms ?? ''],
  ['latenessP99Ms', (run) => run.lateness?.p99Ms ?? ''],
  ['late', (run) => run.late ?? ''],
  ['due', (run) => run.due ?? ''],
  ['missedSends', (run) => run.missedSends ?? ''],
  ['unsent', (run) => run.unsent ?? ''],
  ['connectAverageMs', (run) => run.connect.averageMs],
  ['connectWorstMs', (run) => run.connect.worstMs],
  ['connectP50Ms', (run) => run.connect.p50Ms],
  ['connectP99Ms', (run) => run.connect.p99Ms],
  ['connectCensored', (run) => run.connect.censored],
  ['connectAtLeast', (run) => run.connect.atLeast.join(' ')],
  ...ERROR_CLASSES.map((name) => [name, (run: BenchRun) => run.errors[name]] as const),
  ['serverCpuMs', (run) => run.serverCpuMs ?? ''],
  ['serverCpuPerSampleUs', (run) => run.serverCpuPerSampleUs ?? ''],
  ['generatorCpuShare', (run) => run.generatorCpuShare],
  ['generatorRunDelayShare', (run) => run.generatorRunDelayShare ?? ''],
  ['saturated', (run) => run.saturated],
  ['partial', (run) => run.partial],
  ['seed', (run) => run.seed],
];

export const CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\n`;

/** One line of CSV. No value contains a comma or a quotation mark. */
export function csvLine(run: BenchRun): string {
  return `${COLUMNS.map(([, value]) => value(run)).join(',')}\n`;
}

// HdrHistogram's default: lines per halving of the distance to 100 %.
const TICKS_PER_HALF = 5;

/** The fractions of a percentile plot: finer towards 1, then 1 itself. */
function* fractions(count: number): Generator<number> {
  for (let halving = 0; 2 ** halving <= count; halving++) {
    const from = 1 - 0.5 ** halving;
    for (let tick = 0; tick < TICKS_PER_HALF; tick++) {
      yield from + (tick / TICKS_PER_HALF) * 0.5 ** (halving + 1);
    }
  }
  yield 1;
}

function hgrmRow(ms: number, fraction: number, total: number): string {
  const row = `${ms.toFixed(6).padStart(12)} ${fraction.toFixed(12).padStart(14)} ${String(total).padStart(10)}`;
  return fraction < 1 ? `${row} ${(1 / (1 - fraction)).toFixed(2).padStart(14)}\n` : `${row}\n`;
}

/** The distribution in HdrHistogram's format; values in ms, those of requests without an answer as lower bounds. */
export function hgrm(times: Times): string {
  const histogram = times.lowest();
  const filled = [...histogram.filled()];
  const wanted = histogram.count === 0 ? [] : [...fractions(histogram.count)];
  let text = '       Value     Percentile TotalCount 1/(1-Percentile)\n\n';
  let seen = 0;
  let next = 0;
  for (const { ms, count } of filled) {
    seen += count;
    while ((wanted[next] ?? 2) <= seen / histogram.count) {
      text += hgrmRow(ms, wanted[next] as number, seen); // defined: the default 2 ends the loop
      next++;
    }
  }
  const spread = filled.reduce((sum, { ms, count }) => sum + count * (ms - histogram.averageMs) ** 2, 0);
  const deviation = histogram.count === 0 ? 0 : Math.sqrt(spread / histogram.count);
  const figure = (value: number) => value.toFixed(6).padStart(12);
  return (
    `${text}#[Mean    = ${figure(histogram.averageMs)}, StdDeviation   = ${figure(deviation)}]\n` +
    `#[Max     = ${figure(histogram.worstMs)}, Total count    = ${String(histogram.count).padStart(12)}]\n` +
    `#[Buckets = ${String(34).padStart(12)}, SubBuckets     = ${String(2048).padStart(12)}]\n` +
    (times.censored === 0 ? '' : `#[Censored = ${times.censored} values, counted as their lower bounds]\n`)
  );
}
