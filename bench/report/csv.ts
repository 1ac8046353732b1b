/**
 * The runs as CSV (RFC 4180), one line each. Pure.
 */
import { boundMetrics } from '../compare/analyse.ts';
import { METRIC_KEYS } from '../compare/metrics.ts';
import type { Results, Run } from '../compare/types.ts';
import { ERROR_CLASSES } from '../load/result.ts';

/** Quotes where necessary and prefixes a leading formula sign, which spreadsheets would evaluate. */
export function csvField(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const LOAD_COLUMNS = ['p50Ms', 'p90Ms', 'p999Ms'] as const;
const CONNECT_COLUMNS = ['averageMs', 'worstMs'] as const;

const HEAD = [
  'experiment',
  'point',
  'clients',
  'requests',
  'server',
  'round',
  'order',
  ...METRIC_KEYS,
  ...LOAD_COLUMNS,
  ...CONNECT_COLUMNS.map((name) => `connect.${name}`),
  'completed',
  'generatorCpuShare',
  'generatorRunDelayShare',
  'saturated',
  'latenessP99Ms',
  'late',
  ...ERROR_CLASSES.map((name) => `errors.${name}`),
  'unsent',
  'atLeast',
  'failure',
];

function row(results: Results, run: Run): (string | number | boolean | null | undefined)[] {
  const experiment = results.experiments.find(({ name }) => name === run.experiment);
  const point = experiment?.points.find(({ key }) => key === run.point);
  const { load } = run;
  return [
    run.experiment,
    run.point,
    point?.clients,
    point?.requests,
    run.label,
    run.round,
    run.order,
    ...METRIC_KEYS.map((key) => run.metrics[key]),
    ...LOAD_COLUMNS.map((key) => load?.response[key]),
    ...CONNECT_COLUMNS.map((key) => load?.connect[key]),
    load?.completed,
    load?.generatorCpuShare,
    load?.generatorRunDelayShare,
    load?.saturated,
    load?.lateness?.p99Ms,
    load?.late,
    ...ERROR_CLASSES.map((name) => load?.errors[name] ?? 0),
    load?.unsent ?? 0,
    boundMetrics(load).join(' '),
    run.failure,
  ];
}

export function csvReport(results: Results): string {
  const lines = [HEAD, ...results.runs.map((run) => row(results, run))];
  return `${lines.map((fields) => fields.map(csvField).join(',')).join('\r\n')}\r\n`;
}
