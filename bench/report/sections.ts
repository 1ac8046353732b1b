/**
 * Sections of report.html: the overview of verdicts, changes since a baseline, the environment. Pure.
 */
import {
  type Baseline,
  type ExperimentInfo,
  METRICS,
  type PointVerdict,
  type Results,
} from '../compare/types.ts';
import type { Outcome } from '../stats/verdict.ts';
import { SHORT } from './format.ts';
import { esc } from './markup.ts';

/** CSS classes, which put a sign before the word. */
export const OUTCOME_CLASS: Record<Outcome, string> = {
  better: 'better',
  worse: 'worse',
  'no difference': 'same',
  'not ranked': 'unranked',
};

/** The ratio to the reference, as ", 1.3 times"; empty when unknown. */
export function ratioText({ ratio, outcome }: Pick<PointVerdict, 'ratio' | 'outcome'>): string {
  if (ratio === null || outcome === 'not ranked') return '';
  return `, ${ratio.median.toFixed(ratio.median < 10 ? 2 : 0)} times`;
}

/** The verdict on the first metric, and below it other metrics that are better or worse. */
function verdictCell(verdict: PointVerdict | undefined, others: readonly PointVerdict[]): string {
  if (verdict === undefined) return '<td class="soft">-</td>';
  const differing = others.filter(({ outcome }) => outcome === 'better' || outcome === 'worse');
  const lines =
    verdict.outcome === 'not ranked'
      ? [esc(verdict.why)]
      : differing.map(
          (other) =>
            `${SHORT[other.metric]}: <span class="${OUTCOME_CLASS[other.outcome]}">${esc(other.outcome)}${ratioText(other)}</span>`,
        );
  const why = lines.map((line) => `<br><small>${line}</small>`).join('');
  return `<td><span class="${OUTCOME_CLASS[verdict.outcome]}">${esc(verdict.outcome)}${ratioText(verdict)}</span>${why}</td>`;
}

function overviewRows(results: Results, experiment: ExperimentInfo, labels: readonly string[]): string[] {
  const [metric] = experiment.ranked;
  if (metric === undefined) return [];
  const own = results.verdicts.filter((v) => v.experiment === experiment.name);
  const head = `${esc(experiment.title)}: <span class="soft">${esc(METRICS[metric].title.toLowerCase())}</span>`;
  const rows = experiment.points.map((point) => {
    const cells = labels.map((name) => {
      const here = own.filter((v) => v.point === point.key && v.label === name);
      return verdictCell(
        here.find((v) => v.metric === metric),
        here.filter((v) => v.metric !== metric),
      );
    });
    return `<tr><td>${esc(point.title)}</td>${cells.join('')}</tr>`;
  });
  return [`<tr class="first"><th scope="rowgroup" colspan="${labels.length + 1}">${head}</th></tr>`, ...rows];
}

/** The verdict on the first metric of each experiment, for every server at every point. */
export function overviewSection(results: Results): string {
  const labels = results.contestants
    .filter(({ label, kind }) => label !== results.reference && kind !== 'control')
    .map(({ label }) => label);
  if (labels.length === 0) return '';
  const rows = results.experiments.flatMap((experiment) => overviewRows(results, experiment, labels));
  const heads = ['', ...labels].map((name) => `<th scope="col">${esc(name)}</th>`).join('');
  return `<section id="overview"><h2>At a glance</h2><p>Each server against ${esc(results.reference)}, by the first metric of each experiment, with other metrics that differ below it: <span class="better">better</span>, <span class="worse">worse</span>, <span class="same">no difference</span> detectable in these runs, or <span class="unranked">not ranked</span>. The factor is the server\u2019s median divided by the reference\u2019s.</p>
<div class="wide" tabindex="0"><table class="overview"><thead><tr>${heads}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div></section>`;
}

export function baselineSection({ file, date, commit, notes, changes }: Baseline): string {
  const changed = changes.filter(({ outcome }) => outcome === 'better' || outcome === 'worse');
  const rows = changed.map(
    (change) =>
      `<tr><td>${esc(change.experiment)}</td><td>${esc(change.point)}</td><th scope="row">${esc(change.label)}</th><td>${esc(METRICS[change.metric].title)}</td><td><span class="${OUTCOME_CLASS[change.outcome]}">${esc(change.outcome)}${ratioText(change)}</span></td></tr>`,
  );
  const words = `${changed.length} of ${changes.length} metrics changed; the others show no difference or cannot be ranked.`;
  const body =
    rows.length === 0
      ? ''
      : `<div class="wide" tabindex="0"><table><thead><tr><th>experiment</th><th>point</th><th>server</th><th>metric</th><th>now</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
  return `<section id="baseline"><h2>What has changed</h2><p>Since ${esc(file)}, ${esc(date)}, commit ${esc(commit ?? 'unknown')}. ${esc(words)}</p>${notes.map((note) => `<p class="notice">${esc(note)}</p>`).join('')}${body}</section>`;
}

function definition(name: string, value: string | number | null): string {
  return value === null ? '' : `<dt>${esc(name)}</dt><dd>${esc(value)}</dd>`;
}

function optionsText(options: Results['options']): string {
  const given = Object.entries(options).filter(([, value]) => value !== null && String(value) !== '');
  return given
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(' ') : String(value)}`)
    .join(', ');
}

/** The machine, versions, options, and each server's command. */
export function environmentSection({
  environment: env,
  options,
  seed,
  program,
  contestants,
}: Results): string {
  const servers = contestants.map(
    ({ label, command }) => `<dt>${esc(label)}</dt><dd><code>${esc(command)}</code></dd>`,
  );
  return `<section id="environment"><h2>Environment</h2><dl>${[
    definition('date', env.date),
    definition('processor', `${env.cpu}, ${env.cores} cores, ${env.availableParallelism} available`),
    definition('memory', `${env.memoryMiB} MiB`),
    definition('kernel', `Linux ${env.kernel} ${env.arch}`),
    definition('load before the start', env.loadAverage1Min.toFixed(2)),
    definition('Node', env.node),
    definition('C compiler', env.compiler),
    definition('program', program),
    definition('commit', env.commit),
    definition('descriptor limit', env.descriptorLimit),
    definition('net.core.somaxconn', env.somaxconn),
    definition('local ports', env.localPorts),
    definition('options', optionsText(options)),
    definition('seed', seed),
  ].join('')}</dl><h3>Commands</h3><dl>${servers.join('')}</dl></section>`;
}
