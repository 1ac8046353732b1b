/**
 * The short answer of a comparison: which server to choose for which load, by how much, and how sure that is. Pure.
 *
 * It has only the verdicts on the first figure of each experiment. Experiments with the same answer share a row.
 */
import { METRICS } from '../compare/metrics.ts';
import type { ExperimentInfo, PointVerdict, Results } from '../compare/types.ts';
import { figure, listed, rounded, SHORT } from './format.ts';
import { loadOf } from './places.ts';
import { timesText } from './sentence.ts';
import { kindOfWork } from './sizing.ts';
import { type Shown, shownOutcome } from './verdicts.ts';

/** How a server compares with the reference in a group of loads, and its first figure at each of these. */
export interface Against {
  label: string;
  values: string[];
  parts: { shown: Shown; text: string }[];
  /** Other figures that point another way than the first, as a good average may hide a bad worst case. */
  otherwise: { shown: 'better' | 'worse'; names: string[] }[];
}

export interface SummaryRow {
  experiments: ExperimentInfo[];
  choice: string;
  /** The first figure of the reference at each load. */
  values: string[];
  against: Against[];
}

/** How a server compares with the reference in one experiment, at all points together. */
type Status = Shown | 'varies';

function statusOf(verdicts: readonly PointVerdict[]): Status {
  const shown = new Set(verdicts.map(shownOutcome));
  const isBehind = shown.has('worse') || shown.has('fails');
  if (shown.has('better')) return isBehind ? 'varies' : 'better';
  if (isBehind) return shown.has('fails') ? 'fails' : 'worse';
  return shown.has('undecided') ? 'undecided' : 'same';
}

/** The labels of the servers that the reference is compared with. */
export function opponents({ contestants, reference }: Results): string[] {
  return contestants
    .filter(({ label, kind }) => label !== reference && kind !== 'control' && kind !== 'before')
    .map(({ label }) => label);
}

function verdictsFor({ verdicts, reference }: Results, { name }: ExperimentInfo, label: string) {
  return verdicts.filter((v) => v.experiment === name && v.label === label && v.reference === reference);
}

function primaries(results: Results, experiment: ExperimentInfo, label: string): PointVerdict[] {
  return verdictsFor(results, experiment, label).filter(({ primary }) => primary);
}

function fails(results: Results, experiment: ExperimentInfo, label: string): boolean {
  return results.cells.some(
    (cell) =>
      cell.experiment === experiment.name && cell.label === label && cell.errorTotal + cell.failedRuns > 0,
  );
}

/** The servers to choose: those that are better, or else the reference and what equals it or may. */
function choiceOf(
  results: Results,
  experiment: ExperimentInfo,
  statuses: ReadonlyMap<string, Status>,
): string {
  const { reference } = results;
  const having = (...wanted: Status[]) =>
    [...statuses].filter(([, status]) => wanted.includes(status)).map(([label]) => label);
  if (fails(results, experiment, reference)) {
    const sound = [...statuses.keys()].filter((label) => !fails(results, experiment, label));
    return sound.length === 0 ? 'none: all fail' : listed(sound, 'or');
  }
  if (having('varies').length > 0) return 'depends on the load';
  if (having('better').length > 0) return listed(having('better'), 'or');
  if (having('same').length === statuses.size) return 'any: they are the same';
  if (having('undecided', 'same').length === statuses.size) return 'undecided';
  const open = having('undecided');
  const perhaps = open.length === 0 ? '' : `, perhaps ${listed(open, 'or')}`;
  return `${listed([reference, ...having('same')], 'or')}${perhaps}`;
}

/** "1.72 times (1.55 to 1.87) worse", or of several loads "1.5 to 102 or more times worse". */
function factorText(verdicts: readonly PointVerdict[], word: 'better' | 'worse'): string {
  const values = verdicts.filter(({ bound }) => bound === 'floor').map(({ why }) => why);
  const divided = verdicts.filter(({ bound }) => bound !== 'floor');
  const [only, ...others] = divided;
  if (only === undefined) return `${word}, ${listed(values)}`;
  const factors = divided.flatMap(({ ratio }) =>
    ratio === null ? [] : [Math.max(ratio.estimate, 1 / ratio.estimate)],
  );
  const more = divided.some(({ bound }) => bound === 'generator') ? ' or more' : '';
  const range = `${rounded(Math.min(...factors))} to ${rounded(Math.max(...factors))}${more} times ${word}`;
  return [others.length === 0 ? `${timesText(only, word === 'worse')} ${word}` : range, ...values].join('; ');
}

/** The other figures that point the other way than the first at their load, or any way where no first one is decided. */
function otherwise(all: readonly PointVerdict[]): Against['otherwise'] {
  const loadKey = ({ experiment, point }: PointVerdict) => `${experiment}/${point}`;
  const first = new Map(
    all.filter(({ primary }) => primary).map((verdict) => [loadKey(verdict), shownOutcome(verdict)]),
  );
  const isOpen = ![...first.values()].some((outcome) => outcome === 'better' || outcome === 'worse');
  return (['worse', 'better'] as const).flatMap((shown) => {
    const opposite = shown === 'better' ? 'worse' : 'better';
    const found = all.filter((verdict) => {
      const there = first.get(loadKey(verdict));
      const isElsewhere = there === opposite || (isOpen && there !== 'fails');
      return !verdict.primary && shownOutcome(verdict) === shown && isElsewhere;
    });
    const names = [...new Set(found.map(({ metric }) => SHORT[metric]))];
    return names.length === 0 ? [] : [{ shown, names }];
  });
}

/** "149 per s", or of several points "6.23 to 26.2 ms". */
function figureOf({ cells }: Results, { name, ranked: [metric] }: ExperimentInfo, label: string): string {
  if (metric === undefined) return '-';
  const found = cells.flatMap((cell) =>
    cell.experiment === name && cell.label === label ? (cell.metrics[metric] ?? []) : [],
  );
  if (found.length === 0) return '-';
  const medians = found.map(({ median }) => median);
  const ends = [...new Set([Math.min(...medians), Math.max(...medians)].map(figure))];
  const bound = found.some(({ boundRuns }) => boundRuns > 0) ? '\u2265 ' : '';
  return `${bound}${ends.join(' to ')} ${METRICS[metric].unit}`;
}

function againstOf(label: string, values: string[], all: readonly PointVerdict[]): Against {
  const verdicts = all.filter(({ primary }) => primary);
  const parts = (['fails', 'worse', 'better', 'same', 'undecided'] as const).flatMap((shown) => {
    const found = verdicts.filter((verdict) => shownOutcome(verdict) === shown);
    if (found.length === 0) return [];
    const what = shown === 'worse' || shown === 'better' ? factorText(found, shown) : shown;
    const share = found.length === verdicts.length ? '' : ` (${found.length} of ${verdicts.length})`;
    return [{ shown, text: `${what}${share}` }];
  });
  const others = otherwise(all);
  const texts = others.map(({ shown, names }) => ({ shown, text: `but ${shown}: ${names.join(', ')}` }));
  return { label, values, parts: [...parts, ...texts], otherwise: others };
}

/** The rows, in the order of the experiments; empty for a single load, of which one sentence says all. */
export function summary(results: Results): SummaryRow[] {
  const labels = opponents(results);
  const groups = new Map<string, { choice: string; experiments: ExperimentInfo[] }>();
  for (const experiment of results.experiments) {
    const statuses = new Map(
      labels.flatMap((label) => {
        const found = primaries(results, experiment, label);
        return found.length === 0 ? [] : [[label, statusOf(found)] as const];
      }),
    );
    if (statuses.size === 0) continue;
    const choice = choiceOf(results, experiment, statuses);
    const key = JSON.stringify([choice, ...statuses]);
    const group = groups.get(key) ?? { choice, experiments: [] };
    group.experiments.push(experiment);
    groups.set(key, group);
  }
  const rows = [...groups.values()].map(({ choice, experiments }) => ({
    experiments,
    choice,
    values: experiments.map((experiment) => figureOf(results, experiment, results.reference)),
    against: labels.map((label) =>
      againstOf(
        label,
        experiments.map((experiment) => figureOf(results, experiment, label)),
        experiments.flatMap((experiment) => verdictsFor(results, experiment, label)),
      ),
    ),
  }));
  const loads = new Set(results.cells.map(({ experiment, point }) => `${experiment}/${point}`));
  return loads.size < 2 ? [] : rows;
}

/** The work that the operator gave to a comparison, as its title names it. */
export function workGiven({ options: { handler, services } }: Results): string | null {
  if (typeof handler === 'string') return handler;
  return Array.isArray(services) && services.length > 0 ? services.join('; ') : null;
}

export function reportTitle(results: Results): string {
  const work = workGiven(results);
  if (work === null) return 'Echo servers compared';
  const kind = kindOfWork(results);
  const does = kind === null ? '' : kind === 'sleeps' ? ', which mostly sleeps' : ', which computes';
  return `Echo servers compared with the handler ${work}${does}`;
}

/** The last line of a comparison of the operator's work: what to choose for each load. */
export function whichToChoose(results: Results): string[] {
  const rows = workGiven(results) === null ? [] : summary(results);
  const answers = rows.map(({ experiments, choice, against }) => {
    const loads = experiments.map(({ title, points: [at, ...more] }) =>
      at === undefined || more.length > 0 ? title : loadOf(at),
    );
    const others = against
      .filter(({ label }) => label === choice || choice === 'undecided')
      .flatMap(({ label, otherwise: found }) =>
        found.map(({ shown, names }) => `, but ${label} has a ${shown} ${listed(names)}`),
      );
    return `${listed(loads)}: ${choice}${others.join('')}`;
  });
  return answers.length === 0 ? [] : [`Which to choose: ${answers.join('; ')}.`];
}
