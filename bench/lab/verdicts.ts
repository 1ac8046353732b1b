/**
 * `npm run bench:verdicts`: how far the verdicts of `kecho-pool compare` can be trusted, by its own plan, analysis and
 * rule of verdicts on made-up runs, whose truth is known.
 *
 * All comes from seeds: the same options give the same table on any machine.
 */
import { type Analysis, impreciseAt } from '../compare/analyse.ts';
import { LOOKS } from '../compare/plan.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { table } from '../report/terminal.ts';
import { OUTLIER_RATE } from '../stats/summary.ts';
import { putReport } from './report-file.ts';
import { NOISES, type NoiseName } from './verdicts/noise.ts';
import { PROCEDURES, type ProcedureName } from './verdicts/procedures.ts';
import {
  MARGIN,
  placesWithoutDifference,
  type Scenario,
  simulate,
  simulateUntil,
} from './verdicts/simulate.ts';
import { POWER_RATIO, Share, Tally } from './verdicts/tally.ts';

const USAGE = `usage: npm run bench:verdicts -- [options]

  --reports N    simulated reports in each row, from 1 to 100000 (600, which
                 takes some 12 minutes)
  --output FILE  also write the table to FILE
  --help         this text

Exit codes: 0 all limits kept, 1 a limit is exceeded, 2 wrong usage.
`;

const FLAGS = { reports: { type: 'string', default: '600' }, output: { type: 'string' } } as const;

/**
 * True ratios that the figures of a report have in turn: none differs; some do, one by just the margin; half of them do, and
 * each may be judged falsely, so that the most reports contain a false verdict.
 */
const TRUTHS = {
  none: [1],
  some: [1, 1, 1.1, 1 + MARGIN, POWER_RATIO, 3],
  half: [1, 1 + MARGIN, 1, POWER_RATIO],
} as const;
type Truth = keyof typeof TRUTHS;
const ROUNDS = [5, 6, 8, 12] as const;
/** True ratios, and how good the load generator lets a server look: then some better ones look worse, or the same. */
const LIMITED = { none: [1], some: [1, 1, 1.1, 1 / 1.1, POWER_RATIO, 1 / POWER_RATIO, 3, 1 / 3] } as const;
const LIMITS = [0.7, 1, 1.4] as const;
const UNTIL = 0.2;

/** Intervals must cover the truth with a probability between these. */
const COVERED = { from: 0.93, to: 0.97 };
const FALSE_MAX = 0.05;

interface Row {
  cells: string[];
  problems: string[];
}

function percent({ value }: Share): string {
  return Number.isNaN(value) ? '-' : (value * 100).toFixed(1);
}

/** Three standard errors of a share of the reports. */
function tolerance(share: number, reports: number): number {
  return 3 * Math.sqrt((share * (1 - share)) / reports);
}

function common(tally: Tally): string[] {
  return [percent(tally.ratioCovered), ...errors(tally), percent(tally.power), percent(tally.undecided)];
}

function errors(tally: Tally): string[] {
  return [
    percent(tally.falsePrimary),
    percent(tally.falseAll),
    percent(tally.reportsWithFalse),
    percent(tally.falseFirm),
    percent(tally.controlFails),
  ];
}

function problemsOf(tally: Tally, what: string, reports: number): string[] {
  const found: string[] = [];
  for (const [name, share] of [
    ['false verdicts, primary', tally.falsePrimary],
    ['false verdicts, all', tally.falseAll],
    ['false firm verdicts', tally.falseFirm],
    ['the control fails', tally.controlFails],
  ] as const) {
    if (share.value > FALSE_MAX + tolerance(FALSE_MAX, reports))
      found.push(`${what}: ${name} in ${percent(share)} %`);
  }
  return found;
}

const HEAD = [
  'noise',
  'differ',
  'rounds',
  'ratio covered',
  'false, primary',
  'false, all',
  'reports with one',
  'false firm',
  'A/A fails',
  'power',
  'undecided',
];

function scenarioOf(noise: NoiseName, truth: Truth, rounds: number, report: number): Scenario {
  return { noise, rounds, ratios: TRUTHS[truth], seed: 1000 + report };
}

function tallied(reports: number, scenarioAt: (report: number) => Scenario): Tally {
  const tally = new Tally();
  for (let report = 0; report < reports; report++) {
    const scenario = scenarioAt(report);
    tally.add(scenario, simulate(scenario));
  }
  return tally;
}

function fixedRow(noise: NoiseName, truth: Truth, rounds: number, reports: number, whole = false): Row {
  const tally = tallied(reports, (report) => ({ ...scenarioOf(noise, truth, rounds, report), whole }));
  const what = `${noise}, ${truth} differ, ${rounds} rounds${whole ? ', all experiments' : ''}`;
  const problems = problemsOf(tally, what, reports);
  const { value } = tally.ratioCovered;
  if (value < COVERED.from || value > COVERED.to)
    problems.push(`${what}: ratios covered in ${percent(tally.ratioCovered)} %`);
  return {
    cells: [
      noise,
      truth,
      String(rounds),
      ...common(tally),
      percent(tally.medianCovered),
      percent(tally.outliers),
    ],
    problems,
  };
}

/** Ends of rounds with --until: as the product does, and as an adversary would. */
const STOPS = {
  precise: (found: Analysis) => impreciseAt(found.verdicts, UNTIL),
  different: placesWithoutDifference,
} as const;

function untilRow(noise: NoiseName, truth: Truth, stop: keyof typeof STOPS, reports: number): Row {
  const tally = new Tally();
  const rounds = new Share();
  for (let report = 0; report < reports; report++) {
    const scenario = scenarioOf(noise, truth, LOOKS[0], report);
    const found = simulateUntil(scenario, STOPS[stop]);
    tally.add(scenario, found);
    for (const reached of found.rounds) rounds.add(reached);
  }
  const what = `${noise}, ${truth} differ, ${stop}`;
  const problems = problemsOf(tally, what, reports);
  if (tally.ratioCovered.value < COVERED.from)
    problems.push(`${what}: ratios covered in ${percent(tally.ratioCovered)} %`);
  return { cells: [noise, truth, `${stop}: ${rounds.value.toFixed(1)}`, ...common(tally)], problems };
}

const LIMITED_HEAD = [
  ...['noise', 'differ', 'rounds', 'bound holds', 'ratio covered', 'false, primary', 'false, all'],
  ...['reports with one', 'false firm', 'A/A fails', 'undecided'],
];

function limitedRow(noise: NoiseName, truth: keyof typeof LIMITED, rounds: number, reports: number): Row {
  const tally = tallied(reports, (report) => ({
    ...scenarioOf(noise, truth, rounds, report),
    ...{ ratios: LIMITED[truth], limits: LIMITS },
  }));
  const what = `${noise}, ${truth} differ, ${rounds} rounds, generator limited`;
  const problems = problemsOf(tally, what, reports);
  if (tally.boundHolds.value < COVERED.from)
    problems.push(`${what}: bounds hold in ${percent(tally.boundHolds)} %`);
  const intervals = [percent(tally.boundHolds), percent(tally.ratioCovered)];
  return {
    cells: [noise, truth, String(rounds), ...intervals, ...errors(tally), percent(tally.undecided)],
    problems,
  };
}

const PROCEDURE_HEAD = [
  ...['figures', 'rounds', 'procedure', 'false, primary', 'reports with one', 'power', 'same found'],
  'undecided',
];

/** What a procedure would make of a report; no limits apply. */
function procedureRow(name: ProcedureName, whole: boolean, rounds: number, reports: number): string[] {
  const tally = tallied(reports, (report) => ({
    ...scenarioOf('independent, normal', 'half', rounds, report),
    ...{ whole, procedure: PROCEDURES[name] },
  }));
  const shares = [tally.falsePrimary, tally.reportsWithFalse, tally.power, tally.sameFound, tally.undecided];
  return [String(tally.undecided.count / reports), String(rounds), name, ...shares.map(percent)];
}

function fixedRows(reports: number): Row[] {
  return (Object.keys(NOISES) as NoiseName[]).flatMap((noise) =>
    (Object.keys(TRUTHS) as Truth[]).flatMap((truth) =>
      ROUNDS.map((rounds) => fixedRow(noise, truth, rounds, reports)),
    ),
  );
}

/** Of all usual experiments, whose reports have the most verdicts. */
function wholeRows(reports: number): Row[] {
  return (Object.keys(NOISES) as NoiseName[]).flatMap((noise) =>
    (['none', 'half'] as const).flatMap((truth) =>
      ([5, 8] as const).map((rounds) => fixedRow(noise, truth, rounds, reports, true)),
    ),
  );
}

const THREE_NOISES: NoiseName[] = ['independent, normal', 'autocorrelation 0.9', 'heavy tails: t, 3 degrees'];

function limitedRows(reports: number): Row[] {
  return THREE_NOISES.flatMap((noise) =>
    (['none', 'some'] as const).flatMap((truth) =>
      ROUNDS.map((rounds) => limitedRow(noise, truth, rounds, reports)),
    ),
  );
}

function procedureRows(reports: number): string[][] {
  return [false, true].flatMap((whole) =>
    ROUNDS.flatMap((rounds) =>
      (Object.keys(PROCEDURES) as ProcedureName[]).map((name) => procedureRow(name, whole, rounds, reports)),
    ),
  );
}

function untilRows(reports: number): Row[] {
  return THREE_NOISES.flatMap((noise) => [
    untilRow(noise, 'none', 'precise', reports),
    untilRow(noise, 'some', 'precise', reports),
    untilRow(noise, 'none', 'different', reports),
  ]);
}

await runProgram('bench:verdicts', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const reports = numberFlag('--reports', flags.reports, 1, 100_000);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  const fixed = fixedRows(reports);
  const whole = wholeRows(reports);
  const until = untilRows(reports);
  const limited = limitedRows(reports);
  const problems = [...fixed, ...whole, ...until, ...limited].flatMap((row) => row.problems);
  putReport(
    [
      `Verdicts of compare, simulated: ${reports} reports a row, each with three servers and a control at nine points; all`,
      'figures in percent. Computed from seeds: the same on any machine.',
      '',
      ...table([[...HEAD, 'median covered', 'outlier'], ...fixed.map(({ cells }) => cells)]),
      '',
      'All usual experiments: 58 primary figures, not 18',
      ...table([[...HEAD, 'median covered', 'outlier'], ...whole.map(({ cells }) => cells)]),
      '',
      `--until ${UNTIL * 100}%, with the mean number of rounds; and the same looks, ended at each point as soon as an interval excludes 1`,
      ...table([HEAD, ...until.map(({ cells }) => cells)]),
      '',
      'A load generator that is the bottleneck: a primary figure looks at most 0.7, 1 or 1.4 times as good as that of the reference is',
      ...table([LIMITED_HEAD, ...limited.map(({ cells }) => cells)]),
      '',
      'Procedures for many figures (the first is that of compare); independent, normal noise, and half of the primary figures differ',
      ...table([PROCEDURE_HEAD, ...procedureRows(reports)]),
      '',
      'differ            none: all true ratios are 1; some: 1, 1, 1.1, 1.25, 1.5 and 3 in turn; half: 1, 1.25, 1 and 1.5;',
      '                  where the generator is the bottleneck 1, 1, 1.1, 1.5, 3 and the inverse of these',
      'covered           intervals that contain the true ratio to the reference, or the true median',
      `false             share of false ones among the verdicts "different" and "same" of a report, on average; same at ${1 + MARGIN} is false`,
      'bound holds       intervals that contain the true ratio or lie nearer to 1, where only the better server was limited',
      'reports with one  reports with at least one false verdict on a primary figure',
      'false firm        sets of figures (the primary ones of a report, the others) with at least one false firm verdict',
      `power             primary figures with a true ratio of ${POWER_RATIO} that are judged different`,
      'same found        primary figures with a true ratio of 1 that are judged the same',
      `outlier           cells with a mark; ${OUTLIER_RATE * 100} is expected of normal noise`,
      '',
      `Limits: ratios covered in ${COVERED.from * 100} to ${COVERED.to * 100} (bounds, and with --until, at least that); false, firm and A/A at most ${FALSE_MAX * 100}, within three standard errors.`,
      'The signed-rank test has no interval of exactly 95 %: that of five rounds covers 93.75 %, that of six 96.88 %.',
      'A median is that of the whole session: where the machine drifts, its interval covers no truth, and does not decide.',
      ...(problems.length === 0
        ? ['All limits are kept.']
        : problems.map((problem) => `EXCEEDED  ${problem}`)),
    ],
    output,
  );
  return problems.length === 0 ? 0 : 1;
});
