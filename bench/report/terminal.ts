/**
 * The results as tables for the terminal. Pure.
 */
import {
  type Baseline,
  type Cell,
  type ExperimentInfo,
  METRICS,
  type MetricKey,
  type Results,
} from '../compare/types.ts';
import { ERROR_CLASSES, errorTotal } from '../load/result.ts';
import { INTERVAL_VALUES_MIN } from '../stats/bootstrap.ts';
import { factor, figure, intervalText, percent, SHORT } from './format.ts';

/** Replaces control characters, which a target's name might send to the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** Aligns the first two columns and the last to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const widths = (rows[0] ?? []).map((_, column) => width(column));
  return rows.map((row) => {
    const cells = row.map((text, i) =>
      i < 2 || i === row.length - 1 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0),
    );
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

export function errorsText(cell: Cell): string {
  const parts = ERROR_CLASSES.flatMap((name) => (cell.errors[name] ? [`${cell.errors[name]} ${name}`] : []));
  const unsent = cell.errorTotal - errorTotal(cell.errors);
  if (unsent > 0) parts.push(`${unsent} unsent`);
  if (cell.failedRuns > 0) parts.push(`${cell.failedRuns} failed runs`);
  return parts.join(', ') || '0';
}

/** Median and interval of a metric, with >= for a lower bound and ! for outliers. */
export function metricText(cell: Cell, key: MetricKey): string {
  const found = cell.metrics[key];
  if (found === undefined) return '-';
  const mark = found.outlierRounds.length > 0 ? '!' : '';
  return `${found.boundRuns > 0 ? '>=' : ''}${figure(found.median)}${intervalText(found, (low, high) => ` [${low}, ${high}]`)}${mark}`;
}

/** The verdicts on all ranked metrics of a cell: "worse: average, worst; better: CPU", or "no difference". */
export function verdictText(results: Results, cell: Cell): string {
  if (cell.label === results.reference) return 'reference';
  const own = results.verdicts.filter(
    ({ experiment, point, label }) =>
      experiment === cell.experiment && point === cell.point && label === cell.label,
  );
  const parts = (['better', 'worse'] as const).flatMap((outcome) => {
    const metrics = own.filter((verdict) => verdict.outcome === outcome).map(({ metric }) => SHORT[metric]);
    return metrics.length === 0 ? [] : [`${outcome}: ${metrics.join(', ')}`];
  });
  if (parts.length > 0) return parts.join('; ');
  return own.some(({ outcome }) => outcome === 'no difference') ? 'no difference' : 'not ranked';
}

function experimentTable(results: Results, experiment: ExperimentInfo): string[] {
  const keys = [...new Set([...experiment.ranked, 'threadsMax' as const])];
  const head = [
    experiment.axis,
    'server',
    ...keys.map((key) =>
      METRICS[key].unit === 'threads' ? 'threads' : `${SHORT[key]} ${METRICS[key].unit}`,
    ),
    'errors',
    'verdict',
  ];
  const rows = results.cells
    .filter((cell) => cell.experiment === experiment.name)
    .map((cell) => {
      const point = experiment.points.find(({ key }) => key === cell.point);
      const shown = keys.map((key) =>
        key === 'threadsMax' ? figure(cell.metrics[key]?.median ?? Number.NaN) : metricText(cell, key),
      );
      const marks = `${cell.saturatedRuns > 0 ? '*' : ''}${cell.lateRuns > 0 ? '~' : ''}`;
      return [
        point?.title ?? cell.point,
        printable(cell.label),
        ...shown,
        errorsText(cell),
        `${verdictText(results, cell)}${marks}`,
      ];
    });
  return [`${experiment.title}`, ...table([head, ...rows]), ''];
}

function noiseLine({ noise }: Results): string[] {
  if (noise.length === 0) return ['Noise floor: unknown (no A/A control, or too few runs of it).'];
  const factors = noise.map((floor) => floor.factor - 1).sort((a, b) => a - b);
  const low = factors[0] ?? 0;
  const high = factors.at(-1) ?? 0;
  return [`Noise floor of the A/A control: ${percent(low)} to ${percent(high)}, by experiment and metric.`];
}

export function baselineLines({ file, date, changes, notes }: Baseline): string[] {
  const rows = changes
    .filter(({ outcome }) => outcome === 'better' || outcome === 'worse')
    .map(({ experiment, point, label, metric, outcome, ratio }) => [
      experiment,
      printable(label),
      point,
      METRICS[metric].title,
      outcome,
      ratio === null ? '-' : factor(ratio.median),
    ]);
  const rest = changes.length - rows.length;
  return [
    `Since ${file} (${date}): ${rows.length} metrics changed, ${rest} did not or cannot be ranked.`,
    ...notes.map((note) => `  ${note}`),
    ...(rows.length === 0
      ? []
      : table([['experiment', 'server', 'point', 'metric', 'now', 'ratio'], ...rows])),
    '',
  ];
}

export function terminalReport(results: Results): string[] {
  const measured = results.experiments.filter((experiment) =>
    results.cells.some((cell) => cell.experiment === experiment.name),
  );
  const failures = [...new Set(results.runs.flatMap((run) => (run.failure === null ? [] : [run.failure])))];
  return [
    ...(results.partial
      ? [`PARTIAL: interrupted after ${results.runs.length} of ${results.plannedRuns} runs.`, '']
      : []),
    ...measured.flatMap((experiment) => experimentTable(results, experiment)),
    `Median of the runs with its 95 % interval (from ${INTERVAL_VALUES_MIN} runs on); verdicts against ${results.reference}.`,
    '! = includes outlier runs. >= = a lower bound: requests timed out or were never sent.',
    '* = the load generator was the bottleneck: only CPU and memory are ranked. ~ = its own lateness was not small.',
    ...noiseLine(results),
    '',
    ...(results.baseline === null ? [] : baselineLines(results.baseline)),
    ...failures.map((failure) => `failed run: ${printable(failure)}`),
    ...results.notes.map((note) => `note: ${printable(note)}`),
  ];
}
