/**
 * The answer to the comparison's question in one sentence for each load, followed by what sizes the workers. Pure.
 */
import { METRICS, type MetricKey } from '../compare/metrics.ts';
import type { Cell, ExperimentInfo, PointVerdict, Results } from '../compare/types.ts';
import { listed, rounded } from './format.ts';
import { cellsAt, hasFailed, loadOf, measuredPlaces, type Place } from './places.ts';
import { sizingAt } from './sizing.ts';
import { type Shown, shownOutcome, verdictsOf } from './verdicts.ts';

type Phrase = (times: string) => string;

/** "cmwq ... workqueue": what the first does better, or as well. */
const PHRASES: Partial<Record<MetricKey, { better: Phrase; same: string }>> = {
  averageMs: {
    better: (times) => `answers ${times} faster on average than`,
    same: 'answers as fast on average as',
  },
  perSecond: { better: (times) => `has ${times} the rate of`, same: 'has the same rate as' },
};

/** The title within a sentence. */
function nameOf(metric: MetricKey): string {
  const { title } = METRICS[metric];
  return `${title[0]?.toLowerCase() ?? ''}${title.slice(1)}`;
}

function phrasesOf(metric: MetricKey): { better: Phrase; same: string } {
  const { better } = METRICS[metric];
  const name = nameOf(metric);
  return (
    PHRASES[metric] ?? {
      better: (times) => `has a ${name} ${times} ${better === 'higher' ? 'higher' : 'lower'} than`,
      same: `has the same ${name} as`,
    }
  );
}

function verdictsAt(results: Results, place: Place, metric: MetricKey): PointVerdict[] {
  return cellsAt(results, place).flatMap((cell) =>
    verdictsOf(results, cell).filter((verdict) => verdict.metric === metric),
  );
}

/** "1.27 times (1.2 to 1.41)": how many times better; the ratio is turned over where a smaller value is better. */
export function timesText({ ratio, metric, bound }: PointVerdict, isReferenceBetter: boolean): string {
  if (ratio === null) return 'many times';
  const turned = (METRICS[metric].better === 'lower') !== isReferenceBetter;
  const [middle, low, high] = turned
    ? [1 / ratio.estimate, 1 / ratio.high, 1 / ratio.low]
    : [ratio.estimate, ratio.low, ratio.high];
  const least = bound === 'generator' ? 'at least ' : '';
  return `${least}${rounded(middle)} times (${rounded(low)} to ${rounded(high)})`;
}

/** Where a value is almost nothing no factor is meaningful. */
function valuesText({ label, metric, bound, why, reference }: PointVerdict): string | null {
  return bound === 'floor' ? `the ${nameOf(metric)} of ${label} is ${why} of ${reference}` : null;
}

/** A good average may hide bad worst cases: the first of these figures that points the other way is named, too. */
const HIDDEN: readonly MetricKey[] = ['p99Ms', 'worstMs'];

/** "but with a 99th percentile 2.37 times (1.8 to 3) higher". */
function hidden(results: Results, place: Place, verdict: PointVerdict): string {
  const isAhead = shownOutcome(verdict) === 'better';
  const found = HIDDEN.flatMap((metric) => verdictsAt(results, place, metric)).find(
    (other) =>
      other.label === verdict.label &&
      !other.primary &&
      shownOutcome(other) === (isAhead ? 'worse' : 'better'),
  );
  if (found === undefined || found.bound === 'floor') return '';
  return `, but with a ${nameOf(found.metric)} ${timesText(found, isAhead)} higher`;
}

/** The part on the first figure of the experiment: who is better than the reference, or worse, or the same. */
function comparisons(results: Results, place: Place, metric: MetricKey): string[] {
  const { better, same } = phrasesOf(metric);
  const { reference } = results;
  const verdicts = verdictsAt(results, place, metric);
  const shown = (wanted: Shown) => verdicts.filter((verdict) => shownOutcome(verdict) === wanted);
  const [equal, open] = [shown('same'), shown('undecided')].map((found) => found.map(({ label }) => label));
  return [
    ...shown('worse').map(
      (v) =>
        valuesText(v) ?? `${reference} ${better(timesText(v, true))} ${v.label}${hidden(results, place, v)}`,
    ),
    ...shown('better').map(
      (v) =>
        valuesText(v) ?? `${v.label} ${better(timesText(v, false))} ${reference}${hidden(results, place, v)}`,
    ),
    ...(equal?.length ? [`${reference} ${same} ${listed(equal)}`] : []),
    ...(open?.length ? [`${reference} against ${listed(open)} is undecided`] : []),
  ];
}

/** The only one that works, or the one with the highest rate, if it is certain that the reference, or all others, have a lower one. */
function ahead(results: Results, place: Place, sound: readonly Cell[]): string[] {
  const rateOf = ({ metrics }: Cell) => metrics.perSecond?.median ?? 0;
  const first = sound.toSorted((a, b) => rateOf(b) - rateOf(a))[0];
  if (first !== undefined && sound.length === 1) return [`only ${first.label} serves all clients`];
  const verdicts = verdictsAt(results, place, 'perSecond').filter(({ outcome }) => outcome !== 'fails');
  if (first === undefined || verdicts.length === 0) return [];
  const isCertain =
    first.label === results.reference
      ? verdicts.every((verdict) => shownOutcome(verdict) === 'worse')
      : verdicts.some((verdict) => verdict.label === first.label && shownOutcome(verdict) === 'better');
  return isCertain ? [`${first.label} has the highest rate`] : [];
}

function sentenceAt(results: Results, place: Place, isOnly: boolean): string[] {
  const [primary] = place.experiment.ranked;
  const cells = cellsAt(results, place);
  if (primary === undefined || cells.length < 2) return [];
  const failed = cells.filter(hasFailed).map(({ label }) => label);
  const sound = cells.filter((cell) => !hasFailed(cell));
  // Without a reference that works nothing is decided.
  const compared = failed.includes(results.reference) ? [] : comparisons(results, place, primary);
  const parts = [
    ...compared,
    ...ahead(results, place, sound),
    ...(failed.length === 0 ? [] : [`${listed(failed)} ${failed.length === 1 ? 'fails' : 'fail'}`]),
  ];
  const load = isOnly ? 'For this load' : loadOf(place.point);
  return parts.length === 0 ? [] : [`${load}: ${parts.join(', ')}.`];
}

function sentences(results: Results, places: readonly Place[], isOnly: boolean): string[] {
  return [
    ...places.flatMap((place) => sentenceAt(results, place, isOnly)),
    ...places.flatMap((place) => sizingAt(results, place)),
  ];
}

/** Of a comparison at a single load: what the report begins with. Empty when there are several. */
export function leadSentences(results: Results): string[] {
  const places = measuredPlaces(results);
  return places.length === 1 ? sentences(results, places, true) : [];
}

/** Of an experiment among several loads. */
export function sentencesOf(results: Results, experiment: ExperimentInfo): string[] {
  const isOnly = measuredPlaces(results).length === 1;
  return isOnly ? [] : sentences(results, measuredPlaces(results, experiment), false);
}
