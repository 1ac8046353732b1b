/**
 * Sections of report.html: the overview of verdicts, a baseline, old builds, the environment. Pure.
 */
import { STRATEGIES } from '../../src/options/types.ts';
import { METRICS } from '../compare/metrics.ts';
import type { Baseline, ExperimentInfo, PointVerdict, Results } from '../compare/types.ts';
import { estimateText, SHORT } from './format.ts';
import { esc } from './markup.ts';
import { STRATEGY_TEXTS } from './prose.ts';
import { type Against, opponents, summary, whichToChoose } from './summary.ts';
import {
  controlTexts,
  disturbedText,
  marginText,
  NOT_JUDGED,
  outcomeText,
  shownOutcome,
} from './verdicts.ts';

/** A verdict as HTML, marked by its class. */
export function verdictMarkup(verdict: PointVerdict, prefix = ''): string {
  return `${esc(prefix)}<span class="${shownOutcome(verdict)}">${esc(outcomeText(verdict))}</span>`;
}

function valuesMarkup(values: readonly string[]): string {
  return `<span class="values">${values.map(esc).join('<br>')}</span>`;
}

function againstCell({ values, parts }: Against): string {
  if (parts.length === 0) return '<td class="soft">-</td>';
  const texts = parts.map(({ shown, text }) => `<span class="${shown}">${esc(text)}</span>`);
  return `<td>${[valuesMarkup(values), ...texts].join('<br>')}</td>`;
}

/** What the strategies do, and what the variants are. */
function serverTexts({ contestants, options: { variants } }: Results): string[] {
  const strategies = STRATEGIES.filter((name) =>
    contestants.some(({ label, kind }) => kind === 'strategy' && label === name),
  ).map((name) => `${name}: ${STRATEGY_TEXTS[name]}.`);
  const others = Array.isArray(variants) ? variants : [];
  return [...strategies, ...others.map((text) => `${text.replace('=', ': kecho-pool ')}.`)];
}

/** Which server to choose for which load, in a few rows; nothing for a single load. */
export function summarySection(results: Results): string {
  const rows = summary(results).map(({ experiments, choice, values, against }) => {
    const loads = experiments.map(
      ({ name, title, ranked: [metric] }) =>
        `<a href="#${esc(name)}">${esc(title)}</a>${metric === undefined ? '' : ` <small>${esc(SHORT[metric])}</small>`}`,
    );
    return `<tr${experiments.length > 1 ? ' class="several"' : ''}><td>${loads.join('<br>')}</td><th scope="row">${esc(choice)}</th><td>${valuesMarkup(values)}</td>${against.map(againstCell).join('')}</tr>`;
  });
  if (rows.length === 0) return '';
  const reference = esc(results.reference);
  const heads = [
    'What your load does',
    'Choose',
    results.reference,
    ...opponents(results).map((label) => `${label} against ${results.reference}`),
  ];
  return `<section id="summary"><h2>Which server for which load</h2><div class="wide" tabindex="0"><table class="summary"><thead><tr>${heads
    .map((name) => `<th scope="col">${esc(name)}</th>`)
    .join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>${whichToChoose(results)
    .map((text) => `<p><strong>${esc(text)}</strong></p>`)
    .join('')}
<p class="soft">By the figure named beside each load (medians), all numbers of clients together. Factors of one load have their interval, those of several go from the smallest to the largest. Same: within ${esc(marginText(results))}. Undecided: these runs cannot tell whether it differs from ${reference}.</p><p class="soft">${serverTexts(results).map(esc).join(' ')}</p></section>`;
}

/** The verdict on the primary metric, and below it other metrics that differ. */
function verdictCell(verdict: PointVerdict | undefined, others: readonly PointVerdict[]): string {
  if (verdict === undefined) return '<td class="soft">-</td>';
  const differing = others.filter(({ outcome }) => outcome === 'different');
  const lines = differing.map(
    (other) => `<br><small>${verdictMarkup(other, `${SHORT[other.metric]}: `)}</small>`,
  );
  return `<td>${verdictMarkup(verdict)}${lines.join('')}</td>`;
}

function overviewRows(results: Results, experiment: ExperimentInfo, labels: readonly string[]): string[] {
  const [metric] = experiment.ranked;
  if (metric === undefined) return [];
  const own = results.verdicts.filter(
    (v) => v.experiment === experiment.name && v.reference === results.reference,
  );
  const head = `${esc(experiment.title)}: <span class="soft">${esc(METRICS[metric].title.toLowerCase())}</span>`;
  const rows = experiment.points.map((point) => {
    const cells = labels.map((name) => {
      const here = own.filter((v) => v.point === point.key && v.label === name);
      return verdictCell(
        here.find(({ primary }) => primary),
        here.filter(({ primary }) => !primary),
      );
    });
    return `<tr><td>${esc(point.title)}</td>${cells.join('')}</tr>`;
  });
  return [`<tr class="first"><th scope="rowgroup" colspan="${labels.length + 1}">${head}</th></tr>`, ...rows];
}

/** The verdict on the first metric of each experiment, for every server at every point. */
export function overviewSection(results: Results): string {
  const labels = opponents(results);
  if (labels.length === 0) return '';
  const rows = results.experiments.flatMap((experiment) => overviewRows(results, experiment, labels));
  const heads = ['', ...labels].map((name) => `<th scope="col">${esc(name)}</th>`).join('');
  return `<section id="overview"><h2>At a glance</h2><p>Each server against ${esc(results.reference)}, by the first metric of each experiment, with other metrics that differ below it: <span class="better">better</span>, <span class="worse">worse</span>, <span class="same">same</span> to within ${esc(marginText(results))}, <span class="undecided">undecided</span> in these rounds, or <span class="fails">fails</span>. The factor is the server\u2019s value divided by the reference\u2019s in the same round, with its interval.</p>
<div class="wide" tabindex="0"><table class="overview"><thead><tr>${heads}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>${[
    ...controlTexts(results),
    disturbedText(results),
  ]
    .map((line) => `<p class="soft">${esc(line)}</p>`)
    .join('')}</section>`;
}

/** The figures of another session beside those of this one. */
export function baselineSection({ file, date, commit, notes, figures }: Baseline): string {
  const rows = figures.map(
    ({ experiment, point, label, metric, before, now }) =>
      `<tr><td>${esc(experiment)}</td><td>${esc(point)}</td><th scope="row">${esc(label)}</th><td>${esc(METRICS[metric].title)}</td>${[before, now].map((one) => `<td class="number">${esc(estimateText(one))}</td>`).join('')}</tr>`,
  );
  const table =
    rows.length === 0
      ? ''
      : `<div class="wide" tabindex="0"><table><thead><tr><th>experiment</th><th>point</th><th>server</th><th>metric</th><th>then</th><th>now</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`;
  return `<section id="baseline"><h2>Beside an earlier session</h2><p>${esc(file)}, ${esc(date)}, commit ${esc(commit ?? 'unknown')}. ${esc(NOT_JUDGED)}</p>${notes.map((note) => `<p class="notice">${esc(note)}</p>`).join('')}${table}</section>`;
}

/** Verdicts on each server against its old build. */
export function buildsSection({ contestants, verdicts }: Results): string {
  const builds = contestants.filter(({ kind }) => kind === 'before').map(({ label }) => label);
  if (builds.length === 0) return '';
  const rows = verdicts
    .filter(({ reference }) => builds.includes(reference))
    .map(
      (verdict) =>
        `<tr><td>${esc(verdict.experiment)}</td><td>${esc(verdict.point)}</td><th scope="row">${esc(verdict.label)}</th><td>${esc(METRICS[verdict.metric].title)}</td><td>${verdictMarkup(verdict)}</td></tr>`,
    );
  return `<section id="builds"><h2>Against the old build</h2><p>Each strategy against its old build, run in the same rounds.</p><div class="wide" tabindex="0"><table><thead><tr><th>experiment</th><th>point</th><th>server</th><th>metric</th><th>verdict</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></div></section>`;
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

/** What an experiment adds to the commands; workers, to those of workqueue that name none. */
function addedArgs({ args = [], points }: ExperimentInfo): string[] {
  const workers = points.flatMap(({ workers: count, title }) =>
    count === undefined ? [] : [{ count, title }],
  );
  const isSame = new Set(workers.map(({ count }) => count)).size === 1;
  return [
    ...(args.length === 0 ? [] : [args.join(' ')]),
    ...(isSame ? workers.slice(0, 1) : workers).map(
      ({ count, title }) => `--workers ${count} (workqueue${isSame ? '' : `, ${title}`})`,
    ),
  ];
}

/** `whose`: "their " for the machine of the servers, if it is another one. */
function machineDefinitions(env: Results['environment'], whose = ''): string[] {
  return [
    definition(`${whose}processor`, `${env.cpu}, ${env.cores} cores, ${env.availableParallelism} available`),
    definition(`${whose}memory`, `${env.memoryMiB} MiB`),
    definition(`${whose}kernel`, `Linux ${env.kernel} ${env.arch}`),
    definition(`${whose}load before the start`, env.loadAverage1Min.toFixed(2)),
    definition(`${whose}Node`, env.node),
  ];
}

/** The other machine of the servers, as far as it may differ. */
function serverHostDefinitions({ serverHost }: Results): string[] {
  if (serverHost === undefined) return [];
  const { name, address, roundTripMs, environment: env } = serverHost;
  return [
    definition('servers on', `${name} (${address}), round trip ${roundTripMs.toFixed(3)} ms`),
    ...machineDefinitions(env, 'their '),
    definition('their descriptor limit', env.descriptorLimit),
    definition('their net.core.somaxconn', env.somaxconn),
  ];
}

/** The machines, versions, options, and each server's command. */
export function environmentSection(results: Results): string {
  const { environment: env, options, seed, program, contestants, experiments } = results;
  const servers = contestants.map(
    ({ label, command }) => `<dt>${esc(label)}</dt><dd><code>${esc(command)}</code></dd>`,
  );
  const added = experiments.flatMap((experiment) => {
    const parts = addedArgs(experiment).map((part) => `<code>${esc(part)}</code>`);
    return parts.length === 0 ? [] : [`<dt>${esc(experiment.name)}</dt><dd>${parts.join(', ')}</dd>`];
  });
  return `<section id="environment"><h2>Environment</h2><dl>${[
    definition('date', env.date),
    ...machineDefinitions(env),
    definition('C compiler', env.compiler),
    definition('program', program),
    definition('commit', env.commit),
    definition('descriptor limit', env.descriptorLimit),
    definition('net.core.somaxconn', env.somaxconn),
    definition('local ports', env.localPorts),
    ...serverHostDefinitions(results),
    definition('options', optionsText(options)),
    definition('seed', seed),
  ].join('')}</dl><h3>Commands</h3><dl>${servers.join('')}</dl>${
    added.length === 0
      ? ''
      : `<p>To the commands of kecho-pool some experiments add arguments:</p><dl>${added.join('')}</dl>`
  }</section>`;
}
