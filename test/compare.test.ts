/**
 * Goal: `kecho-pool compare` measures real servers, writes the results, and leaves no process behind.
 * Method: the real command with few and short runs; no assertions about speed.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Interruption } from '../bench/child-process.ts';
import { readResults } from '../bench/compare/baseline.ts';
import type { Common } from '../bench/compare/common.ts';
import { Estimate, expectedMs } from '../bench/compare/estimate.ts';
import { EXPERIMENT_NAMES } from '../bench/compare/experiments/kind.ts';
import { chooseExperiments, EMULATED } from '../bench/compare/experiments.ts';
import { type Entrant, planRuns } from '../bench/compare/plan.ts';
import { Progress } from '../bench/compare/progress.ts';
import { compare, type Job } from '../bench/compare/run-plan.ts';
import { underLoad } from '../bench/compare/sampler.ts';
import { Results, type TimelineSample } from '../bench/compare/types.ts';
import { parseFlags } from '../bench/flags.ts';
import { processTree } from '../bench/process-figures.ts';
import { withoutFolders } from '../bench/programs.ts';
import { command } from '../src/cli/commands/compare.ts';
import { complaintOf } from '../src/cli/complaint.ts';
import { BIN, Child } from './support/child.ts';
import { expectForm } from './support/form.ts';
import { handlerFile } from './support/handlers.ts';
import { parsed } from './support/parsed.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LIAR = fileURLToPath(new URL('support/compare-liar.ts', import.meta.url));
const PEER = fileURLToPath(new URL('../bench/peers/node-net.ts', import.meta.url));

const LONG = { timeout: 180_000 };

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'kecho-compare-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function runCompare(
  args: readonly string[],
): Promise<{ code: number | null; text: string; stderr: string }> {
  const child = new Child(process.execPath, [BIN, 'compare', ...args]);
  const { code } = await child.untilEnded(LONG.timeout);
  return { code, text: child.stdout, stderr: child.stderr };
}

function resultsIn(out: string): Results {
  return JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
}

describe('options', () => {
  it('parses lists and ranges of clients', () => {
    const clients = (text: string) => parsed(command, ['--clients', text]).clients;
    expect(clients('1,10,100')).toEqual([1, 10, 100]);
    expect(clients('1..1000/250')).toEqual([1, 250, 500, 750, 1000]); // as in bench
    expect(clients('5, 3..4')).toEqual([3, 4, 5]);
  });

  it.each([
    [['--clients', '0'], /--clients: "0" is not allowed: integers from 1 to 10000/],
    [['--clients', '1..10000'], /at most 50/],
    [['--clients', '9000'], /--experiment idle alone/],
    [['--experiment', 'speed'], /--experiment: "speed" is not allowed: one or more of response/],
    [['--target', 'name'], /NAME=COMMAND/],
    [['--target', 'cmwq=run'], /"cmwq" is not allowed: a name that is not taken/],
    [['--timeout', '2h'], /--timeout: "2h" is not allowed: a duration/],
    [['--repeat', '0'], /--repeat: "0" is not allowed: an integer/],
    [['--repeat', '9', '--until', '10%'], /--repeat: 9 is not allowed: only without --until/],
    [['--until', '0%'], /--until: "0%" is not allowed: whole percent from 1% to 100%/],
    [['--margin', '2.5'], /--margin: "2.5" is not allowed: whole percent from 1% to 900%/],
    [['--time-limit', '60m'], /--time-limit: "3600000 ms" is not allowed: only with --until, whose/],
    [['--from', 'results.json', '--quick'], /--from <file>' cannot be used with option '--quick'/],
    [['--time-limit', '2x'], /--time-limit: "2x" is not allowed: a duration/],
    [['--target', 'cmwq (before)=run'], /"cmwq \(before\)" is not allowed: a name that is not taken/],
    [
      ['--experiment', 'zipf', '--handler', './work.ts'],
      /--experiment: "zipf" is not allowed: only without --handler/,
    ],
    [
      ['--experiment', 'response,blocking', '--service', 'burn:2ms'],
      /--experiment: "blocking" is not allowed: only without --service, as it has work of its own/,
    ],
    [['--experiment', 'handler'], /--experiment: "handler" is not allowed: only with --handler or --service/],
    [['--service', 'burn:2x'], /--service: "burn:2x" is not allowed: at position 5/],
    [['--service', 'burn:2ms', '--handler', './work.ts'], /--handler: .* only without --service/],
    [['--server-arg', '--service'], /--server-arg: "--service" is not allowed: use compare's own --service/],
    [['--server-arg=--handler=./work.ts'], /--server-arg: .* use compare's own --handler/],
    [['--server-arg', '--workers', '5'], /"--workers" is not allowed: .* --server-arg=--workers=VALUE/],
    [['--server-arg', '5'], /--server-arg: "5" is not allowed: an option of the server/],
    [['--server-arg=--strategy=cmwq'], /--server-arg: .* use --strategies or --variant/],
    [['--server-arg=--port=7000'], /--server-arg: .* compare sets this option itself/],
    [
      ['--server-arg=--workers=5'],
      /--server-arg: kthread: --workers: "5" .* only with --strategy workqueue.*--variant/,
    ],
    [['--variant', 'wq50'], /--variant: "wq50" is not allowed: NAME=OPTIONS/],
    [
      ['--variant', 'wq50=-s workqueue --wrokers 50'],
      /--variant: wq50: unknown option '--wrokers'.*--workers/,
    ],
    [
      ['--variant', 'wq50=--workers 50'],
      /--variant: wq50: --workers: "50" is not allowed: only with --strategy/,
    ],
    [['--variant', 'a=-s workqueue --workers 0'], /--variant: a: --workers: "0" is not allowed: an integer/],
    [['--variant', 'a=--service burn:2ms'], /--variant: a: --service: "burn:2ms" .* compare's own --service/],
    [['--variant', 'cmwq=--cpus 1'], /--variant: "cmwq" is not allowed: a name that is not taken/],
    [
      ['--variant', 'a=--cpus 1', '--target', 'a=run'],
      /--target: "a" is not allowed: a name that is not taken/,
    ],
    [
      ['--peers', '--target', 'node:net=run'],
      /--target: "node:net" is not allowed: a name that is not taken/,
    ],
    [['--on', 'server'], /--on: "server" is not allowed: ssh:HOST/],
    [['--on', 'ssh:-p 22 -oProxyCommand=x'], /--on: .* is not allowed: ssh:HOST/],
    [['--on-command', './kecho-pool'], /--on-command: .* only with --on/],
    [['--on', 'ssh:server', '--pin'], /--pin: not allowed with --on: only with servers on this machine/],
    [['--on', 'ssh:server', '--peers'], /--peers: not allowed with --on/],
    [['--on', 'ssh:server', '--handler', './work.ts'], /--handler: not allowed with --on/],
    [['--on', 'ssh:server', '--experiment', 'churn,skewed'], /--experiment: not allowed with --on/],
    [['--target', 'far=192.0.2.1:7'], /target: "192.0.2.1:7" is not allowed: only this machine .*--remote/],
    [['--target', 'far=server:70000', '--remote'], /port of the target: "70000" is not allowed/],
    [['--baseline-command', ' '], /--baseline-command: " " is not allowed: a command/],
    [['--handler-heap', '1m'], /--handler-heap: "1m" is not allowed: a size/],
    [['--frobnicate'], /unknown option '--frobnicate'/],
  ])('refuses %j', (args, message) => {
    expect(() => parsed(command, args)).toThrow(message);
  });

  it('tell a server that runs already from a command, and options of ssh from the host', () => {
    const args = [
      '--target',
      'six=[::1]:7',
      '--target',
      'far=server:7',
      '--target',
      'it=./serve :7',
      '--remote',
    ];
    args.push('--on', 'ssh:-p 2222 me@server', '--on-command', 'npx kecho-pool');
    expect(parsed(command, args)).toMatchObject({
      targets: [
        { name: 'six', at: { address: '::1', port: 7 } },
        { name: 'far', at: { address: 'server', port: 7 } },
        { name: 'it', command: './serve :7' },
      ],
      on: { name: 'me@server', words: ['-p', '2222', 'me@server'], command: 'npx kecho-pool' },
    });
  });

  it('are named when their value is missing', () => {
    let complaint: string | null = null;
    try {
      parsed(command, ['--server-arg']);
    } catch (error) {
      complaint = complaintOf(error, command());
    }
    expect(complaint).toMatch(/^--server-arg: a value is missing: [^\n]+; see [^\n]+$/);
  });

  it('of npm scripts name the form of a value that begins with dashes', () => {
    const options = { 'server-arg': { type: 'string', multiple: true } } as const;
    expect(() => parseFlags({ options, args: ['--server-arg', '--cpus=2'] })).toThrow(
      /^--server-arg: a value is missing: --server-arg=VALUE if it begins with dashes$/,
    );
    expect(parseFlags({ options, args: ['--server-arg=--cpus=2'] })).toEqual({ 'server-arg': ['--cpus=2'] });
  });

  it('takes the options of each variant, and those that all servers have', () => {
    const args = ['--server-arg=--drain-timeout=1s'];
    args.push('--variant', 'wq50=-s workqueue --workers=50', '--variant', 'one=--cpus 1');
    expect(parsed(command, args)).toMatchObject({
      serverArgs: ['--drain-timeout=1s'],
      variants: [
        { name: 'wq50', strategy: 'workqueue', args: ['-s', 'workqueue', '--workers=50'] },
        { name: 'one', strategy: 'cmwq', args: ['--cpus', '1'] },
      ],
    });
  });

  it('prints one line and ends with exit code 2', async () => {
    const { code, text, stderr } = await runCompare(['--baseline', '/nowhere/results.json']);
    expect({ code, text }).toEqual({ code: 2, text: '' });
    expect(stderr).toMatch(/^kecho-pool compare: --baseline: cannot read [^\n]+\n$/);
  });
});

it.each([
  [{}, 'schemaVersion: expected 3'],
  [{ schemaVersion: 2 }, 'schemaVersion: expected 3'],
  [{ schemaVersion: 3 }, 'program: expected string, received undefined'],
])('refuses a baseline of %j in one line that names the field', (content, problem) => {
  const file = join(folder(), 'results.json');
  writeFileSync(file, JSON.stringify(content));
  const message = `--baseline: ${JSON.stringify(file)} is invalid (${problem}): a results.json of version 3`;
  expect(() => readResults('--baseline', file)).toThrow(message);
});

describe('plan', () => {
  const entrants: Entrant[] = [
    { label: 'cmwq', kind: 'strategy', strategy: 'cmwq' },
    { label: 'cmwq (again)', kind: 'control', strategy: 'cmwq' },
    { label: 'other', kind: 'target', strategy: null },
  ];
  const experiments = chooseExperiments(['response', 'blocking'], { quick: true, idleMax: 100 });
  const runs = planRuns(experiments, entrants, 5);

  it('gives the same order for the same seed, a different one for another', () => {
    const names = (seed: number) =>
      planRuns(experiments, entrants, seed).map((run) => `${run.point.key} ${run.contestant.label}`);
    expect(names(5)).toEqual(names(5));
    expect(names(5)).not.toEqual(names(6));
  });

  it('runs all contestants equally often, except targets where a service is emulated', () => {
    const timesOf = (experiment: string, label: string) =>
      runs.filter((r) => r.experiment.name === experiment && r.contestant.label === label && r.round > 0)
        .length;
    expect(timesOf('response', 'cmwq')).toBe(6);
    expect(timesOf('response', 'cmwq (again)')).toBe(6);
    expect(timesOf('response', 'other')).toBe(6);
    expect(timesOf('blocking', 'cmwq')).toBe(6);
    expect(timesOf('blocking', 'other')).toBe(0);
  });

  it('with a handler has two experiments, which name it, for kecho-pool only', () => {
    const chosen = chooseExperiments(null, { quick: true, idleMax: 100, handlerName: 'work.ts#query' });
    expect(chosen.map(({ title }) => title)).toEqual([
      'Clients that stay connected (work.ts#query)',
      'Clients that come, send 5 messages and go (work.ts#query)',
    ]);
    expect(chosen.map(({ points: [at] }) => at?.load)).toEqual([
      '2 clients that stay connected',
      '4 clients that come, send 5 messages and go',
    ]);
    const given = { quick: true, idleMax: 100, handlerName: 'work.ts', clients: [1], requests: 1 };
    expect(chooseExperiments(null, given).map(({ points: [at] }) => at?.load)).toEqual([
      '1 client that stays connected',
      '1 client that comes, sends 1 message and goes',
    ]);
    expect(chosen[1]?.question).toBe(
      'A burst of 5 messages per client. Before each echo the handler runs: work.ts#query.',
    );
    const labels = planRuns(chosen, entrants, 5).map(({ contestant }) => contestant.label);
    expect(new Set(labels)).toEqual(new Set(['cmwq', 'cmwq (again)']));
    const others = chooseExperiments(null, { quick: false, idleMax: 100 });
    expect(others.map(({ name }) => name)).not.toContain('handler');
  });

  it('gives a service to every experiment without one of its own, and names it in each caption', () => {
    const services = ['burn:2ms,sleep:20ms', 'sleep:1ms'];
    const plain = EXPERIMENT_NAMES.filter((name) => !EMULATED.includes(name));
    const chosen = chooseExperiments(plain, { quick: true, idleMax: 100, services });
    for (const { name, title, question, service } of chosen) {
      expect(title, name).toMatch(/ \(burn:2ms,sleep:20ms; sleep:1ms\)$/);
      expect(question, name).toMatch(/handler runs: burn:2ms,sleep:20ms; sleep:1ms\.$/);
      expect(service, name).toBe(services.join(';'));
    }
    // All that have a service of their own are refused with another one.
    const own = chooseExperiments(EXPERIMENT_NAMES, { quick: true, idleMax: 100 });
    const busy = own.filter(({ service, ownHandler }) => service !== null || ownHandler !== null);
    expect(busy.map(({ name }) => name)).toEqual(EMULATED);
  });

  it('gives a steady load with such work the time that it takes, unless the options say otherwise', () => {
    const times = (given: object) =>
      chooseExperiments(['throughput'], { quick: true, idleMax: 100, clients: [50], ...given }).map(
        ({ warmupMs, durationMs, timeoutMs }) => [warmupMs, durationMs, timeoutMs],
      )[0];
    const services = ['sleep:20ms'];
    expect(times({})).toEqual([600, 600, 1500]);
    expect(times({ services })).toEqual([2000, 1500, 3000]);
    expect(times({ services, warmupMs: 1, durationMs: 2, timeoutMs: 3 })).toEqual([1, 2, 3]);
  });

  it('has uneven loads for kecho-pool only, whose times are planned', () => {
    const workqueue: Entrant = { label: 'workqueue', kind: 'strategy', strategy: 'workqueue' };
    const chosen = chooseExperiments(['skewed', 'zipf'], { quick: true, idleMax: 100 });
    expect(chosen.map(({ mode, shape, rate }) => [mode, shape, rate])).toEqual([
      ['closed', 'skewed', null],
      ['open', 'zipf', 500],
    ]);
    const planned = planRuns(chosen, [...entrants, workqueue], 5);
    expect(new Set(planned.map(({ contestant }) => contestant.label))).toEqual(
      new Set(['cmwq', 'cmwq (again)', 'workqueue']),
    );
    // With a worker for each connection workqueue answers all, so no timeout is added.
    for (const run of planned) expect(expectedMs(run, undefined)).toBeLessThan(5000);
  });

  it('keeps rounds apart and records timelines first', () => {
    const rounds = runs.map((run) => run.round);
    expect(rounds).toEqual(rounds.toSorted((a, b) => a - b));
    expect(runs.filter((run) => run.round === 0).map((run) => run.contestant.label)).toEqual([
      'cmwq',
      'cmwq',
    ]);
  });

  it('starts a timeline just before the load and ends it just after', () => {
    const sample = (atMs: number, active: number): TimelineSample => {
      return { atMs, active, threads: 1, queued: 0, busyWorkers: 0, idleWorkers: 0, nrRunning: 0 };
    };
    const samples = [0, 0, 0, 3, 5, 1, 0, 0].map((active, i) => sample(i * 10, active));
    expect(underLoad(samples).map(({ atMs, active }) => [atMs, active])).toEqual([
      [0, 0],
      [10, 3],
      [20, 5],
      [30, 1],
      [40, 0],
    ]);
    expect(underLoad([sample(0, 0)])).toEqual([]);
  });
});

it('publishes commands and paths without folders', () => {
  const command =
    'sh -c \'exec /home/me/a-b/server --log=/var/log/x --at ../old/x http://host/a/b file:///home/me/y.js:1\' "/opt/x y/z"';
  expect(withoutFolders(command)).toBe(
    `sh -c 'exec server --log=x --at ../old/x http://host/a/b y.js:1' "x y/z"`,
  );
  expect(withoutFolders(`${process.execPath} ${ROOT}dist/src/bin.js`)).toBe('node dist/src/bin.js');
});

it('interrupted during the self-checks alone is complete, and notes it', async () => {
  const job: Job = {
    ...{ options: parsed(command, []), experiments: [], plan: [], program: '', notes: [], pinned: null },
    contestants: { list: [], reference: 'cmwq', notes: [] },
    serverHost: undefined,
  };
  // The signal arrives after the last run.
  const looks = [false];
  const interruption = {
    get isInterrupted() {
      return looks.shift() ?? true;
    },
  } as Interruption;
  const progress = new Progress(process.stderr, new Estimate(new Map()));
  const { partial, notes } = await compare(job, {} as Common, interruption, progress);
  expect(partial).toBe(false);
  expect(notes).toContain('the self-checks of the generator were interrupted');
});

describe('a comparison', () => {
  it('runs a handler under each strategy, and its results name it, without folders', LONG, async () => {
    const out = folder();
    const handler = [
      '--experiment',
      'handler',
      '--handler',
      `${handlerFile('copy.ts')}#noParameters`,
      '--handler-heap',
      '64MiB',
      '--no-control',
    ];
    const { code, text } = await runCompare([...handler, '--clients', '2', '--repeat', '1', '--out', out]);
    expect(code).toBe(0);
    expect(text).toContain('Clients that come, send 5 messages and go');
    const results = resultsIn(out);
    expect(results.options).toMatchObject({ handler: 'copy.ts#noParameters', handlerHeapBytes: 2 ** 26 });
    expect(results.experiments[0]?.question).toContain(
      'Before each echo the handler runs: copy.ts#noParameters',
    );
    expect(results.runs.map(({ errorTotal, failure }) => ({ errorTotal, failure }))).toEqual(
      results.contestants.map(() => ({ errorTotal: 0, failure: null })),
    );
    for (const name of ['results.json', 'report.html'])
      expect(readFileSync(join(out, name), 'utf8')).not.toContain(ROOT);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('copy.ts#noParameters');
  });

  it('runs a service, and a variant with options of its own', LONG, async () => {
    const out = folder();
    const args = ['--experiment', 'response', '--clients', '2', '--requests', '1', '--repeat', '1'];
    args.push('--service', 'sleep:1ms', '--strategies', 'cmwq', '--no-control');
    const variant = ['--variant', 'wq3=-s workqueue --workers 3'];
    const { code, text } = await runCompare([...args, ...variant, '--out', out]);
    expect(code).toBe(0);
    expect(text).toContain('Response time of a burst (sleep:1ms)');
    const { contestants, runs, options } = resultsIn(out);
    expect(contestants.map(({ label, kind }) => [label, kind])).toEqual([
      ['cmwq', 'strategy'],
      ['wq3', 'variant'],
    ]);
    expect(contestants[1]?.command).toMatch(/ -s workqueue --workers 3$/);
    expect(options).toMatchObject({
      services: ['sleep:1ms'],
      variants: ['wq3=-s workqueue --workers 3'],
    });
    const found = runs.map(({ label, failure, errorTotal, metrics }) => [
      label,
      failure ?? errorTotal,
      (metrics.averageMs ?? 0) >= 1,
    ]);
    expect(new Set(found.map((each) => each.join()))).toEqual(new Set(['cmwq,0,true', 'wq3,0,true']));
  });

  /** Rounds: too few for an interval. */
  const REPEAT = FULL ? 2 : 1;
  /** Two strategies, a control and a target, with two numbers of clients. */
  const RUNS = 4 * 2 * REPEAT;

  /** In every output. */
  function expectNoIntervals(results: Results, text: string, out: string): void {
    const found = results.cells.flatMap((cell) => Object.values(cell.metrics));
    expect(found.length).toBeGreaterThan(0);
    expect(found.every(({ low, high }) => low === null && high === null)).toBe(true);
    expect(text).not.toMatch(/\[[\d.,]+, [\d.,]+\]/);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).not.toMatch(/<small>[\d.,]+ to |class="interval"/);
  }

  it(
    'writes results, CSV, report and charts for two strategies and a target, and compares with a baseline',
    LONG,
    async () => {
      const out = folder();
      const args = [
        '--experiment',
        'response',
        '--clients',
        '1,3',
        '--requests',
        '2',
        '--repeat',
        String(REPEAT),
        '--seed',
        '3',
      ];
      const servers = [
        '--strategies',
        'workqueue,cmwq',
        '--target',
        `<b>node</b>=${process.execPath} ${PEER} --port {port}`,
      ];
      const { code, text, stderr } = await runCompare([...args, ...servers, '--out', out]);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^(?:run \d+ of \d+: response, .*, (?:round \d+|timeline); about .* left\n)+$/);
      expect(text).toContain('Response time of a burst');
      const results = resultsIn(out);
      expectForm(Results, results);
      expect(results).toMatchObject({ partial: false, seed: 3, reference: 'cmwq', plannedRuns: RUNS });
      expect(results.runs.map((run) => run.failure ?? run.errorTotal)).toEqual(
        Array.from({ length: RUNS }, () => 0),
      );
      expect(results.runs.every((run) => run.load?.completed === (run.load?.clients ?? 0) * 2)).toBe(true);
      expect(results.runs.every((run) => (run.metrics.cpuPerRequestUs ?? 0) > 0)).toBe(true);
      expect(results.timelines.map(({ label }) => label).sort()).toEqual(['cmwq', 'workqueue']);
      expect(new Set(results.verdicts.map(({ outcome }) => outcome))).toEqual(new Set(['undecided']));
      expectNoIntervals(results, text, out);
      expect(readFileSync(join(out, 'results.csv'), 'utf8').trimEnd().split('\r\n')).toHaveLength(RUNS + 1);
      expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('&lt;b&gt;node&lt;/b&gt;');
      expect(existsSync(join(out, 'response-worstMs.svg'))).toBe(true);
      expect(results.contestants.map(({ command }) => command)).toContain(
        "sh -c 'exec node bench/peers/node-net.ts --port {port}'",
      );
      for (const name of readdirSync(out)) {
        expect(readFileSync(join(out, name), 'utf8'), name).not.toContain(ROOT);
      }

      // The same analysis of the same runs.
      const anew = folder();
      expect((await runCompare(['--from', join(out, 'results.json'), '--out', anew])).code).toBe(0);
      expect(readdirSync(anew)).toEqual(readdirSync(out));
      for (const name of readdirSync(out))
        expect(readFileSync(join(anew, name), 'utf8'), name).toBe(readFileSync(join(out, name), 'utf8'));

      // The same build again, in the place of an old one.
      const later = folder();
      const build = `${process.execPath} ${BIN}`;
      const again = [
        '--baseline-command',
        build,
        '--clients',
        '1',
        '--repeat',
        '1',
        '--no-control',
        '--strategies',
        'cmwq',
        '--out',
        later,
      ];
      const second = await runCompare([...args, ...again, '--baseline', join(out, 'results.json')]);
      expect(second.code).toBe(0);
      const labels = ['cmwq', 'cmwq (before)'];
      expect(
        resultsIn(later).runs.map(({ label, errorTotal, failure }) => [label, errorTotal, failure]),
      ).toEqual(expect.arrayContaining(labels.map((label) => [label, 0, null])));
      expect(second.text).toMatch(/Beside .*results.json .* Not judged/);
    },
  );

  it('reports a server that changes bytes, exit code 1, and why another did not start', LONG, async () => {
    const out = folder();
    const args = ['--experiment', 'response', '--clients', '2', '--repeat', '1'];
    args.push('--strategies', 'cmwq', '--no-control', '--target', 'nothing=/nonexistent/server');
    args.push('--target', `liar=${process.execPath} ${LIAR}`);
    const { code, text } = await runCompare([...args, '--out', out]);
    expect(code).toBe(1);
    const liar = resultsIn(out).cells.find(({ label }) => label === 'liar');
    expect(liar?.errors.wrongBytes).toBeGreaterThan(0);
    expect(text).toMatch(/failed run: nothing: exit code 127/);
  });

  it.runIf(FULL)('measures idle connections beside a closed loop', LONG, async () => {
    const out = folder();
    const args = [
      '--experiment',
      'idle',
      '--clients',
      '50',
      '--repeat',
      '1',
      '--strategies',
      'cmwq',
      '--no-control',
    ];
    args.push('--timeout', '20s'); // the default, one second, is short on a busy machine
    const { code } = await runCompare([...args, '--duration', '100ms', '--warmup', '50ms', '--out', out]);
    expect(code).toBe(0);
    const [run] = resultsIn(out).runs;
    expect(run).toMatchObject({ idleConnections: 50, errorTotal: 0, failure: null });
    expect(run?.metrics.memoryPerConnectionKib).toBeTypeOf('number');
  });

  it.runIf(FULL)(
    'measures uneven loads, under workqueue with a worker for each connection',
    LONG,
    async () => {
      const out = folder();
      const strategies = ['workqueue', 'cmwq', 'kthread'];
      const args = ['--experiment', 'skewed,zipf', '--clients', '6', '--repeat', '1', '--no-control'];
      args.push(
        '--strategies',
        strategies.join(),
        '--duration',
        '300ms',
        '--warmup',
        '100ms',
        '--timeout',
        '20s',
      );
      const { code, text } = await runCompare([...args, '--out', out]);
      expect(code).toBe(0);
      expect(text).toContain('Half of the connections are silent');
      const { runs } = resultsIn(out);
      expect(runs.map(({ failure, errorTotal }) => failure ?? errorTotal)).toEqual(
        [...strategies, ...strategies].map(() => 0),
      );
      const zipf = runs.filter(({ experiment }) => experiment === 'zipf').map(({ load }) => load);
      expect(zipf.map((load) => [load?.mode, load?.due, load?.unsent])).toEqual(
        strategies.map(() => ['open', 150, 0]),
      );
      const rows = readFileSync(join(out, 'results.csv'), 'utf8').trimEnd().split('\r\n').slice(1);
      expect(rows.map((row) => row.split(',', 1)[0])).toEqual(runs.map(({ experiment }) => experiment));
      const report = readFileSync(join(out, 'report.html'), 'utf8');
      expect(report).toContain('A few connections carry most of the load');
    },
  );
});

describe('an interrupted comparison', () => {
  /** Whether a process runs; a zombie does not. */
  const isAlive = (pid: number) => {
    try {
      return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };

  it('writes its results so far as partial and leaves no process behind', LONG, async () => {
    const out = folder();
    const args = [
      '--experiment',
      'throughput',
      '--clients',
      '2',
      '--repeat',
      '3', // too few for a round to be repeated
      '--strategies',
      'workqueue,cmwq',
    ];
    const child = new Child(process.execPath, [
      BIN,
      'compare',
      ...args,
      '--duration',
      '200ms',
      '--warmup',
      '0ms',
      '--out',
      out,
    ]);
    const seen = new Set<number>();
    const recordChildren = () => {
      for (const pid of processTree(child.pid)) if (pid !== child.pid) seen.add(pid);
    };
    // An echo, two runs that only record a timeline, then rounds of three, two processes each: the twelfth is of the second round.
    await until(
      () => {
        recordChildren();
        return seen.size >= 12;
      },
      'a whole round',
      60_000,
    );
    child.signal('SIGINT');
    const { code } = await child.untilEnded();
    recordChildren();
    expect(code).toBe(130);
    await until(() => ![...seen].some(isAlive), 'the end of all processes');
    const results = resultsIn(out);
    expectForm(Results, results);
    expect(results.partial).toBe(true);
    expect(results.runs.length).toBeGreaterThan(0);
    expect(results.runs.length).toBeLessThan(results.plannedRuns);
    expect(results.runs.every((run) => run.failure === null)).toBe(true);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('id="partial"');
  });
});
