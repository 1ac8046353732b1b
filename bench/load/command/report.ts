/**
 * The results as a table, and warnings about their validity. Pure.
 */
import { durationText } from '../../../src/options/units.ts';
import { selfCheckText } from '../../self-check.ts';
import { ERROR_CLASSES, LATE_SHARE, type Mode, SATURATED_SHARE } from '../result.ts';
import type { Distribution, DistributionFigure } from '../schema.ts';
import type { BenchOptions } from './bench-options.ts';
import { merged, type Point } from './points.ts';
import { perSecondText, targetText } from './values.ts';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat('en-US', { maximumFractionDigits: 20 });

/** Milliseconds with three significant digits. */
function ms(value: number): string {
  return value >= 100 ? whole.format(value) : value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

const HEAD = ['clients', 'samples', 'per second', 'average', 'worst', 'p50', 'p90', 'p99', 'p99.9'];
const HEAD_MORE = ['connect avg', 'connect p99', 'connect worst', 'generator', 'run delay'];

function head(mode: Mode): string[] {
  return [...HEAD, ...HEAD_MORE, ...(mode === 'open' ? ['late p99', 'unsent'] : []), 'errors'];
}

/** One figure, with >= where it is a lower bound. */
function time(found: Distribution, figure: DistributionFigure): string {
  if (found.count + found.censored === 0) return '-';
  return `${found.atLeast.includes(figure) ? '>=' : ''}${ms(found[figure])}`;
}

function times(found: Distribution): string[] {
  return (['averageMs', 'worstMs', 'p50Ms', 'p90Ms', 'p99Ms', 'p999Ms'] as const).map((figure) =>
    time(found, figure),
  );
}

/** Errors by class: "3 timeout, 1 reset", or "0". */
function errorsOf(point: Point): string {
  const parts = ERROR_CLASSES.filter((name) => point.errors[name] > 0);
  return parts.map((name) => `${point.errors[name]} ${name}`).join(', ') || '0';
}

/** The p99 of the generator's own lateness, with ~ where it is not small against the response times. */
function latenessText({ lateness, runs }: Point): string {
  return lateness.count === 0 ? '-' : `${ms(lateness.p99Ms)}${runs.some((run) => run.late) ? '~' : ''}`;
}

function rows(point: Point, mode: Mode): string[][] {
  const { connect } = point;
  const share = Math.max(0, ...point.runs.map((run) => run.generatorCpuShare));
  const delays = point.runs.flatMap((run) => run.generatorRunDelayShare ?? []);
  const saturated = point.runs.some((run) => run.saturated) ? '*' : '';
  const made = (['averageMs', 'p99Ms', 'worstMs'] as const).map((figure) => time(connect, figure));
  const first = [
    `${point.clients}${point.partial ? ' (partial)' : ''}`,
    whole.format(point.response.count),
    perSecondText(point.perSecond),
    ...times(point.response),
    ...made,
    share.toFixed(2),
    `${delays.length === 0 ? '-' : Math.max(...delays).toFixed(2)}${saturated}`,
    ...(mode === 'open' ? [latenessText(point), whole.format(point.unsent)] : []),
    errorsOf(point),
  ];
  const raw = point.runs.map((run) => run.responseRaw).filter((found) => found !== undefined);
  return raw.length === 0 ? [first] : [first, ['  raw', '', '', ...times(merged(raw))]];
}

/** Columns aligned to the right. */
function table(lines: readonly (readonly string[])[]): string[] {
  const columns = Math.max(...lines.map((line) => line.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...lines.map((line) => line[i]?.length ?? 0)),
  );
  return lines.map((line) => line.map((text, i) => text.padStart(widths[i] ?? 0)).join('  '));
}

/** The measurement in one line. */
export function headLine(options: BenchOptions): string {
  const { mode, requests, durationMs, messageBytes, repeat, rate, arrivals, seed } = options;
  const per = { burst: 'per client', closed: 'per client', open: '', churn: 'connections each' }[mode];
  const parts = [
    `${mode} ${targetText(options.target)}`,
    ...(requests > 0 ? [`${whole.format(requests)} ${mode === 'churn' ? '' : 'requests '}${per}`] : []),
    ...(durationMs > 0 && (requests === 0 || mode === 'burst') ? [durationText(durationMs)] : []),
    ...(mode === 'open'
      ? [
          `${exact.format(rate)} requests/s intended`,
          ...(arrivals === 'even' ? [] : [`${arrivals} arrivals`]),
        ]
      : []),
    `${whole.format(messageBytes)} bytes`,
    ...(repeat > 1 ? [`${repeat} repeats`] : []),
    `seed ${seed}`,
  ];
  return parts.join(', ');
}

function pinnedLine([point]: readonly Point[]): string[] {
  const cpus = point?.runs[0]?.generatorCpus ?? null;
  if (cpus === null) return [];
  return [
    `the generator ran on processor ${cpus.join(',')}; keep the server off it, which bench does not start (taskset)`,
  ];
}

function selfCheckLines(points: readonly Point[]): string[] {
  return points.flatMap(({ clients, runs }) => {
    const check = runs[0]?.selfCheck;
    return check === undefined ? [] : [`at ${clients} clients: ${selfCheckText(check)}`];
  });
}

/** The table: one row per point; in open mode a second one with the times from the actual send. */
export function report(points: readonly Point[], options: BenchOptions): string {
  const { mode } = options;
  const lines = table([head(mode), ...points.flatMap((point) => rows(point, mode))]);
  const what = mode === 'churn' ? 'whole connections' : 'response times';
  const isBound = lines.some((line) => line.includes('>='));
  const which = isBound ? '; >= at least: requests timed out or were never sent' : '';
  const rest = [...pinnedLine(points), ...selfCheckLines(points)].map((line) => `${line}\n`);
  return `${headLine(options)}\n${what} in ms${which}\n${lines.join('\n')}\n${rest.join('')}`;
}

/** What makes the figures less reliable. */
export function warnings(points: readonly Point[]): string[] {
  return points.flatMap((point) => {
    const at = `at ${point.clients} clients`;
    const { due, unsent } = point;
    const late = point.runs.reduce((total, run) => total + (run.missedSends ?? 0), 0) - unsent;
    const details = point.runs.flatMap((run) => run.errorDetails)[0];
    return [
      ...(point.runs.some((run) => run.saturated)
        ? [
            `${at} the generator ran or waited for a processor during more than ${SATURATED_SHARE} of the time (*): it may be the bottleneck`,
          ]
        : []),
      ...(point.runs.some((run) => run.late)
        ? [
            `${at} the generator itself sent up to ${ms(point.lateness.p99Ms)} ms late (p99, ~): more than ${LATE_SHARE} of a response time`,
          ]
        : []),
      ...(unsent > 0
        ? [
            `${at} ${unsent} of ${due} requests were never sent: response times that they would raise are lower bounds (>=)`,
          ]
        : []),
      ...(late > 0 ? [`${at} ${late} of ${due} requests were sent late`] : []),
      ...(details === undefined ? [] : [`${at} ${point.errorTotal} errors, first: ${details}`]),
    ];
  });
}
