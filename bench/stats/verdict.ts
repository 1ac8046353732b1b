/**
 * The verdicts on servers that ran in the same rounds: different, same, undecided, or fails. Pure.
 *
 * The ratio of two servers is taken within each round, so what disturbs all runs of a round cancels out. Each figure of a
 * report makes two claims: that the servers differ, and that they differ by less than the margin. A claim is accepted if
 * the interval of the ratio agrees, and if its p-value passes the procedure of Benjamini and Hochberg among the claims of
 * its kind, so that few of a report's verdicts are false, however many there are. The p-values are those of Student's t:
 * Wilcoxon's test of eight rounds has none below 0.008, and so could not find one difference among ten figures.
 */
import { z } from 'zod';
import { ALPHA, type RatioEstimate, ROUNDS_MIN, ratioEstimate } from './intervals.ts';
import { criticalT, twoSided, upperTail } from './student.ts';
import { ascending, deviation, mean } from './summary.ts';

export const Outcome = z.enum(['different', 'same', 'undecided', 'fails']).meta({ id: 'outcome' });
export type Outcome = z.infer<typeof Outcome>;

/** Which values of a metric are better. */
export type Direction = 'lower' | 'higher';

/** One metric of the runs of one server at one point. */
export interface Sample {
  /** The value of each round that has one. */
  byRound: ReadonlyMap<number, number>;
  /** What went wrong, such as "6 timeout"; empty when nothing did. */
  faults: string;
  /** Runs in which the load generator was the bottleneck and limited the metric. */
  saturated: number;
}

export interface Rule {
  /** Ratios from 1 / (1 + margin) to 1 + margin count as the same. */
  margin: number;
  /** At how many numbers of rounds the measurement may have ended. */
  looks: number;
}

export interface Verdict {
  outcome: Outcome;
  /** Of `different`: whether the judged server is better. */
  better: boolean | null;
  /** The judged server's value divided by the reference's. */
  ratio: RatioEstimate | null;
  /** Rounds in which both have a value. */
  rounds: number;
  /** Of `undecided`: about how many rounds would decide; null when unknown. */
  roundsNeeded: number | null;
  why: string;
}

/** A server and its reference, before the verdicts on other figures are known. */
export interface Comparison {
  judged: Sample;
  reference: Sample;
  direction: Direction;
}

interface Evidence {
  ratio: RatioEstimate;
  logs: readonly number[];
  pDifferent: number;
  pSame: number;
}

/** The logarithms of the ratios; null when a value is not positive. */
function logRatios({ judged, reference }: Comparison): number[] | null {
  const logs = [...judged.byRound].flatMap(([round, value]) => {
    const other = reference.byRound.get(round);
    return other === undefined ? [] : [value > 0 && other > 0 ? Math.log(value / other) : null];
  });
  const known = logs.filter((log) => log !== null);
  return known.length === logs.length ? known : null;
}

function evidenceOf(logs: readonly number[], { margin, looks }: Rule): Evidence | null {
  const ratio = ratioEstimate(logs, looks);
  if (ratio === null) return null;
  const degrees = logs.length - 1;
  const error = deviation(logs) / Math.sqrt(logs.length);
  const [centre, limit] = [mean(logs), Math.log(1 + margin)];
  // Without noise a distance is either nothing or infinitely many errors.
  const t = (distance: number) => (distance === 0 ? 0 : distance / error);
  const pSame = upperTail(t(limit - Math.abs(centre)), degrees);
  const pDifferent = twoSided(t(centre), degrees);
  const spent = (p: number) => Math.min(1, p * looks);
  return { ratio, logs, pDifferent: spent(pDifferent), pSame: spent(pSame) };
}

/** The largest accepted p-value of Benjamini and Hochberg's procedure; negative when none is accepted. */
export function acceptedUpTo(pValues: readonly number[]): number {
  const sorted = pValues.toSorted(ascending);
  return sorted.findLast((p, i) => p <= (ALPHA * (i + 1)) / sorted.length) ?? -1;
}

/** Three significant digits, without an exponent for large numbers. */
function digits(value: number): string {
  return value < 1000 ? value.toPrecision(3) : String(Math.round(value));
}

/** "1.40 times (0.900 to 2.10)". */
function ratioWords({ estimate, low, high }: RatioEstimate): string {
  const [middle, from, to] = [estimate, low, high].map(digits);
  return `${middle} times (${from} to ${to})`;
}

const ROUNDS_NEEDED_MAX = 1000;
/** Standard errors by which the interval must stay clear of 1 or of the margin, for four of five chances. */
const POWER_ERRORS = 0.8416;

/** The number of rounds that would probably decide: then the interval excludes 1, or lies within the margin. */
function roundsNeeded({ logs }: Evidence, { margin, looks }: Rule): number | null {
  const centre = Math.abs(mean(logs));
  const distance = Math.max(centre, Math.log(1 + margin) - centre);
  const spread = deviation(logs);
  const decides = (n: number) =>
    ((criticalT(ALPHA / looks, n - 1) + POWER_ERRORS) * spread) / Math.sqrt(n) <= distance;
  if (!decides(ROUNDS_NEEDED_MAX)) return null;
  let [low, high] = [logs.length, ROUNDS_NEEDED_MAX]; // more rounds decide whatever fewer do
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (decides(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function undecidedText(found: Evidence, needed: number | null, direction: Direction): string {
  const worse = found.logs.filter((log) => (direction === 'lower' ? log > 0 : log < 0)).length;
  const more = needed === null ? `more than ${ROUNDS_NEEDED_MAX}` : `about ${needed}`;
  return `${ratioWords(found.ratio)}; worse in ${worse} of ${found.logs.length} rounds; ${more} rounds would decide`;
}

/** Why a figure cannot be judged; null when it can. */
function obstacle({ judged, reference }: Comparison, logs: readonly number[] | null): string | null {
  if (reference.faults !== '') return `the reference fails: ${reference.faults}`;
  if (judged.saturated + reference.saturated > 0) return 'the load generator was the bottleneck';
  if (logs === null) return 'a value is zero or less, which has no ratio';
  return logs.length < ROUNDS_MIN ? `${logs.length} rounds; ${ROUNDS_MIN} are needed` : null;
}

/** The largest p-values that are accepted among the figures of a report. */
interface Accepted {
  different: number;
  same: number;
}

function decide(found: Evidence, direction: Direction, accepted: Accepted, rule: Rule) {
  const { ratio, pDifferent, pSame } = found;
  const limit = 1 + rule.margin;
  if (pSame <= accepted.same && ratio.low >= 1 / limit && ratio.high <= limit)
    return { outcome: 'same', better: null, roundsNeeded: null, why: ratioWords(ratio) } as const;
  if (pDifferent <= accepted.different && (ratio.low > 1 || ratio.high < 1)) {
    const better = ratio.estimate < 1 === (direction === 'lower');
    return { outcome: 'different', better, roundsNeeded: null, why: ratioWords(ratio) } as const;
  }
  const needed = roundsNeeded(found, rule);
  const why = undecidedText(found, needed, direction);
  return { outcome: 'undecided', better: null, roundsNeeded: needed, why } as const;
}

/** Judges all figures of one family together. */
export function judge(comparisons: readonly Comparison[], rule: Rule): Verdict[] {
  const open = comparisons.map((comparison) => {
    const logs = logRatios(comparison);
    const evidence = logs === null ? null : evidenceOf(logs, rule);
    const fails = comparison.judged.faults !== '';
    return {
      comparison,
      logs,
      evidence,
      fails,
      why: fails ? comparison.judged.faults : obstacle(comparison, logs),
    };
  });
  const judged = open.flatMap(({ evidence, why }) => (evidence === null || why !== null ? [] : [evidence]));
  const accepted = {
    different: acceptedUpTo(judged.map(({ pDifferent }) => pDifferent)),
    same: acceptedUpTo(judged.map(({ pSame }) => pSame)),
  };
  return open.map(({ comparison, logs, evidence, fails, why }) => {
    const common = { ratio: evidence?.ratio ?? null, rounds: logs?.length ?? 0 };
    if (evidence !== null && why === null)
      return { ...common, ...decide(evidence, comparison.direction, accepted, rule) };
    const outcome = fails ? 'fails' : 'undecided';
    return { ...common, outcome, better: null, roundsNeeded: null, why: why ?? '' };
  });
}
