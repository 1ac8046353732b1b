/**
 * Goal: verdicts of the comparison are reliable: the statistics are correct, and equal distributions are not judged
 * different more often than promised.
 * Method: textbook values, a second implementation that shares no code, and a thousand seeded trials on known
 * distributions. No server, no clock.
 */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../bench/random.ts';
import {
  INTERVAL_VALUES_MIN,
  medianEstimate,
  medianInterval,
  ratioEstimate,
  seedFor,
} from '../bench/stats/bootstrap.ts';
import { median, medianDeviation, outliers, quantileOfSorted } from '../bench/stats/summary.ts';
import { judge, noiseFloor, type Sample } from '../bench/stats/verdict.ts';
import { normal } from './support/compare-results.ts';
import { sized } from './support/size.ts';

const sample = (values: readonly number[], faults: Partial<Sample> = {}): Sample => {
  return { values, errors: 0, saturated: 0, ...faults };
};

/** The exact bootstrap distribution of the median: the medians of all n^n draws. */
function exactMedians(values: readonly number[]): number[] {
  const draws = values.reduce<number[][]>(
    (found) => found.flatMap((draw) => values.map((value) => [...draw, value])),
    [[]],
  );
  return draws
    .map((draw) => {
      const sorted = draw.toSorted((a, b) => a - b);
      const half = sorted.length / 2;
      const [low, high] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]];
      return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
    })
    .sort((a, b) => a - b);
}

describe('order statistics', () => {
  it('compute median and median deviation like the textbook', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(medianDeviation([1, 1, 2, 2, 4, 6, 9])).toBe(1);
  });

  it('compute quantiles like R (type 7)', () => {
    const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]; // quantile(1:10, c(0.025, 0.25, 0.9))
    expect(quantileOfSorted(values, 0.025)).toBeCloseTo(1.225, 12);
    expect(quantileOfSorted(values, 0.25)).toBeCloseTo(3.25, 12);
    expect(quantileOfSorted(values, 0.9)).toBeCloseTo(9.1, 12);
    expect(quantileOfSorted(values, 1)).toBe(10);
  });

  it('mark only outliers', () => {
    expect(outliers([10, 11, 9, 10.5, 9.5, 30, 10])).toEqual([5]);
    expect(outliers([10, 11, 9, 10.5, 9.5, 10, 11.5])).toEqual([]);
    expect(outliers([5, 5, 5, 5, 9])).toEqual([]);
    expect(outliers([1, 1, 1, 100])).toEqual([]);
  });
});

describe('bootstrap', () => {
  it('gives the same interval for the same seed, nearly the same for another', () => {
    const values = [5.1, 4.8, 5.6, 5.0, 5.3, 4.9, 5.2, 6.0, 5.1, 4.7];
    const first = medianEstimate(values, 3);
    expect(medianEstimate(values, 3)).toEqual(first);
    const second = medianEstimate(values, 4);
    expect(Math.abs((first?.low ?? 0) - (second?.low ?? 9))).toBeLessThan(0.2);
    expect(first?.median).toBeCloseTo(5.1, 12);
  });

  it.each([[[1, 2, 4, 8, 16, 20]], [[3, 3.1, 3.3, 9, 2.5, 3.2]]])(
    'agrees with the exact distribution of all draws: %j',
    (values) => {
      const all = exactMedians(values);
      const found = medianEstimate(values, 11, 40_000);
      expect(found?.low).toBeCloseTo(all[Math.round(0.025 * all.length)] ?? Number.NaN, 1);
      expect(found?.high).toBeCloseTo(all[Math.round(0.975 * all.length)] ?? Number.NaN, 1);
    },
  );

  it('has an interval that covers the true median in about 95 % of trials', () => {
    const gauss = normal(seededRandom(8));
    let covered = 0;
    for (let trial = 0; trial < 1000; trial++) {
      const found = medianInterval(
        Array.from({ length: 15 }, () => 10 + gauss()),
        trial,
      );
      if (found !== null && found.low <= 10 && found.high >= 10) covered++;
    }
    expect(covered).toBeGreaterThan(900);
    expect(covered).toBeLessThan(990);
  });

  it('has no ratio without positive values', () => {
    expect(ratioEstimate([2, 4], [], 1)).toBeNull();
    expect(ratioEstimate([2, 4], [0, 1], 1)).toBeNull();
    const [tops, bottoms] = [20, 10].map((value) => new Array(6).fill(value));
    expect(ratioEstimate(tops ?? [], bottoms ?? [], 1)).toEqual({ median: 2, low: 2, high: 2 });
  });

  it('has no interval below six values, whose whole range covers less than 95 %', () => {
    const coverage = (n: number) => 1 - 2 * 0.5 ** n;
    expect(coverage(INTERVAL_VALUES_MIN)).toBeGreaterThanOrEqual(0.95);
    expect(coverage(INTERVAL_VALUES_MIN - 1)).toBeLessThan(0.95);
    for (let n = 1; n <= 7; n++) {
      const values = Array.from({ length: n }, (_, i) => 10 + i);
      const none = n < 6;
      expect(medianInterval(values, 1) === null, `${n}`).toBe(none);
      const sides = [medianEstimate(values, 1), ratioEstimate(values, [...values, ...values], 1)];
      for (const found of sides) expect([found?.low === null, found?.high === null]).toEqual([none, none]);
      expect(noiseFloor(values, values, 1) === null).toBe(none);
    }
  });

  it('derives a different seed for each name', () => {
    expect(new Set(['a', 'b', 'ab', 'ba', ''].map((name) => seedFor(1, name))).size).toBe(5);
    expect(seedFor(1, 'a')).not.toBe(seedFor(2, 'a'));
  });
});

describe('verdict', () => {
  const ten = (around: number) => Array.from({ length: 10 }, (_, i) => around + (i - 4.5) * 0.01 * around);

  it('is better or worse by the direction of the metric', () => {
    expect(judge(sample(ten(2)), sample(ten(1)), 'lower', 1.05, 1).outcome).toBe('worse');
    expect(judge(sample(ten(2)), sample(ten(1)), 'higher', 1.05, 1).outcome).toBe('better');
    expect(judge(sample(ten(1)), sample(ten(2)), 'lower', 1.05, 1).outcome).toBe('better');
    expect(judge(sample(ten(2)), sample(ten(1)), 'lower', 1.05, 1).ratio?.median).toBeCloseTo(2, 6);
  });

  it.each([
    ['errors', sample(ten(2), { errors: 3 }), sample(ten(1)), '3 errors'],
    ['errors of the reference', sample(ten(2)), sample(ten(1), { errors: 1 }), '1 error of the reference'],
    [
      'a saturated generator',
      sample(ten(2), { saturated: 1 }),
      sample(ten(1)),
      'the load generator was the bottleneck',
    ],
    ['too few runs', sample([1, 1, 1, 1, 1]), sample(ten(9)), 'only 5 of 6 runs needed'],
    ['nothing measured', sample([]), sample(ten(9)), 'only 0 of 6 runs needed'],
  ])('does not rank with %s', (_, judged, reference, why) => {
    expect(judge(judged, reference, 'lower', 1, 1)).toMatchObject({ outcome: 'not ranked', why });
  });

  it('is no difference when intervals overlap or within the noise floor', () => {
    const overlapping = judge(sample(ten(1.005)), sample(ten(1)), 'lower', 1, 1);
    expect(overlapping).toMatchObject({ outcome: 'no difference', why: 'the intervals overlap' });
    const within = judge(sample(ten(1.2)), sample(ten(1)), 'lower', 1.25, 1);
    expect(within).toMatchObject({ outcome: 'no difference', why: 'within the noise floor' });
  });

  it('takes the noise floor from the far end of the A/A interval', () => {
    const floor = noiseFloor(ten(1), ten(1.1), 5);
    expect(floor?.ratio.median).toBeCloseTo(1 / 1.1, 6);
    expect(floor?.factor).toBeGreaterThanOrEqual(1.1);
    expect(floor?.factor).toBeLessThan(1.2);
    expect(noiseFloor([1, 2], [1, 2], 5)).toBeNull();
  });
});

describe('many trials', () => {
  /** Draws of n runs with a true median of `scale`. */
  type Draw = (scale: number) => number[];

  const drawers = (n: number, seed: number): Record<string, Draw> => {
    const random = seededRandom(seed);
    const gauss = normal(random);
    const of =
      (one: () => number): Draw =>
      (scale) =>
        Array.from({ length: n }, () => scale * one());
    return {
      'normal, 5 %': of(() => 1 + 0.05 * gauss()),
      'log-normal, 30 %': of(() => Math.exp(0.3 * gauss())),
      exponential: of(() => -Math.log(1 - random()) / Math.LN2),
      'one run in ten disturbed': of(() => (random() < 0.1 ? 3 : 1) * (1 + 0.03 * gauss())),
    };
  };

  const share = (trials: number, draw: Draw, shift: number, withFloor: boolean): number => {
    let different = 0;
    for (let trial = 0; trial < trials; trial++) {
      const reference = draw(1);
      const floor = withFloor ? (noiseFloor(reference, draw(1), trial)?.factor ?? 1) : 1;
      const { outcome } = judge(sample(draw(shift)), sample(reference), 'lower', floor, trial);
      if (outcome === 'better' || outcome === 'worse') different++;
    }
    return different / trials;
  };

  // The weakest case: without the noise floor, which only makes the rule stricter.
  it.each([6, 10].flatMap((n) => Object.keys(drawers(n, 0)).map((name) => [n, name] as const)))(
    'judge equal distributions different in at most 5 of 100: %i runs, %s',
    { timeout: 120_000 },
    (n, name) => {
      expect(share(sized(1000), drawers(n, 21)[name] as Draw, 1, false)).toBeLessThanOrEqual(0.05);
    },
  );

  it('detect a shift of 20 % in 99 of 100 trials with 10 runs and 5 % noise', { timeout: 120_000 }, () => {
    expect(share(sized(500), drawers(10, 22)['normal, 5 %'] as Draw, 1.2, true)).toBeGreaterThanOrEqual(0.99);
  });

  it('detect a shift of 20 % in 75 of 100 trials with 6 runs and 5 % noise', { timeout: 120_000 }, () => {
    expect(share(sized(500), drawers(6, 23)['normal, 5 %'] as Draw, 1.2, true)).toBeGreaterThanOrEqual(0.75);
  });

  it('detect a shift of 20 % in about half of the trials when one run in ten takes three times as long', {
    timeout: 120_000,
  }, () => {
    const draw = drawers(10, 24)['one run in ten disturbed'] as Draw;
    expect(share(sized(500), draw, 1.2, true)).toBeGreaterThanOrEqual(0.45);
  });
});
