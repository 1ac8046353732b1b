/**
 * Goal: the real server runs the kernel document's scenarios in the document's order: which item waits for which, and
 * which overlap.
 * Method: bench/timeline runs each scenario on a separate server process, from source. Assertions are about the order
 * of steps, not their duration. Because a late wake-up could change the order, a scenario whose order is wrong is run
 * again with sleeps twice as long, until they outlast any delay. The command runs as a child process, with services
 * that take a few milliseconds.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { processTree } from '../bench/process-figures.ts';
import { runTimeline, type Step, type TimedItem } from '../bench/timeline/run.ts';
import { SCENARIOS, type ScenarioName } from '../bench/timeline/scenarios.ts';
import { report } from '../bench/timeline/text.ts';
import { command } from '../src/cli/commands/timeline.ts';
import { BIN, runBin } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { parsed } from './support/parsed.ts';
import { STRATEGIES } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

/** The last try sleeps for 3.2 s where the document sleeps for 10 ms. */
const TRIES = 6;
/** Two burns may overlap until the pool notices that a worker has woken. */
const SLACK_MS = 5;

function first(item: TimedItem): Step {
  const step = item.steps[0];
  if (step === undefined) throw new Error(`${item.name} has no steps`);
  return step;
}

function lastEndMs(item: TimedItem): number {
  return Math.max(...item.steps.map(({ endMs }) => endMs));
}

/** Whether another item burns when this one begins, and continues. */
function beginsWhileAnotherBurns(item: TimedItem, all: readonly TimedItem[]): boolean {
  const { startMs } = first(item);
  const others = all.filter((other) => other !== item).flatMap(({ steps }) => steps);
  return others.some(
    (step) => step.kind === 'burn' && step.startMs < startMs - SLACK_MS && step.endMs > startMs + SLACK_MS,
  );
}

/** `service` with its sleeps `factor` times as long. */
function withSleeps(service: string, factor: number): string {
  return service.replace(/(?<=sleep:)\d+/g, (ms) => String(Number(ms) * factor));
}

/** Runs a scenario until its order is correct, at most TRIES times, with ever longer sleeps. */
async function expectOrder(
  name: ScenarioName,
  check: (w0: TimedItem, w1: TimedItem, w2: TimedItem) => void,
): Promise<void> {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  for (let tried = 1; ; tried++) {
    const services = scenario.services.map((service) => withSleeps(service, 2 ** (tried - 1)));
    const { items } = await runTimeline({ ...scenario, services }, BIN);
    const [w0, w1, w2] = items as [TimedItem, TimedItem, TimedItem]; // each scenario has three services
    try {
      check(w0, w1, w2);
      return;
    } catch (error) {
      if (tried === TRIES) throw error;
    }
  }
}

function expectStartsInOrder(...items: TimedItem[]): void {
  const starts = items.map((item) => first(item).startMs);
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
}

describe('timelines on the real server', () => {
  it('start an item after the previous one has ended: workqueue, one worker', async () => {
    await expectOrder('workqueue', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeGreaterThanOrEqual(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(lastEndMs(w1));
      expect(new Set([w0, w1, w2].flatMap(({ steps }) => steps.map(({ worker }) => worker))).size).toBe(1);
    });
  });

  it('start the next item when one sleeps, and never while one burns: cmwq, max_active 3', async () => {
    await expectOrder('cmwq', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeGreaterThanOrEqual(first(w0).endMs);
      expect(first(w1).startMs).toBeLessThan(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(first(w1).endMs);
      expect(first(w2).startMs).toBeLessThan(lastEndMs(w0));
      for (const item of [w0, w1, w2]) expect(beginsWhileAnotherBurns(item, [w0, w1, w2])).toBe(false);
    });
  });

  it('start the third item only after one has ended: cmwq, max_active 2', async () => {
    await expectOrder('cmwq-max-active-2', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeLessThan(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(Math.min(lastEndMs(w0), lastEndMs(w1)));
      expect(beginsWhileAnotherBurns(w2, [w0, w1, w2])).toBe(false);
    });
  });

  it('let CPU-intensive items burn at the same time once w0 sleeps: cmwq', async () => {
    await expectOrder('cmwq-cpu-intensive', (w0, w1, w2) => {
      for (const item of [w1, w2]) {
        expect(first(item).startMs).toBeGreaterThanOrEqual(first(w0).endMs);
        expect(first(item).startMs).toBeLessThan(lastEndMs(w0));
      }
      expect(first(w2).startMs).toBeLessThan(first(w1).endMs);
      expect(first(w1).startMs).toBeLessThan(first(w2).endMs);
    });
  });
});

describe('kecho-pool timeline', () => {
  it("runs the document's scenarios, or the given services", () => {
    expect(parsed(command, []).scenarios).toEqual(SCENARIOS);
    expect(parsed(command, ['--only', 'cmwq']).scenarios.map(({ title }) => title)).toEqual([
      'cmwq, one CPU pool, max_active 3',
    ]);
    const services = ['burn:1ms', 'sleep:2ms'];
    const given = services.flatMap((service) => ['--service', service]);
    expect(parsed(command, ['-s', 'workqueue', '--workers', '2', ...given, '--svg', '-'])).toEqual({
      scenarios: [
        {
          title: 'workqueue --workers 2',
          args: ['--strategy', 'workqueue', '--workers', '2'],
          services,
          warmUps: 1,
          wholeConnections: true,
        },
      ],
      svg: '-',
    });
  });

  it('runs the services under several strategies, each with its options', () => {
    const given = ['--workers', '2', '--cpus', '1', '--max-workers', '8', '--no-hang-kill'];
    const { scenarios } = parsed(command, ['-s', 'workqueue,cmwq', ...given, '--service', 'burn:1ms']);
    expect(scenarios.map(({ args }) => args.join(' '))).toEqual([
      '--strategy workqueue --workers 2',
      '--strategy cmwq --cpus 1 --max-workers 8 --no-hang-kill',
    ]);
  });

  it.each([
    [['--cpus', '2'], '--cpus: "2" is not allowed: only with --service'],
    [['--service', 'burn:1ms', '--only', 'cmwq'], '--only: "cmwq" is not allowed: only without --service'],
    [
      ['--service', 'burn:1ms', '--workers', '2'],
      '--workers: "2" is not allowed: only with --strategy workqueue',
    ],
    [['-s', 'kthread'], '--strategy: "kthread" is not allowed: only with --service'],
    [['-s', 'kthread,x', '--service', 'burn:1ms'], '--strategy: "x" is not allowed: one or more of kthread'],
    [
      ['-s', 'kthread,workqueue', '--cpus', '1', '--service', 'burn:1ms'],
      '--cpus: "1" is not allowed: only with --strategy cmwq, not kthread',
    ],
    [['--service', 'burn:1'], '--service: "burn:1" is not allowed: at position 5'],
    [['--only', 'x'], '--only: "x" is not allowed: one or more of workqueue, cmwq'],
  ])('refuses %j', (args, message) => {
    expect(() => parsed(command, args)).toThrow(message);
  });

  const OWN = ['--service', 'burn:2ms', '--service', 'sleep:3ms,burn:1ms', '--service', 'sleep:1ms'];

  it.each(FULL ? STRATEGIES : (['cmwq'] as const))(
    'prints text and writes an SVG file: %s',
    async (strategy) => {
      const file = join(temporaryFolder(), 'own.svg');
      const child = runBin(['timeline', '-s', strategy, ...OWN, '--svg', file]);
      expect(await child.untilEnded(60_000)).toEqual({ code: 0, signal: null });
      expect(child.stdout).toContain(`\n${strategy}\n  kecho-pool --strategy ${strategy} ${OWN.join(' ')}\n`);
      for (const row of [/^ {2}w0 +[# ]+$/m, /^ {2}w1 +[. ]+[# ]+$/m, /^ {2}w2 +[. ]+$/m])
        expect(child.stdout).toMatch(row);
      expect(child.stdout).toContain(`\nwritten: ${file}\n`);
      const svg = readFileSync(file, 'utf8');
      expect(svg.match(/<title>burns /g)).toHaveLength(2);
      expect(svg.match(/<title>sleeps /g)).toHaveLength(2);
    },
  );

  it('draws several strategies on one time axis', async () => {
    const child = runBin(['timeline', '-s', 'kthread,cmwq', '--cpus', '1', ...OWN]);
    expect(await child.untilEnded(60_000)).toEqual({ code: 0, signal: null });
    expect(child.stdout).toMatch(/^kthread\n[\s\S]*^cmwq --cpus 1\n/m);
    const axes = child.stdout.match(/^ +0(?: .*)? ms$/gm) ?? [];
    expect(axes).toHaveLength(2);
    expect(axes[0]).toBe(axes[1]);
  });

  it('prints only the SVG with --svg -', async () => {
    const child = runBin(['timeline', '-s', 'kthread', ...OWN, '--svg', '-']);
    expect(await child.untilEnded(60_000)).toEqual({ code: 0, signal: null });
    expect(child.stdout).toMatch(/^<svg (?:.*\n)*<\/svg>\n$/);
  });

  it('refuses a file that is not writable before it runs', async () => {
    const child = runBin(['timeline', ...OWN, '--svg', '/nowhere/x.svg']);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toMatch(
      /^kecho-pool timeline: --svg: "\/nowhere\/x.svg" cannot be written \(ENOENT\): [^\n]+\n$/,
    );
  });

  it('leaves no server behind on SIGTERM', async () => {
    const child = runBin(['timeline', '-s', 'kthread', '--service', 'sleep:60s']);
    await until(() => processTree(child.pid).length > 1, 'the server');
    const servers = processTree(child.pid).filter((pid) => pid !== child.pid);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 143, signal: null });
    await until(() => servers.every((pid) => !existsSync(`/proc/${pid}`)), 'the end of the server');
  });
});

it('says of a deviation how much of the processors other programs used', () => {
  const scenario = SCENARIOS.find(({ documentMs }) => documentMs !== undefined);
  if (scenario === undefined) throw new Error('no scenario of the document');
  const items = scenario.services.map((_, i) => ({ name: `w${i}`, startMs: 0, finishMs: 1, steps: [] }));
  const timeline = (deviation: number) => ({ scenario, items, untilMs: 500, deviation });
  expect(report(timeline(0.3), 3, 0.456).at(-2)).toMatch(
    /30\.0 %: MORE THAN 15 % of \d+ ms \(other programs used 46 % of the processors\); tries: 3$/,
  );
  expect(report(timeline(0.1), 1, 0.456).at(-2)).toMatch(/10\.0 %: within 15 % of \d+ ms; tries: 1$/);
});
