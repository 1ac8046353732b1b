/**
 * The words for verdicts in all reports. Pure.
 */
import { type Cell, METRICS, type PointVerdict, type Results } from '../compare/types.ts';
import type { RatioEstimate } from '../stats/intervals.ts';
import { median } from '../stats/summary.ts';
import { ratioWords } from '../stats/verdict.ts';
import { percent } from './format.ts';

/** Outcomes as shown, each with its CSS class, which puts a sign before the word. */
export type Shown = 'better' | 'worse' | 'same' | 'undecided' | 'fails';

export function shownOutcome({ outcome, better }: Pick<PointVerdict, 'outcome' | 'better'>): Shown {
  if (outcome !== 'different') return outcome;
  return better === true ? 'better' : 'worse';
}

/** The outcome, and the ratio that led to it: "worse, 1.40 times (1.20 to 1.63)"; else the reason. */
export function outcomeText(verdict: PointVerdict): string {
  const { outcome, ratio, why } = verdict;
  const what = ratio !== null && (outcome === 'different' || outcome === 'same') ? ratioWords(ratio) : why;
  return `${shownOutcome(verdict)}, ${what}`;
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

/** "same within 25 %: the interval lies within 0.80 to 1.25". */
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

/** What the control shows: the reference against itself. */
export interface ControlSummary {
  /** Ratios that are known, and how many of their intervals do not contain 1. */
  count: number;
  excludesOne: number;
  expected: number;
  /** Verdicts "different", each of which is false. */
  failures: PointVerdict[];
  median: number;
  smallest: number;
  largest: number;
}

/** Null without a control, or with too few rounds of it. */
export function controlSummary({ contestants, verdicts }: Results): ControlSummary | null {
  const control = contestants.find(({ kind }) => kind === 'control')?.label;
  const own = verdicts.filter(({ label }) => label === control);
  const ratios = own.flatMap(({ ratio }): RatioEstimate[] => (ratio === null ? [] : [ratio]));
  if (ratios.length === 0) return null;
  const estimates = ratios.map(({ estimate }) => estimate);
  return {
    count: ratios.length,
    excludesOne: ratios.filter(({ low, high }) => low > 1 || high < 1).length,
    expected: ratios.reduce((sum, { confidence }) => sum + 1 - confidence, 0),
    failures: own.filter(({ outcome }) => outcome === 'different'),
    median: median(estimates),
    smallest: Math.min(...estimates),
    largest: Math.max(...estimates),
  };
}

export function controlTexts(results: Results): string[] {
  const found = controlSummary(results);
  if (found === null) return ['A/A control: none, or too few rounds of it.'];
  const range = [found.median, found.smallest, found.largest].map((value) => value.toPrecision(3));
  const shape = `${found.count} ratios of the reference to itself: median ${range[0]}, from ${range[1]} to ${range[2]}; ${found.excludesOne} intervals exclude 1, about ${found.expected.toFixed(1)} are expected`;
  const failed = found.failures.map(
    (verdict) =>
      `A/A control FAILS at ${verdict.experiment}, ${verdict.point}, ${METRICS[verdict.metric].title.toLowerCase()}: ${outcomeText(verdict)}; do not trust smaller differences of this figure`,
  );
  return [`A/A control ${failed.length === 0 ? 'passes' : 'fails'}: ${shape}.`, ...failed];
}

export function disturbedText({ disturbed }: Results): string {
  const repeated = disturbed.filter((round) => round.repeated).length;
  const kept = disturbed.length - repeated;
  if (disturbed.length === 0) return 'No round was disturbed by the machine.';
  return `${repeated} rounds were disturbed by the machine (steal time, other processes) and repeated; ${kept} were disturbed and count.`;
}

export const NOT_JUDGED =
  'Not judged: sessions differ by ten percent with an unchanged server; --baseline-command runs an old build again in the same rounds.';
