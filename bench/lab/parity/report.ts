/** The results as human-readable text. Pure. */
import { ERROR_CLASSES } from '../../load/result.ts';
import { CELLS, type Cell, SERVER_LABELS, type ServerName } from './cells.ts';
import { isBad, type Run } from './measure.ts';
import { type Metric, ratio, type Spread, summary, type Verdict } from './ratios.ts';

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Microseconds from nanoseconds, with one decimal below 100. */
function micros(ns: number): string {
  return ns < 1e5 ? (ns / 1e3).toFixed(1) : whole.format(ns / 1e3);
}

/** The first column aligned left, the others right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) => {
    const cells = row.map((text, i) => (i === 0 ? text.padEnd(width(i)) : text.padStart(width(i))));
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

function errorsOf(runs: readonly Run[]): string {
  const parts = ERROR_CLASSES.map((name) => {
    const count = runs.reduce((sum, run) => sum + (run.result?.errors[name] ?? 0), 0);
    return count === 0 ? '' : `${count} ${name}`;
  });
  const failed = runs.filter((run) => run.failure !== null).length;
  if (failed > 0) parts.push(`${failed} failed runs`);
  return parts.filter((part) => part !== '').join(', ') || '0';
}

function serverRow(runs: readonly Run[], cell: Cell, server: ServerName): string[] {
  const own = runs.filter((run) => run.cell === cell.name && run.server === server);
  const of = (metric: Metric) => summary(own, cell, server, metric);
  const show = (found: Spread | null, text: (value: number) => string) =>
    found === null ? '-' : text(found.median);
  const worst = of('worst');
  const saturated = own.some((run) => run.result?.saturated) ? '*' : '';
  return [
    SERVER_LABELS[server],
    show(of('throughput'), (value) => whole.format(value)),
    show(of('cpu'), (value) => value.toFixed(2)),
    show(of('p50'), micros),
    show(of('p99'), micros),
    show(of('p999'), micros),
    show(worst, micros),
    worst === null ? '-' : micros(worst.max),
    `${show(of('generator'), (value) => value.toFixed(2))}${saturated}`,
    errorsOf(own),
  ];
}

function showRatio(found: Spread | null): string {
  if (found === null) return '-';
  return `${found.median.toFixed(2)} (${found.min.toFixed(2)}-${found.max.toFixed(2)})`;
}

function ratioRow(runs: readonly Run[], cell: Cell, against: ServerName): string[] {
  const metrics: Metric[] = ['throughput', 'cpu', 'p50', 'p99', 'worst'];
  const ratios = metrics.map((metric) => showRatio(ratio(runs, cell, against, metric)));
  return [`cmwq / ${SERVER_LABELS[against]}`, ...ratios];
}

/** The table of one cell, then its ratios. */
export function cellReport(runs: readonly Run[], cell: Cell, servers: readonly ServerName[]): string[] {
  const perSecond = cell.unit === 'echo' ? 'echoes/s' : 'conns/s';
  const cpu = cell.unit === 'echo' ? 'CPU us/echo' : 'CPU us/conn';
  const head = [
    '',
    perSecond,
    cpu,
    'p50 us',
    'p99 us',
    'p99.9 us',
    'worst us',
    'of all',
    'generator',
    'errors',
  ];
  const others = servers.filter((server) => server !== 'cmwq');
  const ratioHead = ['', 'throughput', 'CPU', 'p50', 'p99', 'worst'];
  return [
    cell.title,
    ...table([head, ...servers.map((server) => serverRow(runs, cell, server))]),
    ...table([ratioHead, ...others.map((server) => ratioRow(runs, cell, server))]),
    '',
  ];
}

const GOOD = { atMost: 'at most', atLeast: 'at least', below: 'below' } as const;

/** One line per target and cell. */
export function verdictReport(found: readonly Verdict[]): string[] {
  const rows = found.map(({ target, cell, ratio: measured, met, close }) => [
    met === null ? 'not measured' : met ? 'met' : 'missed',
    CELLS.find((candidate) => candidate.name === cell)?.name ?? cell,
    target.what,
    showRatio(measured),
    `${GOOD[target.good]} ${target.limit.toFixed(2)} of ${SERVER_LABELS[target.against]}`,
    close ? 'some pairs differ' : '',
  ]);
  return ['Targets (cmwq, by the median of the pairs)', ...table(rows), ''];
}

/** The errors, run by run. */
export function failureReport(runs: readonly Run[]): string[] {
  const bad = runs.filter(isBad);
  const lines = bad.map((run) => {
    const details = [run.failure, ...(run.result?.errorDetails ?? [])].filter((detail) => detail !== null);
    return `  ${SERVER_LABELS[run.server]}, cell ${run.cell}, repeat ${run.repeat}: ${details.join('; ')}`;
  });
  return lines.length === 0 ? [] : ['Errors', ...lines, ''];
}
