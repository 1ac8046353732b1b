/**
 * report.html: one self-contained file. Pure.
 *
 * It has no script, and its content security policy forbids scripts and all requests.
 */
import type { MetricKey } from '../compare/metrics.ts';
import type { Cell, ExperimentInfo, Results } from '../compare/types.ts';
import { busyText } from './busy-machine.ts';
import { type Chart, flatTimelines, metricCharts, timelineCharts } from './charts.ts';
import { figure, intervalText, listed, metricTitle } from './format.ts';
import { esc } from './markup.ts';
import { HOW_TO_READ, notShown } from './prose.ts';
import {
  baselineSection,
  buildsSection,
  environmentSection,
  overviewSection,
  summarySection,
  verdictMarkup,
} from './sections.ts';
import { leadSentences, sentencesOf } from './sentence.ts';
import { PAGE_STYLE } from './style.ts';
import { reportTitle, workGiven } from './summary.ts';
import { errorsText } from './terminal.ts';
import { intervalTexts, verdictsOf } from './verdicts.ts';

function figures(charts: readonly Chart[]): string {
  const drawn = charts.map(({ name, svg }) => `<figure id="${esc(name)}">${svg}</figure>`);
  return drawn.length === 0 ? '' : `<div class="charts">${drawn.join('\n')}</div>`;
}

function metricCell(results: Results, cell: Cell, key: MetricKey): string {
  const found = cell.metrics[key];
  if (found === undefined) return '<td class="soft">no data</td>';
  const { outlierRound } = found;
  const mark = outlierRound === null ? '' : ` <abbr title="outlier in round ${outlierRound}">!</abbr>`;
  const verdict = verdictsOf(results, cell).find(({ metric }) => metric === key);
  const judgement = verdict === undefined ? '' : `<br><small>${verdictMarkup(verdict)}</small>`;
  const interval = intervalText(found, (low, high) => ` <small>${low} to ${high}</small>`);
  const bound = found.boundRuns > 0 ? '\u2265 ' : '';
  return `<td class="number">${bound}${figure(found.median)}${mark}${interval}${judgement}</td>`;
}

function cellRow(results: Results, experiment: ExperimentInfo, cell: Cell, isFirst: boolean): string {
  const point = experiment.points.find(({ key }) => key === cell.point)?.title ?? cell.point;
  const keys = columns(experiment);
  const saturated = cell.saturatedRuns > 0 ? `, generator the bottleneck in ${cell.saturatedRuns}` : '';
  const late = cell.lateRuns > 0 ? `, generator late in ${cell.lateRuns}` : '';
  return `<tr${isFirst ? ' class="first"' : ''}><td>${esc(point)}</td><th scope="row">${esc(cell.label)}</th>${keys
    .map((key) => metricCell(results, cell, key))
    .join('')}<td>${cell.runs}${esc(saturated)}${esc(late)}</td><td>${esc(errorsText(cell))}</td></tr>`;
}

function columns(experiment: ExperimentInfo): MetricKey[] {
  return [...new Set<MetricKey>([...experiment.ranked, ...experiment.charts])];
}

function numbers(results: Results, experiment: ExperimentInfo): string {
  const cells = results.cells.filter((cell) => cell.experiment === experiment.name);
  const heads = [experiment.axis, 'server', ...columns(experiment).map(metricTitle), 'runs', 'errors'];
  const rows = cells.map((cell, i) =>
    cellRow(results, experiment, cell, i > 0 && cells[i - 1]?.point !== cell.point),
  );
  return `<div class="wide" tabindex="0"><table><thead><tr>${heads
    .map((head) => `<th scope="col">${esc(head)}</th>`)
    .join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
}

function flatText(labels: readonly string[]): string {
  if (labels.length === 0) return '';
  const text = `No timeline of ${listed(labels)}: the queue, busy workers and threads hardly change under this load, or it is over too soon.`;
  return `<p class="soft">${esc(text)}</p>`;
}

function experimentSection(results: Results, experiment: ExperimentInfo): string {
  const isMeasured = results.cells.some((cell) => cell.experiment === experiment.name);
  const body = isMeasured
    ? `${figures(metricCharts(results, experiment))}${figures(timelineCharts(results, experiment))}${flatText(flatTimelines(results, experiment))}<h3>Numbers</h3><p class="soft">${esc(intervalTexts(results).join(' '))} Verdicts against ${esc(results.reference)}.</p>${numbers(results, experiment)}`
    : '<p class="soft">Nothing was measured.</p>';
  return `<section id="${esc(experiment.name)}"><h2>${esc(experiment.title)}</h2><p>${esc(experiment.question)}</p>${list(sentencesOf(results, experiment))}${body}</section>`;
}

function list(items: readonly string[], name?: string): string {
  if (items.length === 0) return '';
  return `<ul${name === undefined ? '' : ` class="${name}"`}>${items.map((item) => `<li>${esc(item)}</li>`).join('')}</ul>`;
}

/** "44 runs (4 of 48 were skipped, see the notes) and 6 for timelines". */
function countText({ runs, plannedRuns, timelines, partial }: Results): string {
  const skipped = partial ? 0 : plannedRuns - runs.length;
  return [
    `${runs.length} runs`,
    ...(skipped > 0 ? [`(${skipped} of ${plannedRuns} were skipped, see the notes)`] : []),
    ...(timelines.length > 0 ? [`and ${timelines.length} for timelines`] : []),
  ].join(' ');
}

function head(results: Results): string {
  const { partial, runs, plannedRuns, environment, experiments, reference } = results;
  const busy = busyText(results);
  const warning = partial
    ? `<p class="notice" id="partial"><strong>Partial.</strong> The comparison was interrupted after ${runs.length} of ${plannedRuns} runs.</p>`
    : '';
  const links = [
    ...experiments.map(({ name, title }) => [name, title]),
    ['reading', 'How to read it'],
    ['notes', 'Notes'],
    ['limits', 'What it does not show'],
    ['environment', 'Environment'],
  ];
  return `<header><h1>${esc(reportTitle(results))}</h1>
<p class="soft">${esc(environment.date.slice(0, 16).replace('T', ' '))} UTC, ${esc(environment.cpu)}, ${environment.cores} processors, Node ${esc(environment.node)}, ${esc(countText(results))}. The reference is ${esc(reference)}.</p>${warning}${busy === null ? '' : `<p class="notice" id="busy">${esc(busy)}</p>`}
${list(leadSentences(results), 'answer')}${summarySection(results)}
<nav aria-label="Sections"><ul>${links.map(([id = '', text = '']) => `<li><a href="#${esc(id)}">${esc(text)}</a></li>`).join('')}</ul></nav></header>`;
}

export function htmlReport(results: Results): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${esc(reportTitle(results))}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
${head(results)}
<main>
${overviewSection(results)}
${results.baseline === null ? '' : baselineSection(results.baseline)}
${buildsSection(results)}
${results.experiments.map((experiment) => experimentSection(results, experiment)).join('\n')}
<section id="reading"><h2>How to read it</h2>${list(HOW_TO_READ)}</section>
<section id="notes"><h2>Notes on this comparison</h2>${list(results.notes)}</section>
<section id="limits"><h2>What it does not show</h2>${list(notShown(workGiven(results) !== null))}</section>
${environmentSection(results)}
</main>
</body>
</html>
`;
}
