/**
 * The verdicts on servers that ran in the same rounds: different, same, undecided, or fails. Pure.
 *
 * The ratio of two servers is taken within each round, so what disturbs all runs of a round cancels out. Each figure of a
 * report makes two claims: that the servers differ, and that they differ by less than the margin. A claim is accepted if
 * the interval of the ratio agrees, and if its p-value passes the procedure of Benjamini and Hochberg among the claims of
 * its kind, so that few of a report's verdicts are false, however many there are. Firm verdicts pass a stricter limit: with a
 * probability of 95 % none of them is false. The p-values are those of Student's t: Wilcoxon's test of eight rounds has none
 * below 0.008, and so could not find one difference among ten figures.
 *
 * A load generator that was the bottleneck makes a server look worse than it is, never better. So the better of two
 * servers may have been limited by it: then they differ by at least the factor. The worse one may not, and servers that
 * are the same must both be free of it.
 */
import { z } from 'zod';
import { ALPHA, type RatioEstimate, ROUNDS_MIN, ratioEstimate } from './intervals.ts';
import { criticalT, twoSided, upperTail } from './student.ts';
import { ascending, deviation, mean, median } from './summary.ts';

export const Outcome = z.enum(['different', 'same', 'undecided', 'fails']).meta({ id: 'outcome' });
export type Outcome = z.infer<typeof Outcome>;

/** Which values of a metric are better. */
export type Direction = 'lower' | 'higher';

/**
 * What the load generator has made of the values, as the bottleneck of some runs: nothing; bounds, as the server may be
 * better; or values that say nothing about the server.
 */
export type Limit = 'none' | 'bound' | 'unknown';

/** Why a verdict's ratio is only a bound: the load generator limited the better server, or a value is below the floor. */
export const Bound = z.enum(['generator', 'floor']);
export type Bound = z.infer<typeof Bound>;

/** One metric of the runs of one server at one point. */
export interface Sample {
  /** The value of each round that has one. */
  byRound: ReadonlyMap<number, number>;
  /** What went wrong, such as "6 timeout"; empty when nothing did. */
  faults: string;
  limit: Limit;
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
  /** Of `different` and `same`: with a probability of at least 95 % no firm verdict of the family is false. */
  firm?: boolean;
  /** The judged server's value divided by the reference's. */
  ratio: RatioEstimate | null;
  /** Rounds in which both have a value. */
  rounds: number;
  /** Of `undecided`: about how many rounds would decide; null when unknown. */
  roundsNeeded: number | null;
  bound?: Bound;
  why: string;
}

/** A server and its reference, before the verdicts on other figures are known. */
export interface Comparison {
  judged: Sample;
  reference: Sample;
  direction: Direction;
  /** Values below it cannot be told from zero; they count as this one. */
  floor: { value: number; unit: string };
}

interface Evidence {
  ratio: RatioEstimate;
  logs: readonly number[];
  better: boolean;
  pDifferent: number;
  /** Null: the load generator does not allow this claim. */
  pSame: number | null;
}

/** The logarithms of the ratios within rounds. */
function logRatios({ judged, reference, floor }: Comparison): number[] {
  const above = (value: number) => Math.max(value, floor.value);
  return [...judged.byRound].flatMap(([round, value]) => {
    const other = reference.byRound.get(round);
    return other === undefined ? [] : [Math.log(above(value) / above(other))];
  });
}

/** Whether the worse server was limited by the load generator: it may be as good as the better one. */
function isWorseLimited({ judged, reference }: Comparison, better: boolean): boolean {
  return (better ? reference : judged).limit !== 'none';
}

function isLimited({ judged, reference }: Comparison): boolean {
  return judged.limit !== 'none' || reference.limit !== 'none';
}

function evidenceOf(comparison: Comparison, { margin, looks }: Rule): Evidence | null {
  const logs = logRatios(comparison);
  const ratio = ratioEstimate(logs, looks);
  if (ratio === null) return null;
  const degrees = logs.length - 1;
  const error = deviation(logs) / Math.sqrt(logs.length);
  const [centre, limit] = [mean(logs), Math.log(1 + margin)];
  // Without noise a distance is either nothing or infinitely many errors.
  const t = (distance: number) => (distance === 0 ? 0 : distance / error);
  const spent = (p: number) => Math.min(1, p * looks);
  const better = ratio.estimate < 1 === (comparison.direction === 'lower');
  const pDifferent = isWorseLimited(comparison, better) ? 1 : spent(twoSided(t(centre), degrees));
  const pSame = isLimited(comparison) ? null : spent(upperTail(t(limit - Math.abs(centre)), degrees));
  return { ratio, logs, better, pDifferent, pSame };
}

/** The largest p-value that is accepted among those of a family; negative when none is. */
export type Procedure = (pValues: readonly number[]) => number;

/** The procedure of Benjamini and Hochberg: on average at most a share of `alpha` of the accepted claims is false. */
export function acceptedUpTo(pValues: readonly number[], alpha = ALPHA): number {
  const sorted = pValues.toSorted(ascending);
  return sorted.findLast((p, i) => p <= (alpha * (i + 1)) / sorted.length) ?? -1;
}

/** The largest p-value that Benjamini and Hochberg accept once one claim more is accepted than those up to `accepted`. */
function nextUpTo(pValues: readonly number[], accepted: number): number {
  const count = pValues.filter((p) => p <= accepted).length;
  return (ALPHA * Math.min(count + 1, pValues.length)) / pValues.length;
}

/**
 * The largest p-value of a firm claim, by Bonferroni. A family makes two claims on each figure, but at most one of them is
 * false: no ratio is 1 and beyond the margin. So the sum over the false ones is at most ALPHA, however figures depend.
 * Holm's procedure on each kind of claims at ALPHA / 2 begins at half of this limit; it finds more only where nearly all
 * figures have the same verdict.
 */
export function firmUpTo(figures: number): number {
  return ALPHA / figures;
}

/** Three significant digits, or an integer with thousands separators. */
function digits(value: number): string {
  return value < 1000 ? value.toPrecision(3) : Math.round(value).toLocaleString('en-US');
}

function medianOf({ byRound }: Sample): number {
  return median([...byRound.values()]);
}

function boundOf(comparison: Comparison): Bound | null {
  const { judged, reference, floor } = comparison;
  if (Math.min(medianOf(judged), medianOf(reference)) < floor.value) return 'floor';
  return isLimited(comparison) ? 'generator' : null;
}

/** "1.40 times (0.900 to 2.10)"; no factor of a value that is almost nothing: "6,522 KiB against less than 1 KiB". */
function ratioWords(
  { judged, reference, floor }: Comparison,
  ratio: RatioEstimate,
  bound: Bound | null,
): string {
  const [own, other] = [judged, reference].map((sample) => {
    const value = medianOf(sample);
    return `${value < floor.value ? `less than ${floor.value}` : digits(value)} ${floor.unit}`;
  });
  if (bound === 'floor') return own === other ? `both ${own}` : `${own} against ${other}`;
  const [middle, from, to] = [ratio.estimate, ratio.low, ratio.high].map(digits);
  const least = ratio.estimate > 1 ? 'at least ' : 'at most ';
  return `${bound === 'generator' ? least : ''}${middle} times (${from} to ${to})`;
}

/** The largest p-values that are accepted among the figures of a report. */
interface Accepted {
  different: number;
  same: number;
  firm: number;
  /** By Benjamini and Hochberg, of one claim more than are accepted now. */
  next: Record<'different' | 'same', number>;
}

const ROUNDS_NEEDED_MAX = 1000;
/** Standard errors by which the interval must stay clear of 1 or of the margin, for four of five chances. */
const POWER_ERRORS = 0.8416;

/**
 * The number of rounds that would probably decide: then the interval excludes 1, or lies within the margin, and one more
 * claim of its kind is accepted. More of the others may be accepted by then; so it is rather too high.
 */
function roundsNeeded({ logs, pSame }: Evidence, { next }: Accepted, { margin, looks }: Rule): number | null {
  const centre = Math.abs(mean(logs));
  const toMargin = Math.log(1 + margin) - centre;
  const isNearerToOne = pSame !== null && toMargin > centre;
  const [distance, limit] = isNearerToOne ? [toMargin, next.same] : [centre, next.different];
  const spread = deviation(logs);
  const decides = (n: number) =>
    ((criticalT(limit / looks, n - 1) + POWER_ERRORS) * spread) / Math.sqrt(n) <= distance;
  if (!decides(ROUNDS_NEEDED_MAX)) return null;
  let [low, high] = [logs.length, ROUNDS_NEEDED_MAX]; // more rounds decide whatever fewer do
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (decides(middle)) high = middle;
    else low = middle;
  }
  return high;
}

const BOTTLENECK = 'the load generator was the bottleneck';

function undecided(found: Evidence, comparison: Comparison, accepted: Accepted, rule: Rule) {
  const words = ratioWords(comparison, found.ratio, boundOf(comparison) === 'floor' ? 'floor' : null);
  const open = { outcome: 'undecided', better: null } as const;
  if (isWorseLimited(comparison, found.better))
    return { ...open, roundsNeeded: null, why: `${words}; ${BOTTLENECK} of the worse one` };
  const needed = roundsNeeded(found, accepted, rule);
  const worse = found.logs.filter((log) => (comparison.direction === 'lower' ? log > 0 : log < 0)).length;
  const more = needed === null ? `more than ${ROUNDS_NEEDED_MAX}` : `about ${needed}`;
  const why = `${words}; worse in ${worse} of ${found.logs.length} rounds; ${more} rounds would decide`;
  return { ...open, roundsNeeded: needed, why };
}

/** Why a figure cannot be judged; null when it can. */
function obstacle({ judged, reference }: Comparison): string | null {
  if (reference.faults !== '') return `the reference fails: ${reference.faults}`;
  const limits = [judged.limit, reference.limit];
  if (limits.includes('unknown') || !limits.includes('none')) return BOTTLENECK;
  const rounds = roundsOf({ judged, reference });
  return rounds < ROUNDS_MIN ? `${rounds} rounds; ${ROUNDS_MIN} are needed` : null;
}

function roundsOf({ judged, reference }: Pick<Comparison, 'judged' | 'reference'>): number {
  return [...judged.byRound.keys()].filter((round) => reference.byRound.has(round)).length;
}

function decide(found: Evidence, comparison: Comparison, accepted: Accepted, rule: Rule) {
  const { ratio, better, pDifferent, pSame } = found;
  const limit = 1 + rule.margin;
  const bound = boundOf(comparison);
  const decided = { roundsNeeded: null, why: ratioWords(comparison, ratio, bound), ...(bound && { bound }) };
  if (pSame !== null && pSame <= accepted.same && ratio.low >= 1 / limit && ratio.high <= limit)
    return { outcome: 'same', better: null, firm: pSame <= accepted.firm, ...decided } as const;
  if (pDifferent <= accepted.different && (ratio.low > 1 || ratio.high < 1))
    return { outcome: 'different', better, firm: pDifferent <= accepted.firm, ...decided } as const;
  return undecided(found, comparison, accepted, rule);
}

/** Judges all figures of one family together. Simulations also try other procedures. */
export function judge(
  comparisons: readonly Comparison[],
  rule: Rule,
  procedure: Procedure = acceptedUpTo,
): Verdict[] {
  const open = comparisons.map((comparison) => {
    const evidence = evidenceOf(comparison, rule);
    const fails = comparison.judged.faults !== '';
    return {
      comparison,
      evidence,
      fails,
      why: fails ? comparison.judged.faults : obstacle(comparison),
    };
  });
  const judged = open.flatMap(({ evidence, why }) => (evidence === null || why !== null ? [] : [evidence]));
  const pDifferent = judged.map((found) => found.pDifferent);
  const pSame = judged.flatMap((found) => found.pSame ?? []);
  const [different, same] = [procedure(pDifferent), procedure(pSame)];
  const accepted = {
    different,
    same,
    firm: firmUpTo(judged.length),
    next: { different: nextUpTo(pDifferent, different), same: nextUpTo(pSame, same) },
  };
  return open.map(({ comparison, evidence, fails, why }) => {
    const common = { ratio: evidence?.ratio ?? null, rounds: roundsOf(comparison) };
    if (evidence !== null && why === null)
      return { ...common, ...decide(evidence, comparison, accepted, rule) };
    const outcome = fails ? 'fails' : 'undecided';
    return { ...common, outcome, better: null, roundsNeeded: null, why: why ?? '' };
  });
}
