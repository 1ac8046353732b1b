/**
 * Goal: the verdicts of a comparison are reliable: the statistics are correct, and whole simulated reports have as few
 * false verdicts, and intervals that cover as often, as promised.
 * Method: textbook values, enumeration of all cases, and reports made of simulated runs by the product's own plan and
 * analysis (bench/lab/verdicts). No server, no clock. `npm run bench:verdicts` is the large version.
 */
import { describe, expect, it } from 'vitest';
import { impreciseAt } from '../bench/compare/analyse.ts';
import { LOOKS } from '../bench/compare/plan.ts';
import { NOISES, type NoiseName } from '../bench/lab/verdicts/noise.ts';
import { holm } from '../bench/lab/verdicts/procedures.ts';
import { MARGIN, placesWithoutDifference, simulate, simulateUntil } from '../bench/lab/verdicts/simulate.ts';
import { isFalse, Share, Tally } from '../bench/lab/verdicts/tally.ts';
import { seededRandom, seedFor, standardNormal } from '../bench/random.ts';
import { medianEstimate, ROUNDS_MIN, ratioEstimate } from '../bench/stats/intervals.ts';
import { criticalT, twoSided, upperTail } from '../bench/stats/student.ts';
import { deviation, median, OUTLIER_RATE, outlier } from '../bench/stats/summary.ts';
import { acceptedUpTo, type Comparison, judge, type Sample } from '../bench/stats/verdict.ts';
import { sized } from './support/size.ts';

describe('order statistics', () => {
  it('compute median and standard deviation like the textbook', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(deviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
  });

  it('derive a different seed for each name', () => {
    expect(new Set(['a', 'b', 'ab', 'ba', ''].map((name) => seedFor(1, name))).size).toBe(5);
    expect(seedFor(1, 'a')).not.toBe(seedFor(2, 'a'));
  });
});

describe('outliers', () => {
  it('are found by the test of Grubbs', () => {
    expect(outlier([10, 11, 9, 10.5, 9.5, 30, 10])).toBe(5);
    expect(outlier([10, 11, 9, 10.5, 9.5, 10, 11.5])).toBeNull();
    expect(outlier([1, 1, 1, 100])).toBeNull();
    expect(outlier([0, 1, 2, -1, 1, 50])).toBe(5);
    expect(outlier([5, 5, 5, 5, 5])).toBeNull();
  });

  it.each([5, 8, 12])('mark one clean cell in a hundred, of %i values', (n) => {
    const normal = standardNormal(seededRandom(n));
    const marked = new Share();
    for (let i = 0; i < 5000; i++)
      marked.add(outlier(Array.from({ length: n }, () => Math.exp(0.2 * normal()))) !== null);
    expect(marked.value).toBeGreaterThan(OUTLIER_RATE * 0.7);
    expect(marked.value).toBeLessThan(OUTLIER_RATE * 1.3);
  });
});

describe('Student’s t', () => {
  it.each([
    [0.05, 1, 12.7062],
    [0.05, 4, 2.7764],
    [0.05, 7, 2.3646],
    [0.01, 11, 3.1058],
    [0.001, 30, 3.646],
  ])('has the quantiles of the tables: p %d, %d degrees: %d', (p, degrees, t) => {
    expect(criticalT(p, degrees)).toBeCloseTo(t, 3);
    expect(twoSided(t, degrees)).toBeCloseTo(p, 4);
    expect(upperTail(-t, degrees)).toBeCloseTo(1 - p / 2, 4);
  });
});

describe('intervals', () => {
  /** All 2^n ways in which n values may lie around the truth. */
  function everySign(n: number): number[][] {
    return Array.from({ length: 2 ** n }, (_, bits) =>
      Array.from({ length: n }, (_unused, i) => (bits & (1 << i) ? i + 1 : -(i + 1))),
    );
  }

  it.each([5, 6, 7, 8, 10])(
    'of a ratio has the confidence that it states, over all signs of %i ranks',
    (n) => {
      const all = everySign(n).map((values) => ratioEstimate(values, 1));
      const covering = all.filter((found) => found !== null && found.low <= 1 && found.high >= 1);
      expect(covering.length / all.length).toBeCloseTo(all[0]?.confidence ?? 0, 10);
      expect(all[0]?.confidence).toBeGreaterThan(0.93);
      expect(all[0]?.confidence).toBeLessThan(0.97);
    },
  );

  it('of a ratio is the median of all averages of two', () => {
    const found = ratioEstimate(
      [0.1, 0.2, 0.3, 0.4, 0.5].map((ratio) => Math.log(1 + ratio)),
      1,
    );
    const averages = [0.1, 0.2, 0.3, 0.4, 0.5].flatMap((a, i, all) =>
      all.slice(i).map((b) => Math.sqrt((1 + a) * (1 + b))),
    );
    expect(found?.estimate).toBeCloseTo(median(averages), 10);
    expect(found?.low).toBeCloseTo(1.1, 12);
    expect(found?.high).toBeCloseTo(1.5, 12);
  });

  it('of a ratio are wider where they may be looked at several times', () => {
    const logs = Array.from({ length: 12 }, (_, i) => (i - 4) / 20);
    const [once, often] = [ratioEstimate(logs, 1), ratioEstimate(logs, LOOKS.length)];
    expect(often?.low).toBeLessThan(once?.low ?? 0);
    expect(often?.high).toBeGreaterThan(once?.high ?? 9);
    expect(often?.confidence).toBeGreaterThanOrEqual(0.95);
  });

  it('of a median cover it in 95 % of trials, of five values in 94 %', () => {
    const normal = standardNormal(seededRandom(8));
    for (const n of [5, 6, 8, 12]) {
      const covered = new Share();
      for (let trial = 0; trial < 2000; trial++) {
        const found = medianEstimate(Array.from({ length: n }, () => Math.exp(normal())));
        covered.add((found?.low ?? 9) <= 1 && (found?.high ?? 0) >= 1);
      }
      expect(covered.value, `${n}`).toBeGreaterThan(0.925);
      expect(covered.value, `${n}`).toBeLessThan(0.97);
    }
    expect(medianEstimate([3, 1, 2, 5, 4])).toEqual({ median: 3, low: 1, high: 5, confidence: 0.9375 });
  });

  it('do not exist below five values', () => {
    for (let n = 1; n <= 6; n++) {
      const values = Array.from({ length: n }, (_, i) => 10 + i);
      const none = n < ROUNDS_MIN;
      const found = medianEstimate(values);
      expect([found?.low === null, found?.high === null, found?.confidence === null]).toEqual([
        none,
        none,
        none,
      ]);
      expect(ratioEstimate(values, 1) === null, `${n}`).toBe(none);
    }
    expect(medianEstimate([])).toBeNull();
  });
});

describe('Benjamini and Hochberg', () => {
  it('accept the example of their paper', () => {
    // Their table of 15 p-values, of which the four smallest are accepted at 5 %.
    const pValues = [
      0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528,
      0.759, 1,
    ];
    expect(acceptedUpTo(pValues)).toBe(0.0095);
    expect(acceptedUpTo([0.04, 0.045])).toBe(0.045);
    expect(acceptedUpTo([0.04, 0.06])).toBe(-1);
    expect(acceptedUpTo([])).toBe(-1);
  });
});

describe('Holm', () => {
  it('accepts from the smallest p-value on until one exceeds its part of 5 %', () => {
    expect(holm([0.024, 0.01, 0.05, 0.015])).toBe(0.05); // 0.05 divided by 4, 3, 2 and 1
    expect(holm([0.01, 0.02, 0.021, 0.03])).toBe(0.01);
    expect(holm([0.013, 0.013, 0.013, 0.013])).toBe(-1);
    expect(holm([])).toBe(-1);
  });
});

describe('verdict', () => {
  const RULE = { margin: 0.25, looks: 1 };
  const FLOOR = { value: 0.01, unit: 'ms' };
  const NOISE = [0.02, -0.03, 0.01, 0.04, -0.02, -0.01, 0.03, -0.04];

  const sample = (values: readonly number[], rest: Partial<Sample> = {}): Sample => {
    return { byRound: new Map(values.map((value, i) => [i + 1, value])), faults: '', limit: 'none', ...rest };
  };
  /** Eight rounds whose machine is another in each; the noise of both servers is small. */
  const machine = [1, 3, 2, 9, 5, 4, 1, 2];
  const reference = sample(machine);
  const times = (ratio: number, spread = 1) =>
    sample(machine.map((value, i) => value * ratio * Math.exp(spread * (NOISE[i] ?? 0))));
  const verdict = (judged: Sample, other = reference, direction: Comparison['direction'] = 'lower') => {
    const [found] = judge([{ judged, reference: other, direction, floor: FLOOR }], RULE);
    if (found === undefined) throw new Error('no verdict');
    return found;
  };

  it('finds a difference that is far smaller than that between rounds', () => {
    const found = verdict(times(1.5));
    expect(found).toMatchObject({ outcome: 'different', better: false, rounds: 8, roundsNeeded: null });
    expect(found.ratio?.estimate).toBeCloseTo(1.5, 1);
    expect(found.why).toMatch(/^1\.\d\d times \(1\.\d\d to 1\.\d\d\)$/);
    expect(verdict(times(1.5), reference, 'higher').better).toBe(true);
    expect(verdict(times(0.5)).better).toBe(true);
    expect(verdict(times(4321, 0)).why).toBe('4,321 times (4,321 to 4,321)');
  });

  it('is "same" when the interval lies within the margin, also where it does not contain 1', () => {
    expect(verdict(times(1))).toMatchObject({ outcome: 'same', better: null });
    expect(verdict(times(1.1)).outcome).toBe('same');
    const [strict] = judge([{ judged: times(1.1), reference, direction: 'lower', floor: FLOOR }], {
      margin: 0.05,
      looks: 1,
    });
    expect(strict?.outcome).toBe('different');
  });

  it('is undecided otherwise, with the number of rounds that would decide', () => {
    const found = verdict(times(1.3, 10));
    expect(found.outcome).toBe('undecided');
    expect(found.why).toMatch(/ times \(.* to .*\); worse in \d of 8 rounds; about \d+ rounds would decide$/);
    expect(found.roundsNeeded).toBeGreaterThan(8);
    expect(verdict(times(1.3, 20)).roundsNeeded).toBeGreaterThan(found.roundsNeeded ?? 0);
    // Among many that are undecided, one claim must be surer to be accepted.
    const figures = [10, ...Array<number>(19).fill(100)].map((spread) => times(1.3, spread));
    const comparisons = figures.map((judged) => ({
      judged,
      reference,
      direction: 'lower' as const,
      floor: FLOOR,
    }));
    const [oneOfMany] = judge(comparisons, RULE);
    expect(oneOfMany?.roundsNeeded).toBeGreaterThan(found.roundsNeeded ?? 0);
  });

  it('matches values by their round', () => {
    const later = { ...times(1.5), byRound: new Map([...times(1.5).byRound].toReversed().slice(2)) };
    expect(verdict(later)).toMatchObject({ outcome: 'different', rounds: 6 });
  });

  it.each([
    ['fails with errors', times(2).byRound, { faults: '6 timeout' }, {}, 'fails', '6 timeout'],
    ['fails without a value', new Map(), { faults: '2 failed runs' }, {}, 'fails', '2 failed runs'],
    [
      'is open when the reference fails',
      times(2).byRound,
      {},
      { faults: '1 reset' },
      'undecided',
      'the reference fails: 1 reset',
    ],
    [
      'is open when the generator limited both',
      times(2).byRound,
      { limit: 'bound' },
      { limit: 'bound' },
      'undecided',
      'the load generator was the bottleneck',
    ],
    [
      'is open when the values of a limited server say nothing',
      times(0.5).byRound,
      { limit: 'unknown' },
      {},
      'undecided',
      'the load generator was the bottleneck',
    ],
    [
      'is open with few rounds',
      new Map([
        [1, 2],
        [2, 3],
      ]),
      {},
      {},
      'undecided',
      '2 rounds; 5 are needed',
    ],
  ] as const)('%s', (_, byRound, judged, other, outcome, why) => {
    const found = verdict(sample([], { byRound, ...judged }), { ...reference, ...other });
    expect(found).toMatchObject({ outcome, why, better: null });
  });

  describe('with a load generator that was the bottleneck of one server', () => {
    const limited = (found: Sample): Sample => ({ ...found, limit: 'bound' });
    const atLeast = { outcome: 'different', bound: 'generator' } as const;

    it('is a difference of at least the factor if that server is the better one, in both directions', () => {
      const behind = verdict(times(2), limited(reference));
      expect(behind).toMatchObject({ ...atLeast, better: false });
      expect(behind.why).toMatch(/^at least [12]\.\d\d times \(/);
      expect(verdict(limited(times(0.5)))).toMatchObject({ ...atLeast, better: true });
      const rate = verdict(times(0.5), limited(reference), 'higher');
      expect(rate).toMatchObject({ ...atLeast, better: false });
      expect(rate.why).toMatch(/^at most 0\.\d+ times \(/);
    });

    it('is open, whatever the number of rounds, if it is the worse one', () => {
      for (const found of [
        verdict(limited(times(2))),
        verdict(times(0.5), limited(reference)),
        verdict(limited(times(0.5)), reference, 'higher'),
      ]) {
        expect(found).toMatchObject({ outcome: 'undecided', roundsNeeded: null });
        expect(found.why).toMatch(
          /^\d.* times \(.*\); the load generator was the bottleneck of the worse one$/,
        );
      }
    });

    it('makes no two servers the same', () => {
      expect(verdict(times(1)).outcome).toBe('same');
      expect(verdict(limited(times(1))).outcome).toBe('undecided');
      expect(verdict(times(1), limited(reference)).outcome).toBe('undecided');
    });

    it('leaves the claims of other figures as they were', () => {
      const one = (judged: Sample): Comparison => ({ judged, reference, direction: 'lower', floor: FLOOR });
      const outcomes = judge([one(times(1)), ...Array(40).fill(one(limited(times(1.1))))], RULE);
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(['same', ...Array(40).fill('undecided')]);
    });
  });

  describe('of values below the smallest that can be told from zero', () => {
    const nothing = sample(machine.map((_, i) => (i % 3) / 1000));

    it('names the values instead of a factor', () => {
      const found = verdict(times(1000), nothing);
      expect(found).toMatchObject({ outcome: 'different', better: false, bound: 'floor' });
      expect(found.why).toBe('2,466 ms against less than 0.01 ms');
      expect(verdict(nothing, times(1000)).why).toBe('less than 0.01 ms against 2,466 ms');
    });

    it('is "same" for two of them, zeros too', () => {
      const zero = sample(machine.map(() => 0));
      for (const other of [nothing, zero])
        expect(verdict(other, nothing)).toMatchObject({ outcome: 'same', why: 'both less than 0.01 ms' });
    });
  });

  it('is firm only if its p-value passes its part of 5 %, as one of many figures', () => {
    const one = (judged: Sample): Comparison => ({ judged, reference, direction: 'lower', floor: FLOOR });
    // The p-values are 0.0157 and 0.0068: below a half of 5 %, above a tenth.
    const weak = [one(times(1.3, 8)), one(times(1.02, 6))];
    const strong = Array.from({ length: 4 }, () => [one(times(3)), one(times(1))]).flat();
    const [few, many] = [judge(weak, RULE), judge([...weak, ...strong], RULE)];
    for (const found of [few, many])
      expect(found.slice(0, 2).map(({ outcome }) => outcome)).toEqual(['different', 'same']);
    expect(few.map(({ firm }) => firm)).toEqual([true, true]);
    expect(many.map(({ firm }) => firm)).toEqual([false, false, ...strong.map(() => true)]);
    expect(verdict(times(1.3, 10))).not.toHaveProperty('firm');
    expect(verdict({ ...times(2), faults: '6 timeout' })).not.toHaveProperty('firm');
  });

  it('of many figures accepts fewer than that of one', () => {
    const weak = { judged: times(1.2, 5), reference, direction: 'lower', floor: FLOOR } as const;
    const nothing = { judged: times(1, 9), reference, direction: 'lower', floor: FLOOR } as const;
    const strict = { margin: 0.01, looks: 1 };
    expect(judge([weak], strict)[0]?.outcome).toBe('different');
    const among = judge([weak, ...Array.from({ length: 40 }, () => nothing)], strict);
    expect(among[0]?.outcome).toBe('undecided');
  });
});

describe('simulated reports', { timeout: 120_000 }, () => {
  const REPORTS = sized(60);

  // Three standard errors of a share of 5 %; the large version is bench:verdicts.
  const FALSE_MAX = 0.05 + 3 * Math.sqrt((0.05 * 0.95) / REPORTS);

  it.each(Object.keys(NOISES) as NoiseName[])(
    'cover the true ratios in 93 to 97 of 100 cases, and few verdicts are false: %s',
    (noise) => {
      for (const rounds of [5, 8, 12]) {
        const tally = new Tally();
        for (let seed = 0; seed < REPORTS; seed++) {
          const scenario = { noise, rounds, ratios: [1, 1, 1.1, 1 + MARGIN, 1.5, 3], seed };
          tally.add(scenario, simulate(scenario));
        }
        expect(tally.ratioCovered.value, `${rounds}`).toBeGreaterThan(0.92);
        expect(tally.ratioCovered.value, `${rounds}`).toBeLessThan(0.98);
        expect(tally.falsePrimary.value, `${rounds}`).toBeLessThan(FALSE_MAX);
        expect(tally.falseAll.value, `${rounds}`).toBeLessThan(FALSE_MAX);
        expect(tally.falseFirm.value, `${rounds}`).toBeLessThan(FALSE_MAX);
        expect(tally.controlFails.value, `${rounds}`).toBeLessThan(FALSE_MAX);
      }
    },
  );

  it('have bounds that hold, and few false verdicts, where the load generator was the bottleneck', () => {
    const tally = new Tally();
    for (let seed = 0; seed < REPORTS; seed++) {
      const ratios = [1, 1.1, 1 / 1.1, 1.5, 1 / 1.5, 3];
      const scenario = {
        noise: 'independent, normal',
        rounds: 8,
        ratios,
        limits: [0.7, 1, 1.4],
        seed,
      } as const;
      tally.add(scenario, simulate(scenario));
    }
    expect(tally.boundHolds.count).toBeGreaterThan(REPORTS);
    expect(tally.boundHolds.value).toBeGreaterThan(0.93);
    expect(tally.falsePrimary.value).toBeLessThan(0.05); // without the rule of limited servers: 0.4
    expect(tally.falseAll.value).toBeLessThan(0.05);
    expect(tally.controlFails.value).toBeLessThan(FALSE_MAX);
  });

  // Half of the figures are the same and half differ by the margin, so that a false verdict is possible on each.
  it.each([2, 18, 58])('contain a false firm verdict in at most 5 of 100, with %i figures', (figures) => {
    const [normal, reports] = [standardNormal(seededRandom(figures)), sized(1500)];
    const [anyFalse, firmFalse] = [new Share(), new Share()];
    const sample = (ratio: number): Sample => {
      const values = Array.from({ length: 8 }, () => ratio * Math.exp(0.12 * normal()));
      return { byRound: new Map(values.entries()), faults: '', limit: 'none' };
    };
    const rest = { direction: 'lower', floor: { value: 0.001, unit: 'ms' } } as const;
    for (let report = 0; report < reports; report++) {
      const comparisons = Array.from({ length: figures }, (_, i): Comparison => {
        return { judged: sample(i % 2 === 0 ? 1 : 1 + MARGIN), reference: sample(1), ...rest };
      });
      const found = judge(comparisons, { margin: MARGIN, looks: 1 });
      const wrong = found.filter(({ outcome }, i) => outcome === (i % 2 === 0 ? 'different' : 'same'));
      anyFalse.add(wrong.length > 0);
      firmFalse.add(wrong.some(({ firm }) => firm));
    }
    expect(firmFalse.value).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / reports));
    if (figures > 2) expect(anyFalse.value).toBeGreaterThan(0.1); // of all verdicts
  });

  it('find differences of 1.5 times: most with five rounds, nearly all with eight', () => {
    const power = (rounds: number) => {
      const tally = new Tally();
      for (let seed = 0; seed < REPORTS; seed++) {
        const scenario = { noise: 'independent, normal', rounds, ratios: [1, 1.5], seed } as const;
        tally.add(scenario, simulate(scenario));
      }
      return tally.power.value;
    };
    expect(power(5)).toBeGreaterThan(0.65);
    expect(power(8)).toBeGreaterThan(0.95);
  });

  it('are right as often although rounds end when they show a difference, or are precise enough', () => {
    for (const openAt of [
      placesWithoutDifference,
      ({ verdicts }: ReturnType<typeof simulate>) => impreciseAt(verdicts, 0.2),
    ]) {
      const [covered, wrong] = [new Share(), new Share()];
      for (let seed = 0; seed < sized(20); seed++) {
        const scenario = { noise: 'independent, normal', rounds: LOOKS[0], ratios: [1], seed } as const;
        const { verdicts, rounds } = simulateUntil(scenario, openAt);
        for (const { ratio } of verdicts) if (ratio !== null) covered.add(ratio.low <= 1 && ratio.high >= 1);
        wrong.add(verdicts.some((verdict) => verdict.primary && isFalse(verdict, 1)));
        expect(rounds.every((reached) => LOOKS.some((look) => look === reached))).toBe(true);
      }
      expect(covered.value).toBeGreaterThan(0.95);
      expect(wrong.value).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / wrong.count));
    }
  });
});
