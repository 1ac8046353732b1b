/**
 * The words for verdicts in all reports. Pure.
 */
import { METRICS } from '../compare/metrics.ts';
import type { Cell, PointVerdict, Results } from '../compare/types.ts';
import { median } from '../stats/summary.ts';
import { Outcome } from '../stats/verdict.ts';
import { percent } from './format.ts';

/** Outcomes as shown, each with its CSS class, which puts a sign before the word. */
export type Shown = 'better' | 'worse' | 'same' | 'undecided' | 'fails';

export function shownOutcome({ outcome, better }: Pick<PointVerdict, 'outcome' | 'better'>): Shown {
  if (outcome !== 'different') return outcome;
  return better === true ? 'better' : 'worse';
}

/** A dagger if one of the verdicts is not firm. */
export function firmMark(...verdicts: readonly Pick<PointVerdict, 'firm'>[]): string {
  return verdicts.some(({ firm }) => firm === false) ? '\u2020' : '';
}

/** The outcome, and what led to it: "worse, 1.40 times (1.20 to 1.63)", "same†, ...", "fails, 6 timeout". */
export function outcomeText(verdict: PointVerdict): string {
  return `${shownOutcome(verdict)}${firmMark(verdict)}, ${verdict.why}`;
}

const COUNTED = {
  different: 'different',
  same: 'the same',
  undecided: 'undecided',
  fails: 'failing',
} as const;

/** The label of the reference's second run; undefined without one. */
function controlOf(contestants: Results['contestants']): string | undefined {
  return contestants.find(({ kind }) => kind === 'control')?.label;
}

/** How many verdicts there are on primary figures, how many of them are firm, and what that means; empty without any. */
export function firmTexts({ contestants, verdicts, reference }: Results): string[] {
  const control = controlOf(contestants);
  const own = verdicts.filter((v) => v.primary && v.reference === reference && v.label !== control);
  if (!own.some(({ firm }) => firm !== undefined)) return [];
  const counts = Outcome.options.flatMap((outcome) => {
    const found = own.filter((verdict) => verdict.outcome === outcome);
    const firm = found.filter((verdict) => verdict.firm).length;
    const share = outcome === 'different' || outcome === 'same' ? ` (${firm} firm)` : '';
    return found.length === 0 ? [] : [`${found.length} ${COUNTED[outcome]}${share}`];
  });
  const mark = firmMark(...verdicts);
  const others =
    mark === ''
      ? ''
      : ` ${mark} = not firm, at least in part: of all verdicts at most one in twenty is false, on average.`;
  return [
    `Primary figures (the first of each experiment, against ${reference}): ${counts.join(', ')}.`,
    `With a probability of 95 % no firm verdict among them is false.${others}`,
  ];
}

/** The verdicts against the reference on a cell, the primary figure first. */
export function verdictsOf(results: Results, cell: Cell): PointVerdict[] {
  return results.verdicts.filter(
    ({ experiment, point, label, reference }) =>
      experiment === cell.experiment &&
      point === cell.point &&
      label === cell.label &&
      reference === results.reference,
  );
}

/** "25 %, that is from 0.800 to 1.25 times". */
export function marginText({ rule }: Results): string {
  const limit = 1 + rule.margin;
  return `${percent(rule.margin)}, that is from ${(1 / limit).toPrecision(3)} to ${limit.toPrecision(3)} times`;
}

function share(confidences: readonly number[]): string {
  const [low, high] = [Math.min(...confidences), Math.max(...confidences)].map((c) => Math.round(c * 100));
  return low === high ? `${low} %` : `${low} to ${high} %`;
}

/** What the intervals of medians and of ratios are. */
export function intervalTexts({ cells, verdicts, rule }: Results): string[] {
  const medians = cells.flatMap((cell) =>
    Object.values(cell.metrics).flatMap(({ confidence }) => (confidence === null ? [] : [confidence])),
  );
  const ratios = verdicts.flatMap(({ ratio }) => (ratio === null ? [] : [ratio.confidence]));
  const looks = rule.looks > 1 ? `, at all ${rule.looks} numbers of rounds at which it might have ended` : '';
  return [
    medians.length === 0
      ? 'Medians of the rounds; fewer than five give no interval.'
      : `Medians of the rounds, with the interval that covers the true one with ${share(medians)} if rounds are independent${
          Math.min(...medians) < 0.95 ? ' (five rounds: smallest to largest, 94 %)' : ''
        }.`,
    ratios.length === 0
      ? 'Fewer than five rounds give no verdict.'
      : `Ratios within rounds, with the interval that covers the true one with ${share(ratios)}${looks}.`,
  ];
}

/** What the control shows: whether the reference differs from itself, and how its ratios to itself are distributed. */
export function controlTexts({ contestants, verdicts }: Results): string[] {
  const control = controlOf(contestants);
  const own = verdicts.filter(({ label }) => label === control);
  const ratios = own.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]));
  if (ratios.length === 0) return ['A/A control: none, or too few rounds of it.'];
  const estimates = ratios.map(({ estimate }) => estimate);
  const [middle, least, most] = [median(estimates), Math.min(...estimates), Math.max(...estimates)].map(
    (value) => value.toPrecision(3),
  );
  const excluding = ratios.filter(({ low, high }) => low > 1 || high < 1).length;
  const expected = ratios.reduce((sum, { confidence }) => sum + 1 - confidence, 0).toFixed(1);
  const failed = own
    .filter(({ outcome }) => outcome === 'different')
    .map(
      (verdict) =>
        `A/A control FAILS at ${verdict.experiment}, ${verdict.point}, ${METRICS[verdict.metric].title.toLowerCase()}: ${outcomeText(verdict)}; do not trust smaller differences of this figure`,
    );
  return [
    `A/A control ${failed.length === 0 ? 'passes' : 'fails'}: ${ratios.length} ratios of the reference to itself: median ${middle}, from ${least} to ${most}; ${excluding} intervals exclude 1, about ${expected} are expected.`,
    ...failed,
  ];
}

export function disturbedText({ disturbed }: Results): string {
  const repeated = disturbed.filter((round) => round.repeated).length;
  const kept = disturbed.length - repeated;
  if (disturbed.length === 0) return 'No round was disturbed by the machine.';
  return `${repeated} rounds were disturbed by the machine (steal time, other processes) and repeated; ${kept} were disturbed and count.`;
}

export const NOT_JUDGED =
  'Not judged: sessions differ by ten percent with an unchanged server; --baseline-command runs an old build again in the same rounds.';
