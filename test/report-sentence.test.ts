/**
 * Goal: the report of `compare` begins with which server to choose for which load, and has sentences at each experiment that
 * say what it has found, as its verdicts have it.
 * Method: pure; verdicts, rates and timelines are made up.
 */
import { describe, expect, it } from 'vitest';
import type { ExperimentName } from '../bench/compare/experiments/kind.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { experimentInfo } from '../bench/compare/run-plan.ts';
import type { Cell, PointVerdict, Results, TimelineSample } from '../bench/compare/types.ts';
import { htmlReport } from '../bench/report/html.ts';
import { leadSentences, sentencesOf } from '../bench/report/sentence.ts';
import { kindOfWork } from '../bench/report/sizing.ts';
import { summary } from '../bench/report/summary.ts';
import { terminalReport } from '../bench/report/terminal.ts';
import { fakeResults, LOAD, STRATEGY_FAKES } from './support/compare-results.ts';

type Judged = Pick<PointVerdict, 'outcome' | 'better' | 'ratio'> &
  Partial<Pick<PointVerdict, 'bound' | 'why'>>;

const UNDECIDED: Judged = { outcome: 'undecided', better: null, ratio: null };
const SAME: Judged = { outcome: 'same', better: null, ratio: null };
const FAILS: Judged = { outcome: 'fails', better: null, ratio: null };

function different(better: boolean, estimate: number, low: number, high: number): Judged {
  return { outcome: 'different', better, ratio: { estimate, low, high, confidence: 0.95 } };
}

interface Server {
  label: string;
  rate: number;
  /** The verdicts on the first figure and on the rate; the reference has none. */
  first?: Judged;
  onRate?: Judged;
  timeouts?: number;
  /** CPU time per request. */
  cpuUs?: number;
}

const CLIENTS = 50;
const RATE = 'perSecond' as const;

/** Results of one experiment with 50 clients; the first server is the reference. */
function resultsOf(
  servers: readonly Server[],
  name: ExperimentName = 'response',
  clients = [CLIENTS],
  services?: readonly string[],
): Results {
  const given = { quick: true, idleMax: 100, clients, services };
  const experiments = chooseExperiments([name], given).map(experimentInfo);
  const primary = experiments[0]?.ranked[0] ?? 'averageMs';
  const points = clients.map(String);
  const cells = points.flatMap((point) =>
    servers.map(({ label, rate, timeouts = 0, cpuUs }): Cell => {
      const figure = (median: number) => ({
        ...{ median, low: null, high: null, confidence: null, values: [], rounds: [] },
        ...{ boundRuns: 0, outlierRound: null },
      });
      return {
        ...{ experiment: name, point, label, runs: 8, failedRuns: 0, saturatedRuns: 0, lateRuns: 0 },
        errors: { ...LOAD.errors, timeout: timeouts },
        errorTotal: timeouts,
        metrics: {
          perSecond: figure(rate),
          ...(cpuUs === undefined ? {} : { cpuPerRequestUs: figure(cpuUs) }),
        },
      };
    }),
  );
  const reference = servers[0]?.label ?? '';
  const verdicts = points.flatMap((point) =>
    servers.flatMap(({ label, first, onRate = first }) => {
      const place = { experiment: name, point, label, reference, rounds: 8, roundsNeeded: null, why: '' };
      return first === undefined || onRate === undefined
        ? []
        : [
            { ...place, ...first, metric: primary, primary: true },
            ...(primary === 'perSecond' ? [] : [{ ...place, ...onRate, metric: RATE, primary: false }]),
          ];
    }),
  );
  const contestants = servers.map(({ label }) => ({ label, kind: 'strategy' as const, command: '' }));
  const base = fakeResults(STRATEGY_FAKES, ['response']);
  return { ...base, reference, contestants, experiments, cells, verdicts, timelines: [] };
}

function sentences(results: Results): string[] {
  return results.experiments.flatMap((experiment) => sentencesOf(results, experiment));
}

/** What the page has after its title. */
function afterTitle(results: Results): string {
  return (/<\/h1>([\s\S]*)/.exec(htmlReport(results))?.[1] ?? '').trimStart();
}

describe('the sentence', () => {
  it('names what is better, by how much, what has the highest rate and what fails', () => {
    const servers = [
      { label: 'cmwq', rate: 851 },
      { label: 'workqueue', rate: 90, first: different(false, 1.27, 1.2, 1.41) },
      { label: 'wq50', rate: 928, first: UNDECIDED, onRate: different(true, 1.09, 1.05, 1.1) },
      { label: 'kthread', rate: 925, first: FAILS, timeouts: 6 },
    ];
    expect(leadSentences(resultsOf(servers))).toEqual([
      'For this load: cmwq answers 1.27 times (1.2 to 1.41) faster on average than workqueue, ' +
        'cmwq against wq50 is undecided, wq50 has the highest rate, kthread fails.',
    ]);
  });

  it('turns a ratio over where the judged server is better, and says which are the same', () => {
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 100, first: different(true, 0.5, 0.4, 0.625) },
      { label: 'b', rate: 100, first: SAME },
      { label: 'c', rate: 100, first: SAME },
    ];
    expect(leadSentences(resultsOf(servers))).toEqual([
      'For this load: a answers 2 times (1.6 to 2.5) faster on average than cmwq, cmwq answers as fast on average as b and c.',
    ]);
  });

  it('names a worse p99 beside a better average', () => {
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 100, first: different(true, 0.5, 0.4, 0.625), onRate: SAME },
    ];
    const results = resultsOf(servers, 'handler');
    const [verdict] = results.verdicts;
    if (verdict === undefined) throw new Error('no verdict');
    results.verdicts.push({ ...verdict, ...different(false, 2.37, 2, 3), metric: 'p99Ms', primary: false });
    expect(leadSentences(results)).toEqual([
      'For this load: a answers 2 times (1.6 to 2.5) faster on average than cmwq, but with a 99th percentile ' +
        '2.37 times (2 to 3) higher.',
    ]);
  });

  it('takes the direction of the figure into account: a higher rate is better', () => {
    const servers = [
      { label: 'cmwq', rate: 850 },
      { label: 'wq50', rate: 928, first: different(true, 1.09, 1.05, 1.13) },
      { label: 'workqueue', rate: 85, first: different(false, 0.1, 0.08, 0.125) },
    ];
    expect(leadSentences(resultsOf(servers, 'throughput'))).toEqual([
      'For this load: cmwq has 10 times (8 to 12.5) the rate of workqueue, ' +
        'wq50 has 1.09 times (1.05 to 1.13) the rate of cmwq, wq50 has the highest rate.',
    ]);
  });

  it('claims no highest rate that is not certain, and no comparison with a reference that fails', () => {
    const open = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 99, first: SAME, onRate: SAME },
    ];
    expect(leadSentences(resultsOf(open)).join()).not.toContain('highest');
    const failing = [
      { label: 'cmwq', rate: 100, timeouts: 3 },
      { label: 'a', rate: 99, first: UNDECIDED, onRate: UNDECIDED },
    ];
    expect(leadSentences(resultsOf(failing))).toEqual([
      'For this load: only a serves all clients, cmwq fails.',
    ]);
  });

  it('names the load where there are several', () => {
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 99, first: SAME },
    ];
    expect(sentences(resultsOf(servers, 'throughput', [2, 16]))).toEqual([
      '2 clients: cmwq has the same rate as a.',
      '16 clients: cmwq has the same rate as a.',
    ]);
  });

  it('names values instead of a factor where one is almost nothing, and a factor that is only a bound as such', () => {
    const bound = different(false, 70.5, 33.6, 92.7);
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 9, first: { ...bound, bound: 'generator' as const } },
      {
        label: 'b',
        rate: 9,
        first: { ...bound, bound: 'floor' as const, why: '3 ms against less than 1 ms' },
      },
    ];
    expect(leadSentences(resultsOf(servers))).toEqual([
      'For this load: cmwq answers at least 70.5 times (33.6 to 92.7) faster on average than a, ' +
        'the average response time of b is 3 ms against less than 1 ms of cmwq, cmwq has the highest rate.',
    ]);
  });

  it('is the first thing printed and shown of a single load', () => {
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 99, first: SAME },
    ];
    const results = resultsOf(servers);
    const sentence = 'For this load: cmwq answers as fast on average as a.';
    expect(terminalReport(results)[0]).toBe(sentence);
    expect(afterTitle(results)).toMatch(
      new RegExp(`^<p class="soft">[^<]*</p>\\s*<ul class="answer"><li>${sentence}`),
    );
    expect(htmlReport(results).split(sentence)).toHaveLength(2);
    expect(terminalReport(results).join('\n')).not.toContain('Which server for which load');
  });
});

describe('the summary', () => {
  const WORSE = different(false, 2, 1.5, 3);
  const at = (first: Judged) => [
    { label: 'cmwq', rate: 100 },
    { label: 'a', rate: 50, first },
  ];

  /** The results of several experiments in one. */
  function together(...parts: readonly Results[]): Results {
    const [first] = parts;
    if (first === undefined) throw new Error('no results');
    return {
      ...first,
      experiments: parts.flatMap(({ experiments }) => experiments),
      cells: parts.flatMap(({ cells }) => cells),
      verdicts: parts.flatMap(({ verdicts }) => verdicts),
    };
  }

  const shown = (results: Results) =>
    summary(results).map(({ experiments, choice, against }) => [
      experiments.map(({ name }) => name).join(),
      choice,
      against.map(({ parts }) => parts.map(({ text }) => text).join('; ')).join(' | '),
    ]);

  it('has a row for each answer, in which experiments share it, with the range of the factors and their number', () => {
    const results = together(
      resultsOf(at(WORSE), 'response', [1, 10]),
      resultsOf(at(SAME), 'throughput'),
      resultsOf(at(different(false, 0.25, 0.2, 0.3)), 'churn'),
      resultsOf(at(UNDECIDED), 'zipf'),
    );
    expect(shown(results)).toEqual([
      ['response,churn', 'cmwq', '2 to 4 times worse'],
      ['throughput', 'any: they are the same', 'same'],
      ['zipf', 'undecided', 'undecided'],
    ]);
  });

  it.each([
    [SAME, WORSE, 'cmwq', 'same (1 of 2); 2 times (1.5 to 3) worse (1 of 2)'],
    [UNDECIDED, SAME, 'undecided', 'same (1 of 2); undecided (1 of 2)'],
    [
      different(true, 0.5, 0.4, 0.6),
      UNDECIDED,
      'a',
      '2 times (1.67 to 2.5) better (1 of 2); undecided (1 of 2)',
    ],
    [FAILS, WORSE, 'cmwq', 'fails (1 of 2); 2 times (1.5 to 3) worse (1 of 2)'],
    [FAILS, different(true, 0.5, 0.4, 0.6), 'depends on the load', /^fails .*better/],
  ])('sums up the points of an experiment: %j, %j: %s', (one, other, choice, text) => {
    const [first, second] = [resultsOf(at(one), 'response', [1]), resultsOf(at(other), 'response', [10])];
    const experiment = resultsOf(at(one), 'response', [1, 10]).experiments;
    const [row] = shown({ ...together(first, second), experiments: experiment });
    expect(row?.[1]).toBe(choice);
    if (typeof text === 'string')
      expect(row?.[2]?.split('; ').toSorted()).toEqual(text.split('; ').toSorted());
    else expect(row?.[2]).toMatch(text);
  });

  it('chooses no reference that fails, and names other figures that point the other way', () => {
    const failing = [
      { label: 'cmwq', rate: 100, timeouts: 3 },
      { label: 'a', rate: 99, first: UNDECIDED },
      { label: 'b', rate: 99, first: FAILS, timeouts: 1 },
    ];
    expect(shown(resultsOf(failing, 'response', [1, 2]))[0]?.[1]).toBe('a');
    const hidden = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 50, first: different(true, 0.5, 0.4, 0.6), onRate: WORSE },
      { label: 'b', rate: 50, first: UNDECIDED },
    ];
    const [, choice, text = ''] = shown(resultsOf(hidden, 'response', [1, 2]))[0] ?? [];
    expect(choice).toBe('a');
    expect(text).toBe('2 to 2 times better; but worse: rate | undecided');
  });

  it('comes first in the page, above the fold, and last on the terminal, without the control', () => {
    const results = fakeResults(STRATEGY_FAKES, ['response']);
    expect(afterTitle(results)).toMatch(
      /^<p class="soft">[^<]*<\/p>\s*<section id="summary"><h2>Which server for which load/,
    );
    const lines = terminalReport(results);
    const from = lines.indexOf('Which server for which load');
    expect(lines.length - from).toBeLessThanOrEqual(12);
    expect(lines.slice(from).join('\n')).toMatch(
      /\n {2}response +cmwq or workqueue +[\d.]+ to [\d.]+ ms +[\d.]+ to [\d.]+ ms: same +[\d,.]+ to [\d,.]+ ms: [\d.]+ to [\d.]+ times worse$/,
    );
    expect(lines.slice(from).join('\n')).not.toContain('(again)');
    expect(lines[1]).toMatch(/^ {2}1 client: cmwq answers .* faster on average than kthread/);
    expect(htmlReport(results)).toContain('<li>1 client: cmwq answers ');
  });
});

describe('the report on a handler', () => {
  const servers = [
    { label: 'cmwq', rate: 149, cpuUs: 1_540 },
    { label: 'wq3', rate: 101, cpuUs: 1_540, first: different(false, 0.7, 0.6, 0.8) },
  ];

  /** At two numbers of clients, the first no more than processors. */
  function ofHandler(responseMs: number): Results {
    const results = resultsOf(servers, 'throughput', [2, 40], ['burn:1ms']);
    for (const { metrics } of results.cells) {
      if (metrics.perSecond !== undefined) metrics.averageMs = { ...metrics.perSecond, median: responseMs };
    }
    const options = { ...results.options, handler: 'work.ts', variants: ['wq3=-s workqueue --workers 3'] };
    return { ...results, options };
  }

  it.each([
    [2, 'work.ts, which computes'],
    [20, 'work.ts, which mostly sleeps'],
  ])(
    'names it in the title, and what it does: answers take %i ms with a client for each processor',
    (ms, words) => {
      expect(htmlReport(ofHandler(ms))).toContain(`<h1>Echo servers compared with the handler ${words}</h1>`);
    },
  );

  it('explains variants beside the summary, which has absolute figures, and ends with what to choose', () => {
    const results = ofHandler(2);
    const page = afterTitle(results).split('</section>', 1)[0] ?? '';
    expect(page).toContain(
      '<td><span class="values">149 per s</span></td><td><span class="values">101 per s</span><br>',
    );
    expect(page).toContain('wq3: kecho-pool -s workqueue --workers 3.');
    const line = 'Which to choose: Clients that stay connected (burn:1ms): cmwq.';
    expect(page).toContain(line);
    expect(terminalReport(results).at(-1)).toBe(line);
    expect(htmlReport(results)).not.toContain('almost no work');
  });

  it.each([
    ['an undecided first figure', 'undecided', { label: 'a', rate: 91, first: UNDECIDED }],
    ['a choice', 'a', { label: 'a', rate: 101, first: different(true, 1.5, 1.4, 1.6) }],
  ])('names a worse p99 after %s', (_, choice, other) => {
    const results = resultsOf([{ label: 'cmwq', rate: 90 }, other], 'throughput', [2, 40], ['burn:1ms']);
    results.options = { ...results.options, services: ['burn:1ms'] };
    const [verdict] = results.verdicts;
    if (verdict === undefined) throw new Error('no verdict');
    results.verdicts.push({ ...verdict, ...different(false, 2, 1.5, 3), metric: 'p99Ms', primary: false });
    expect(terminalReport(results).at(-1)).toMatch(new RegExp(`: ${choice}, but a has a worse p99\\.$`));
  });
});

describe('a busy machine', () => {
  const quiet = () => fakeResults(STRATEGY_FAKES, ['response']);
  const disturbance = { stealShare: 0.1, othersShare: 0.7 };

  it('is the first thing printed and shown, with numbers', () => {
    const results = quiet();
    const rounds = [1, 2, 3, 4, 5, 6].map((round) => ({ experiment: 'response', point: '1', round }));
    results.disturbed = rounds.map((round) => ({ ...round, ...disturbance, repeated: false }));
    results.environment = { ...results.environment, loadAverage1Min: 37.6 };
    const text =
      'Other programs used the processors: 6 of 24 rounds are disturbed and count, with 80 % of the processors for others ' +
      '(load before the start: 37.6 on 2 processors).';
    expect(terminalReport(results)[0]).toContain(text);
    expect(afterTitle(results)).toMatch(
      /^<p class="soft">[^<]*<\/p><p class="notice" id="busy">Other programs used/,
    );
    // Repeated rounds do not count.
    results.disturbed = results.disturbed.map((round) => ({ ...round, repeated: true }));
    const before = /^Other programs use the processors: load 37\.6 on 2 processors before the start\./;
    expect(terminalReport(results)[0]).toMatch(before);
  });

  it('is named where the servers ran on another one', () => {
    const results = quiet();
    const environment = { ...results.environment, loadAverage1Min: 9, availableParallelism: 8 };
    results.serverHost = { name: 'far', address: '192.0.2.1', roundTripMs: 1, environment };
    const first = () => terminalReport(results)[0];
    expect(first()).toContain('processors: load 9.0 on 8 processors of far before the start.');
    results.environment = { ...results.environment, loadAverage1Min: 3 };
    expect(first()).toContain(
      'load 3.0 on 2 processors of the load generator and 9.0 on 8 processors of far',
    );
    environment.loadAverage1Min = 8;
    expect(first()).toContain('load 3.0 on 2 processors of the load generator before');
  });

  it('is not mentioned where few rounds were disturbed', () => {
    const results = quiet();
    results.disturbed = [{ experiment: 'response', point: '1', round: 1, ...disturbance, repeated: false }];
    expect(terminalReport(results).join('\n')).not.toContain('Other programs');
    expect(htmlReport(results)).not.toContain('Other programs');
  });
});

describe('the numbers of runs', () => {
  it('include those for timelines and those that were skipped', () => {
    const results = fakeResults(STRATEGY_FAKES, ['response']);
    const skipped = { ...results, plannedRuns: results.runs.length + 4 };
    expect(htmlReport(skipped)).toContain(
      '96 runs (4 of 100 were skipped, see the notes) and 4 for timelines.',
    );
  });

  it('of a comparison that was interrupted at once come without legends', () => {
    const results = { ...fakeResults(STRATEGY_FAKES, ['response']), partial: true };
    const none = { ...results, runs: [], cells: [], verdicts: [], notes: ['a note'] };
    expect(terminalReport(none)).toEqual(['PARTIAL: interrupted after 0 of 96 runs.', '', 'note: a note']);
  });
});

describe('the sizing hint', () => {
  const WORK = ['sleep:20ms'];
  const LIMITED = [0, 48, 48, 48];
  const NONE = [0, 0, 0, 0];

  /** `busy` workers, and as many connections waiting as `queued` has, one for each sample; where none waits others are idle. */
  function timeline(label: string, busy: number, queued: readonly number[]): Results['timelines'][number] {
    const samples = queued.map((waiting, i): TimelineSample => {
      const workers = { busyWorkers: busy, idleWorkers: waiting > 0 ? 0 : 1 };
      return { atMs: i * 100, threads: 9, active: CLIENTS, queued: waiting, nrRunning: 0, ...workers };
    });
    return { experiment: 'throughput', point: String(CLIENTS), label, samples };
  }

  const servers = [
    { label: 'cmwq', rate: 851, cpuUs: 2_100 },
    { label: 'workqueue', rate: 90, cpuUs: 2_100, first: FAILS, timeouts: 48 },
    { label: 'wq50', rate: 928, cpuUs: 2_100, first: UNDECIDED },
  ];
  const timelines = [timeline('workqueue', 2, LIMITED), timeline('wq50', 50, NONE)];
  const working = (of = servers) => resultsOf(of, 'throughput', [CLIENTS], WORK);
  const STAY = (title: string) =>
    `${title}: clients timed out under workqueue. If yours stay connected, a workqueue needs a worker for each, here ${CLIENTS}, ` +
    'whatever the handler does.';

  it('follows from the rate of busy workers where they sleep, and is stated with its inputs', () => {
    const results = { ...working(), timelines: [...timelines, timeline('cmwq', 24, NONE)] };
    const title = `${CLIENTS} clients that stay connected`;
    const start =
      `${title}: the workers limit workqueue. 2 of them, always busy, answer 90 requests per s, so each request ` +
      'takes a worker 22.2 ms, mostly asleep; the 928 per s of wq50 take ';
    expect(leadSentences(results).slice(1)).toEqual([
      `${start}at least 21 workers (928 per s x 22.2 ms).`,
      STAY(title),
    ]);
    expect(kindOfWork(results)).toBe('sleeps');
    // What counts are the processors of the servers.
    const environment = { ...results.environment, availableParallelism: 32 };
    const serverHost = { name: 'b', address: '10.0.0.2', roundTripMs: 0.1, environment };
    expect(kindOfWork({ ...results, serverHost })).toBe('computes');
    // Never more than cmwq needed.
    const fewer = { ...results, timelines: [...timelines, timeline('cmwq', 19, NONE)] };
    expect(leadSentences(fewer)[1]).toBe(`${start}some 19 workers, the most that cmwq had busy.`);
  });

  it('says that more workers do not help a handler that computes, however long requests take on a busy machine', () => {
    // 1.54 ms of CPU, 16.8 ms in a worker.
    const slow = [
      { label: 'cmwq', rate: 149, cpuUs: 1_540 },
      { label: 'workqueue', rate: 119, cpuUs: 1_540, first: FAILS, timeouts: 38 },
      { label: 'wq3', rate: 101, cpuUs: 1_540, first: FAILS },
    ];
    const busy = [timeline('workqueue', 2, LIMITED), timeline('wq3', 3, LIMITED), timeline('cmwq', 2, NONE)];
    const results = { ...working(slow), timelines: busy };
    const title = `${CLIENTS} clients that stay connected`;
    expect(leadSentences(results).slice(1)).toEqual([
      `${title}: the handler computes (1.54 ms of CPU per request; cmwq usually has 2 workers busy), so more workers than ` +
        'processors (2) do not raise the rate.',
    ]);
    expect(kindOfWork(results)).toBe('computes');
    // The server that limits most workers speaks; where it is the one that times out, so does the hint on connections.
    const one = { ...results, timelines: busy.filter(({ label }) => label !== 'wq3') };
    expect(leadSentences(one).at(-1)).toBe(STAY(title));
  });

  it('takes the CPU time alone where cmwq has no timeline', () => {
    const computing = [
      { label: 'cmwq', rate: 149, cpuUs: 14_000 },
      { label: 'workqueue', rate: 119, cpuUs: 14_000, first: FAILS },
    ];
    const results = { ...working(computing), timelines: [timeline('workqueue', 2, LIMITED)] };
    expect(leadSentences(results).at(-1)).toMatch(
      /the handler computes \(14 ms of CPU per request\), so more workers/,
    );
    expect(kindOfWork(results)).toBe(null);
  });

  it('is not given where requests are only echoes', () => {
    expect(leadSentences({ ...resultsOf(servers, 'throughput'), timelines })).toHaveLength(1);
    const withHandler = { ...resultsOf(servers, 'throughput'), timelines };
    for (const contestant of withHandler.contestants) contestant.command = 'node bin.js --handler work.ts';
    expect(leadSentences(withHandler)).toHaveLength(3);
    // A handler of the experiment's own: other clients use the workers, too.
    const beside = { ...resultsOf(servers, 'throughput'), timelines };
    for (const experiment of beside.experiments) experiment.args = ['--handler', 'first-byte-handler.js'];
    expect(leadSentences(beside)).toHaveLength(1);
  });

  it('is not given where workers were idle, or nothing is faster', () => {
    expect(
      leadSentences({ ...working(), timelines: [timeline('workqueue', 2, [48, 0, 0, 0])] }),
    ).toHaveLength(1);
    expect(leadSentences({ ...working(), timelines: [timeline('wq50', 50, LIMITED)] })).toHaveLength(1);
  });
});
