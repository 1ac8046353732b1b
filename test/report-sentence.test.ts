/**
 * Goal: the report of `compare` begins with sentences that say what it has found, as its verdicts have it.
 * Method: pure; verdicts, rates and timelines are made up.
 */
import { describe, expect, it } from 'vitest';
import type { ExperimentName } from '../bench/compare/experiments/kind.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { experimentInfo } from '../bench/compare/run-plan.ts';
import type { Cell, PointVerdict, Results, TimelineSample } from '../bench/compare/types.ts';
import { htmlReport } from '../bench/report/html.ts';
import { answer } from '../bench/report/sentence.ts';
import { terminalReport } from '../bench/report/terminal.ts';
import { fakeResults, LOAD, STRATEGY_FAKES } from './support/compare-results.ts';

type Judged = Pick<PointVerdict, 'outcome' | 'better' | 'ratio'>;

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
}

const CLIENTS = 50;
const RATE = 'perSecond' as const;

/** Results of one experiment with 50 clients; the first server is the reference. */
function resultsOf(
  servers: readonly Server[],
  name: ExperimentName = 'response',
  clients = [CLIENTS],
): Results {
  const experiments = chooseExperiments([name], { quick: true, idleMax: 100, clients }).map(experimentInfo);
  const primary = experiments[0]?.ranked[0] ?? 'averageMs';
  const points = clients.map(String);
  const cells = points.flatMap((point) =>
    servers.map(({ label, rate, timeouts = 0 }): Cell => {
      const figure = {
        median: rate,
        low: null,
        high: null,
        confidence: null,
        values: [],
        rounds: [],
        boundRuns: 0,
      };
      return {
        ...{ experiment: name, point, label, runs: 8, failedRuns: 0, saturatedRuns: 0, lateRuns: 0 },
        errors: { ...LOAD.errors, timeout: timeouts },
        errorTotal: timeouts,
        metrics: { perSecond: { ...figure, outlierRound: null } },
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

describe('the sentence', () => {
  it('names what is better, by how much, what has the highest rate and what fails', () => {
    const servers = [
      { label: 'cmwq', rate: 851 },
      { label: 'workqueue', rate: 90, first: different(false, 1.27, 1.2, 1.41) },
      { label: 'wq50', rate: 928, first: UNDECIDED, onRate: different(true, 1.09, 1.05, 1.1) },
      { label: 'kthread', rate: 925, first: FAILS, timeouts: 6 },
    ];
    expect(answer(resultsOf(servers))).toEqual([
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
    expect(answer(resultsOf(servers))).toEqual([
      'For this load: a answers 2 times (1.6 to 2.5) faster on average than cmwq, cmwq answers as fast on average as b and c.',
    ]);
  });

  it('takes the direction of the figure into account: a higher rate is better', () => {
    const servers = [
      { label: 'cmwq', rate: 850 },
      { label: 'wq50', rate: 928, first: different(true, 1.09, 1.05, 1.13) },
      { label: 'workqueue', rate: 85, first: different(false, 0.1, 0.08, 0.125) },
    ];
    expect(answer(resultsOf(servers, 'throughput'))).toEqual([
      'For this load: cmwq has 10 times (8 to 12.5) the rate of workqueue, ' +
        'wq50 has 1.09 times (1.05 to 1.13) the rate of cmwq, wq50 has the highest rate.',
    ]);
  });

  it('claims no highest rate that is not certain, and no comparison with a reference that fails', () => {
    const open = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 99, first: SAME, onRate: SAME },
    ];
    expect(answer(resultsOf(open)).join()).not.toContain('highest');
    const failing = [
      { label: 'cmwq', rate: 100, timeouts: 3 },
      { label: 'a', rate: 99, first: UNDECIDED, onRate: UNDECIDED },
    ];
    expect(answer(resultsOf(failing))).toEqual(['For this load: only a serves all clients, cmwq fails.']);
  });

  it('names the load where there are several', () => {
    const servers = [
      { label: 'cmwq', rate: 100 },
      { label: 'a', rate: 99, first: SAME },
    ];
    expect(answer(resultsOf(servers, 'throughput', [2, 16]))).toEqual([
      'Throughput, 2 clients: cmwq has the same rate as a.',
      'Throughput, 16 clients: cmwq has the same rate as a.',
    ]);
  });

  it('is the first thing printed and shown', () => {
    const results = fakeResults(STRATEGY_FAKES, ['response']);
    const [first = ''] = answer(results);
    expect(first).toMatch(
      /^Response time of a burst, 1 client: cmwq answers .* faster on average than kthread/,
    );
    expect(first).not.toContain('(again)');
    expect(terminalReport(results)[0]).toBe(first);
    const main = /<\/h1>([\s\S]*)/.exec(htmlReport(results))?.[1] ?? '';
    expect(main.trimStart()).toMatch(
      /^<ul class="answer"><li>Response time of a burst, 1 client: cmwq answers/,
    );
  });
});

describe('the sizing hint', () => {
  /** `busy` workers, and as many connections waiting as `queued` has, one for each sample. */
  function timeline(label: string, busy: number, queued: readonly number[]): Results['timelines'][number] {
    const samples = queued.map((waiting, i): TimelineSample => {
      const workers = { busyWorkers: waiting > 0 ? busy : 0, idleWorkers: waiting > 0 ? 0 : busy };
      return { atMs: i * 100, threads: 9, active: CLIENTS, queued: waiting, nrRunning: 0, ...workers };
    });
    return { experiment: 'throughput', point: String(CLIENTS), label, samples };
  }

  const servers = [
    { label: 'cmwq', rate: 851 },
    { label: 'workqueue', rate: 90, first: FAILS, timeouts: 48 },
    { label: 'wq50', rate: 928, first: UNDECIDED },
  ];

  it('follows from the rate of busy workers, and is stated with its inputs', () => {
    const results = {
      ...resultsOf(servers, 'throughput'),
      timelines: [timeline('workqueue', 2, [0, 48, 48, 48]), timeline('wq50', 50, [0, 0, 0, 0])],
    };
    expect(answer(results).slice(1)).toEqual([
      'Throughput, 50 clients: the workers limit workqueue. 2 of them, always busy, answer 90 requests per s, so each request ' +
        'takes a worker 22.2 ms; the 928 per s of wq50 take at least 21 workers (928 per s x 22.2 ms). Clients timed out: those ' +
        'that stay connected need a worker each, 50.',
    ]);
  });

  it('is not given where workers were idle, or nothing is faster', () => {
    const idle = {
      ...resultsOf(servers, 'throughput'),
      timelines: [timeline('workqueue', 2, [48, 0, 0, 0])],
    };
    expect(answer(idle)).toHaveLength(1);
    const fastest = { ...resultsOf(servers, 'throughput'), timelines: [timeline('wq50', 50, [1, 1, 1, 1])] };
    expect(answer(fastest)).toHaveLength(1);
  });
});
