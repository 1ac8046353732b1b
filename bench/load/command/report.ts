/**
 * The results as a table, and warnings about their validity. Pure.
 */
import { durationText } from '../../../src/options/units.ts';
import { selfCheckText } from '../../self-check.ts';
import { ERROR_CLASSES, LATE_SHARE, type Mode, SATURATED_SHARE } from '../result.ts';
import type { Distribution, DistributionFigure } from '../schema.ts';
import type { BenchOptions } from './bench-options.ts';
import { latencyChart } from './latency-chart.ts';
import { type Point, whereText } from './points.ts';
import { ms, perSecondText, targetText } from './values.ts';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat('en-US', { maximumFractionDigits: 20 });

const HEAD = ['samples', 'per second', 'average', 'worst', 'p50', 'p90', 'p95', 'p99', 'p99.9'];
const HEAD_MORE = ['connect avg', 'connect p99', 'connect worst', 'generator', 'run delay'];

/** Columns that depend on the load. */
interface Columns {
  isOpen: boolean;
  isStaged: boolean;
  hasCpu: boolean;
}

function columnsFor(points: readonly Point[], mode: Mode): Columns {
  return {
    isOpen: mode === 'open',
    isStaged: points.some(({ stage }) => stage !== undefined),
    hasCpu: points.some(({ cpuPerSampleUs }) => cpuPerSampleUs !== null),
  };
}

function head({ isOpen, isStaged, hasCpu }: Columns): string[] {
  return [
    ...(isStaged ? ['stage'] : []),
    'clients',
    ...(isStaged && isOpen ? ['intended'] : []),
    ...HEAD,
    ...HEAD_MORE,
    ...(hasCpu ? ['server CPU µs'] : []),
    ...(isOpen ? ['late p99', 'unsent'] : []),
    'errors',
  ];
}

/** One figure, with >= where it is a lower bound. */
function time(found: Distribution, figure: DistributionFigure): string {
  if (found.count + found.censored === 0) return '-';
  return `${found.atLeast.includes(figure) ? '>=' : ''}${ms(found[figure])}`;
}

function times(found: Distribution): string[] {
  return (['averageMs', 'worstMs', 'p50Ms', 'p90Ms', 'p95Ms', 'p99Ms', 'p999Ms'] as const).map((figure) =>
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

function rows(point: Point, { isOpen, isStaged, hasCpu }: Columns): string[][] {
  const { connect, raw, stage, rate, cpuPerSampleUs } = point;
  const share = Math.max(0, ...point.runs.map((run) => run.generatorCpuShare));
  const delays = point.runs.flatMap((run) => run.generatorRunDelayShare ?? []);
  const saturated = point.runs.some((run) => run.saturated) ? '*' : '';
  const made = (['averageMs', 'p99Ms', 'worstMs'] as const).map((figure) => time(connect, figure));
  const load = [
    ...(isStaged ? [String(stage ?? '')] : []),
    `${point.clients}${point.partial ? ' (partial)' : ''}`,
    ...(isStaged && isOpen ? [exact.format(rate ?? 0)] : []),
  ];
  const first = [
    ...load,
    whole.format(point.response.count),
    perSecondText(point.perSecond),
    ...times(point.response),
    ...made,
    share.toFixed(2),
    `${delays.length === 0 ? '-' : Math.max(...delays).toFixed(2)}${saturated}`,
    ...(hasCpu ? [cpuPerSampleUs === null ? '-' : ms(cpuPerSampleUs)] : []),
    ...(isOpen ? [latenessText(point), whole.format(point.unsent)] : []),
    errorsOf(point),
  ];
  const blank = load.slice(1).map(() => '');
  return isOpen ? [first, ['  raw', ...blank, '', '', ...times(raw)]] : [first];
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
export function headLine(options: BenchOptions, roundTripMs: number | null = null): string {
  const { mode, requests, steps, messageBytes, repeat, arrivals, seed } = options;
  const { stage, durationMs = 0, rate = 0 } = steps[0] ?? {};
  const isStaged = stage !== undefined;
  const per = { burst: 'per client', closed: 'per client', open: '', churn: 'connections each' }[mode];
  const parts = [
    `${mode} ${targetText(options.target)}`,
    ...(requests > 0 ? [`${whole.format(requests)} ${mode === 'churn' ? '' : 'requests '}${per}`] : []),
    ...(isStaged ? [`${steps.length} stages`] : []),
    ...(!isStaged && durationMs > 0 && (requests === 0 || mode === 'burst')
      ? [durationText(durationMs)]
      : []),
    ...(mode === 'open'
      ? [
          ...(isStaged ? [] : [`${exact.format(rate)} requests/s intended`]),
          ...(arrivals === 'even' ? [] : [`${arrivals} arrivals`]),
        ]
      : []),
    `${whole.format(messageBytes)} bytes`,
    ...(repeat > 1 ? [`${repeat} repeats`] : []),
    `seed ${seed}`,
    ...(roundTripMs === null ? [] : [roundTripText(roundTripMs)]),
  ];
  return parts.join(', ');
}

export function roundTripText(roundTripMs: number): string {
  return `round trip ${ms(roundTripMs)} ms`;
}

/**
 * The table: one row per point; in open mode a second one with the times from the actual send. A single point also has
 * a chart of its response times.
 */
export function report(points: readonly Point[], mode: Mode, title: string): string {
  const columns = columnsFor(points, mode);
  const lines = table([head(columns), ...points.flatMap((point) => rows(point, columns))]);
  const what = mode === 'churn' ? 'whole connections' : 'response times';
  const isBound = lines.some((line) => line.includes('>='));
  const which = isBound ? '; >= at least: requests timed out or were never sent' : '';
  const [only, another] = points;
  const chart = only === undefined || another !== undefined ? [] : latencyChart(only.times);
  const method = [...pinnedLine(points), ...selfCheckLines(points)];
  return `${[title, `${what} in ms${which}`, ...lines, ...method, ...chart].join('\n')}\n`;
}

function pinnedLine([point]: readonly Point[]): string[] {
  const cpus = point?.runs[0]?.generatorCpus ?? null;
  if (cpus === null) return [];
  return [
    `the generator ran on processor ${cpus.join(',')}; keep the server off it, which bench does not start (taskset)`,
  ];
}

function selfCheckLines(points: readonly Point[]): string[] {
  return points.flatMap((point) => {
    const check = point.runs[0]?.selfCheck;
    return check === undefined ? [] : [`${whereText(point)}: ${selfCheckText(check)}`];
  });
}

/** What makes the figures less reliable. */
export function warnings(points: readonly Point[]): string[] {
  return points.flatMap((point) => {
    const at = whereText(point);
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
