/**
 * How often the intervals and verdicts of simulated comparisons are right. Pure.
 */
import type { Analysis } from '../../compare/analyse.ts';
import { METRICS } from '../../compare/metrics.ts';
import type { Cell, PointVerdict } from '../../compare/types.ts';
import { NOISES } from './noise.ts';
import { isControl, MARGIN, REFERENCE, type Scenario, TRUE_VALUE, trueRatio } from './simulate.ts';

/** Shares from 0 to 1, and how many they are shares of. */
export class Share {
  private hits = 0;
  count = 0;

  add(value: boolean | number): void {
    this.hits += Number(value);
    this.count++;
  }

  /** NaN when there was nothing to count. */
  get value(): number {
    return this.hits / this.count;
  }
}

/** The ratio that power is measured at. */
export const POWER_RATIO = 1.5;

export class Tally {
  /** Intervals that cover the truth: of ratios to the reference, and of medians. */
  readonly ratioCovered = new Share();
  /** Intervals of which the load generator limited the better server: the true ratio lies in them, or beyond. */
  readonly boundHolds = new Share();
  readonly medianCovered = new Share();
  /** The mean share of false ones among the verdicts "different" and "same" of a report: primary figures, and all. */
  readonly falsePrimary = new Share();
  readonly falseAll = new Share();
  /** Reports with at least one false verdict on a primary figure. */
  readonly reportsWithFalse = new Share();
  readonly controlFails = new Share();
  /** Primary figures with a true ratio of 1.5 that are judged different. */
  readonly power = new Share();
  /** Primary figures that do not differ and are judged the same. */
  readonly sameFound = new Share();
  readonly undecided = new Share();
  readonly outliers = new Share();

  add(scenario: Scenario, { verdicts, cells }: Analysis): void {
    const own = verdicts.filter((verdict) => !isControl(verdict.label));
    const limited = limitedPlaces(cells);
    for (const verdict of verdicts) this.addInterval(verdict, trueRatio(scenario, verdict), limited);
    const primary = own.filter((verdict) => verdict.primary);
    this.falseAll.add(falseShare(scenario, own));
    this.falsePrimary.add(falseShare(scenario, primary));
    this.reportsWithFalse.add(falseShare(scenario, primary) > 0);
    this.controlFails.add(verdicts.some((v) => isControl(v.label) && v.outcome === 'different'));
    for (const verdict of primary) {
      this.undecided.add(verdict.outcome === 'undecided');
      const truth = trueRatio(scenario, verdict);
      if (truth === POWER_RATIO) this.power.add(verdict.outcome === 'different');
      if (truth === 1) this.sameFound.add(verdict.outcome === 'same');
    }
    const { middle } = NOISES[scenario.noise](Math.random);
    for (const cell of cells) {
      const truth = TRUE_VALUE * trueRatio(scenario, cell) * Math.exp(middle);
      for (const { low, high, outlierRound } of Object.values(cell.metrics)) {
        if (low !== null && high !== null) this.medianCovered.add(low <= truth && truth <= high);
        this.outliers.add(outlierRound !== null);
      }
    }
  }

  /** Where the load generator limited a server the interval is a bound, and only if that server is the better one. */
  private addInterval(verdict: PointVerdict, truth: number, limited: ReadonlySet<string>): void {
    const { ratio, metric, label, reference } = verdict;
    if (ratio === null) return;
    const isLimited = (server: string) =>
      METRICS[metric].whenSaturated === undefined && limited.has(placeOf({ ...verdict, label: server }));
    const isBetter = ratio.estimate < 1 === (METRICS[metric].better === 'lower');
    const [better, worse] = isBetter ? [label, reference] : [reference, label];
    if (isLimited(worse)) return;
    if (isLimited(better)) this.boundHolds.add(ratio.estimate > 1 ? ratio.low <= truth : truth <= ratio.high);
    else this.ratioCovered.add(ratio.low <= truth && truth <= ratio.high);
  }
}

function placeOf({ experiment, point, label }: Pick<PointVerdict, 'experiment' | 'point' | 'label'>): string {
  return `${experiment}/${point}/${label}`;
}

/** The cells with runs whose load generator was the bottleneck. */
function limitedPlaces(cells: readonly Cell[]): Set<string> {
  return new Set(cells.filter(({ saturatedRuns }) => saturatedRuns > 0).map(placeOf));
}

/** Whether a verdict claims what is not true: a difference, its direction, or a ratio within the margin. */
export function isFalse({ outcome, ratio, reference }: PointVerdict, truth: number): boolean {
  if (reference !== REFERENCE || ratio === null) return false;
  if (outcome === 'same') return truth >= 1 + MARGIN || truth <= 1 / (1 + MARGIN);
  return outcome === 'different' && (truth === 1 || ratio.estimate > 1 !== truth > 1);
}

/** The share of false ones among verdicts that claim something; 0 without any. */
function falseShare(scenario: Scenario, verdicts: readonly PointVerdict[]): number {
  const claims = verdicts.filter(({ outcome }) => outcome === 'different' || outcome === 'same');
  const wrong = claims.filter((verdict) => isFalse(verdict, trueRatio(scenario, verdict)));
  return wrong.length / Math.max(1, claims.length);
}
