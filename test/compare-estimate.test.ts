/**
 * Goal: the duration that `compare` announces follows from what a trial run has measured, and the runs that end correct it.
 * Method: pure; made-up durations.
 */
import { describe, expect, it } from 'vitest';
import { Estimate, expectedMs, selfChecksMs, type Trial } from '../bench/compare/estimate.ts';
import type { ExperimentName } from '../bench/compare/experiments/kind.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { type Entrant, type PlannedRun, planRuns } from '../bench/compare/plan.ts';
import { minutes, Progress } from '../bench/compare/progress.ts';

const CMWQ: Entrant = { label: 'cmwq', kind: 'strategy', strategy: 'cmwq' };
const KTHREAD: Entrant = { label: 'kthread', kind: 'strategy', strategy: 'kthread' };
const WORKQUEUE: Entrant = { label: 'workqueue', kind: 'strategy', strategy: 'workqueue', workers: 2 };
const WQ50: Entrant = { label: 'wq50', kind: 'variant', strategy: 'workqueue', workers: 50 };
const TARGET: Entrant = { label: 'target', kind: 'target', strategy: null };

function plan(
  names: ExperimentName[],
  entrants: Entrant[],
  service?: string,
  clients: number[] = [50],
): PlannedRun[] {
  const services = service === undefined ? undefined : [service];
  const experiments = chooseExperiments(names, { quick: false, idleMax: 100, clients, repeat: 4, services });
  return planRuns(experiments, entrants, 1).filter(({ round }) => round > 0);
}

function runMs(names: ExperimentName[], entrant: Entrant, service?: string, trial?: Trial): number {
  const [run] = plan(names, [entrant], service);
  if (run === undefined) throw new Error('no run');
  return expectedMs(run, trial);
}

describe('the model', () => {
  const nothing: Trial = { startMs: 0, threadStartMs: null, work: null };

  it('takes the start of a server from its trial', () => {
    const at = (startMs: number) => runMs(['response'], TARGET, undefined, { ...nothing, startMs });
    expect(at(4000) - at(400)).toBe(3600);
  });

  it('takes the start of a thread from it, under kthread', () => {
    const at = (threadStartMs: number) =>
      runMs(['response'], KTHREAD, undefined, { ...nothing, threadStartMs });
    expect(at(100) - at(30)).toBe(50 * 70);
  });

  it('limits a burst by its workers, or by the clients themselves', () => {
    const sleep = 'sleep:20ms';
    const connecting = 50 * 0.1;
    for (const entrant of [WQ50, CMWQ])
      expect(runMs(['handler'], entrant, sleep, nothing)).toBe(5 * 20 + connecting);
    expect(runMs(['handler'], WORKQUEUE, sleep, nothing)).toBe((50 * 5 * 20) / 2 + connecting);
    const turns = 'sleep:30ms;sleep:10ms';
    expect(runMs(['handler'], WORKQUEUE, turns, nothing)).toBe(runMs(['handler'], WORKQUEUE, sleep, nothing));
  });

  it('limits it by the processors, also with a worker for each client', () => {
    const burn = (text: string) => runMs(['handler'], WQ50, text, nothing);
    expect(burn('burn:20ms') - burn('burn:10ms')).toBeGreaterThan((50 * 5 * 10) / 256);
    expect(burn('burn:20ms,sleep:1ms')).toBeGreaterThanOrEqual(burn('burn:20ms'));
  });

  it('adds the least extension of a warm-up, which --quick leaves out', () => {
    const at = (quick: boolean) => {
      const experiments = chooseExperiments(['throughput'], { quick, idleMax: 100, clients: [2], repeat: 1 });
      const run = planRuns(experiments, [CMWQ], 1).at(-1);
      if (run === undefined) throw new Error('no run');
      return expectedMs(run, nothing);
    };
    expect(at(false) - at(true)).toBe(600);
  });

  it('adds a timeout where clients that stay wait for a worker, and the measured work of a handler', () => {
    const starved = runMs(['throughput'], WORKQUEUE, undefined, nothing);
    expect(starved - runMs(['throughput'], WQ50, undefined, nothing)).toBe(1500);
    const handler: Trial = { ...nothing, work: { burnMs: 0, sleepMs: 20 } };
    expect(runMs(['handler'], WORKQUEUE, undefined, handler)).toBe(
      runMs(['handler'], WORKQUEUE, 'sleep:20ms', nothing),
    );
  });
});

describe('the estimate', () => {
  /** What a run really takes: the target four times as long as its trial said, kecho-pool 1.2 times. */
  function realMs(run: PlannedRun): number {
    return expectedMs(run, undefined) * (run.contestant.strategy === null ? 4 : 1.2);
  }

  it('is within a third of the time left after the first round, though the trials were wrong', () => {
    const runs = plan(['response', 'throughput'], [CMWQ, TARGET], undefined, [1, 10, 16]);
    const estimate = new Estimate(new Map());
    const sum = (some: readonly PlannedRun[]) => some.reduce((ms, run) => ms + realMs(run), 0);
    expect(estimate.totalMs(runs)).toBeLessThan(sum(runs) / 1.5);
    for (const [order, run] of runs.entries()) {
      const left = runs.slice(order);
      const ratio = estimate.totalMs(left) / sum(left);
      if (run.round > 1) expect(Math.abs(Math.log(ratio))).toBeLessThan(Math.log(4 / 3));
      estimate.record(run, realMs(run));
    }
  });

  it('counts the runs of a server that is skipped as none', () => {
    const runs = plan(['response'], [CMWQ]);
    const estimate = new Estimate(new Map());
    for (const run of runs.slice(0, 1)) estimate.skip(run);
    expect(estimate.totalMs(runs)).toBe(0);
  });
});

it('progress has one line for each round when standard error is not a terminal', () => {
  const experiments = chooseExperiments(['response'], { quick: true, idleMax: 100, repeat: 2 });
  const runs = planRuns(experiments, [CMWQ, TARGET], 1).filter(({ round }) => round > 0);
  const lines: string[] = [];
  const stream = { isTTY: false, write: (text: string) => lines.push(text) };
  const progress = new Progress(stream as unknown as NodeJS.WriteStream, new Estimate(new Map()));
  progress.add(runs);
  for (const run of runs) {
    progress.begin(run);
    progress.end(run);
  }
  progress.clear();
  expect(lines.map((line) => line.replace(/about \d+ s/, 'about N s'))).toEqual([
    'run 1 of 4: response, 40 clients, round 1; about N s left\n',
    'run 3 of 4: response, 40 clients, round 2; about N s left\n',
  ]);
});

it('the progress line counts a self-check for each point, however many runs and repetitions', () => {
  const runs = plan(['response', 'throughput'], [CMWQ, TARGET], undefined, [1, 10, 16]);
  const estimate = new Estimate(new Map());
  for (const run of runs) estimate.skip(run); // takes no time
  const lines: string[] = [];
  const stream = { isTTY: false, write: (text: string) => lines.push(text) };
  const progress = new Progress(stream as unknown as NodeJS.WriteStream, estimate);
  progress.add(runs);
  progress.add(runs);
  for (const run of runs.slice(0, 1)) progress.begin(run);
  const sixChecksMs = 6 * selfChecksMs(new Set(runs.slice(0, 1).map(({ point }) => point)));
  expect(sixChecksMs).toBeGreaterThan(1000);
  expect(lines[0]).toContain(`; about ${minutes(sixChecksMs)} left\n`);
});

it('the progress line counts all runs of the plan, those for timelines too, and names them', () => {
  const experiments = chooseExperiments(['response'], { quick: true, idleMax: 100, repeat: 1 });
  const runs = planRuns(experiments, [CMWQ], 1);
  const lines: string[] = [];
  const stream = { isTTY: true, columns: 200, write: (text: string) => lines.push(text) };
  const progress = new Progress(stream as unknown as NodeJS.WriteStream, new Estimate(new Map()));
  progress.add(runs);
  for (const run of runs) {
    progress.begin(run);
    progress.end(run);
  }
  const count = runs.length;
  expect(runs.filter(({ round }) => round === 0).length).toBeGreaterThan(0);
  expect(lines).toHaveLength(count);
  expect(lines[0]).toMatch(
    new RegExp(`run 1 of ${count}: response, \\d+ clients, cmwq, timeline; about \\d+ s left$`),
  );
  expect(lines.at(-1)).toMatch(new RegExp(`run ${count} of ${count}.*, round 1; about \\d+ s left$`));
});
