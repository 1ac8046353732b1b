/**
 * The results as tables for the terminal. Pure.
 */
import { faultsText } from '../compare/analyse.ts';
import { METRICS, type MetricKey } from '../compare/metrics.ts';
import type { Baseline, Cell, ExperimentInfo, Results } from '../compare/types.ts';
import { busyText } from './busy-machine.ts';
import { estimateText, figure, SHORT } from './format.ts';
import { leadSentences, sentencesOf } from './sentence.ts';
import { opponents, summary, whichToChoose } from './summary.ts';
import {
  controlTexts,
  disturbedText,
  intervalTexts,
  marginText,
  NOT_JUDGED,
  outcomeText,
  shownOutcome,
  verdictsOf,
} from './verdicts.ts';

/** Replaces control characters, which a target's name might send to the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** Aligns the first columns and the last to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[], firstColumns = 2): string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const widths = (rows[0] ?? []).map((_, column) => width(column));
  return rows.map((row) => {
    const cells = row.map((text, i) =>
      i < firstColumns || i === row.length - 1 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0),
    );
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

export function errorsText(cell: Cell): string {
  return faultsText(cell) || '0';
}

/** Median and interval of a metric, with >= for a lower bound and ! for outliers. */
export function metricText(cell: Cell, key: MetricKey): string {
  const found = cell.metrics[key];
  if (found === undefined) return '-';
  const mark = found.outlierRound === null ? '' : '!';
  return `${found.boundRuns > 0 ? '>=' : ''}${estimateText(found)}${mark}`;
}

/** The verdict on the primary metric, and the other metrics that differ: "worse, 1.40 times (1.2 to 1.6); better: CPU". */
export function verdictText(results: Results, cell: Cell): string {
  if (cell.label === results.reference) return 'reference';
  const [primary, ...others] = verdictsOf(results, cell);
  if (primary === undefined) return '-';
  const { outcome } = primary;
  const first = outcome === 'undecided' || outcome === 'fails' ? outcome : outcomeText(primary);
  const parts = (['better', 'worse'] as const).flatMap((wanted) => {
    const found = others.filter((verdict) => shownOutcome(verdict) === wanted);
    return found.length === 0 ? [] : [`${wanted}: ${found.map(({ metric }) => SHORT[metric]).join(', ')}`];
  });
  return [first, ...parts].join('; ');
}

/** The primary figures that are undecided, and what would decide. */
function undecidedLines(results: Results, experiment: ExperimentInfo): string[] {
  const cells = results.cells.filter((cell) => cell.experiment === experiment.name);
  return cells.flatMap((cell) => {
    const primary = verdictsOf(results, cell).find((verdict) => verdict.primary);
    if (primary?.outcome !== 'undecided') return [];
    const point = experiment.points.find(({ key }) => key === cell.point)?.title ?? cell.point;
    return [`  ${point}, ${printable(cell.label)}: undecided, ${SHORT[primary.metric]}: ${primary.why}`];
  });
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
  const sentences = sentencesOf(results, experiment).map((text) => `  ${printable(text)}`);
  return [
    `${experiment.title}`,
    ...sentences,
    ...table([head, ...rows]),
    ...undecidedLines(results, experiment),
    '',
  ];
}

export function baselineLines({ file, date, figures, notes }: Baseline): string[] {
  const rows = figures.map(({ experiment, point, label, metric, before, now }) => [
    experiment,
    printable(label),
    point,
    METRICS[metric].title,
    estimateText(before),
    estimateText(now),
  ]);
  return [
    `Beside ${file} (${date}). ${NOT_JUDGED}`,
    ...notes.map((note) => `  ${note}`),
    ...(rows.length === 0
      ? []
      : table([['experiment', 'server', 'point', 'metric', 'then', 'now'], ...rows])),
    '',
  ];
}

/** The verdicts on each server against its old build. */
function buildLines({ contestants, verdicts }: Results): string[] {
  const builds = contestants.filter(({ kind }) => kind === 'before').map(({ label }) => label);
  const rows = verdicts
    .filter(({ reference }) => builds.includes(reference))
    .map((v) => [v.experiment, printable(v.label), v.point, METRICS[v.metric].title, outcomeText(v)]);
  if (rows.length === 0) return [];
  return [
    'Against the old build',
    ...table([['experiment', 'server', 'point', 'metric', 'now'], ...rows]),
    '',
  ];
}

/** Figures in a row of the summary, which has to fit a terminal. */
const SUMMARY_VALUES_MAX = 2;

/** The short answer; it comes last, where a reader of a long report is. */
function summaryLines(results: Results): string[] {
  // Of many loads the figures are in their tables.
  const valuesText = (values: readonly string[]) =>
    values.length <= SUMMARY_VALUES_MAX ? values.join(', ') : null;
  const rows = summary(results).map(({ experiments, choice, values, against }) => [
    experiments.map(({ name }) => name).join(', '),
    printable(choice),
    valuesText(values) ?? '-',
    ...against.map(({ values: own, parts }) => {
      const text = parts.map((part) => part.text).join('; ');
      const value = valuesText(own);
      return parts.length === 0 ? '-' : `${value === null ? '' : `${value}: `}${text}`;
    }),
  ]);
  if (rows.length === 0) return [];
  const heads = opponents(results).map((label) => printable(`${label} against ${results.reference}`));
  return [
    '',
    'Which server for which load',
    ...table([['load', 'choose', printable(results.reference), ...heads], ...rows], 3 + heads.length),
    ...whichToChoose(results).map(printable),
  ];
}

export function terminalReport(results: Results): string[] {
  const measured = results.experiments.filter((experiment) =>
    results.cells.some((cell) => cell.experiment === experiment.name),
  );
  const failures = [...new Set(results.runs.flatMap((run) => (run.failure === null ? [] : [run.failure])))];
  const sentences = [busyText(results) ?? [], ...leadSentences(results)].flat().map(printable);
  const partial = results.partial
    ? [`PARTIAL: interrupted after ${results.runs.length} of ${results.plannedRuns} runs.`, '']
    : [];
  const notes = [
    ...failures.map((failure) => `failed run: ${printable(failure)}`),
    ...results.notes.map((note) => `note: ${printable(note)}`),
  ];
  if (measured.length === 0) return [...partial, ...notes];
  return [
    ...sentences,
    ...(sentences.length === 0 ? [] : ['']),
    ...partial,
    ...measured.flatMap((experiment) => experimentTable(results, experiment)),
    ...buildLines(results),
    ...intervalTexts(results),
    `Verdicts against ${results.reference}; same: to within ${marginText(results)}.`,
    '! = includes an outlier (one clean cell in a hundred has one). >= = a lower bound: requests timed out or were never sent.',
    '* = the load generator was the bottleneck: in rates and times the server may be better than measured. ~ = its own lateness was not small.',
    ...controlTexts(results),
    disturbedText(results),
    '',
    ...(results.baseline === null ? [] : baselineLines(results.baseline)),
    ...notes,
    ...summaryLines(results),
  ];
}
