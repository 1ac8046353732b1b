/**
 * Fake results of a comparison: synthetic runs, analysed by the real code.
 */
import { analyse } from '../../bench/compare/analyse.ts';
import type { ExperimentName } from '../../bench/compare/experiments/kind.ts';
import { chooseExperiments } from '../../bench/compare/experiments.ts';
import { experimentInfo } from '../../bench/compare/run-plan.ts';
import { type ContestantInfo, type Results, type Run, SCHEMA_VERSION } from '../../bench/compare/types.ts';
import type { LoadResult } from '../../bench/load/schema.ts';
import { seededRandom, standardNormal } from '../../bench/random.ts';

const DISTRIBUTION = {
  ...{ count: 100, averageMs: 1, worstMs: 2, p50Ms: 1, p90Ms: 1, p95Ms: 2, p99Ms: 2, p999Ms: 2 },
  ...{ censored: 0, atLeast: [] },
};

export const LOAD: LoadResult = {
  mode: 'burst',
  clients: 1,
  requests: 10,
  messageBytes: 64,
  windowMs: 10,
  completed: 100,
  perSecond: 10_000,
  response: DISTRIBUTION,
  connect: DISTRIBUTION,
  errors: { refused: 0, reset: 0, timeout: 0, wrongBytes: 0, earlyClose: 0, other: 0 },
  errorTotal: 0,
  errorDetails: [],
  generatorCpuShare: 0.5,
  generatorRunDelayShare: 0.1,
  saturated: false,
  opened: 1,
  partial: false,
};

export interface Fake extends ContestantInfo {
  /** Response time with one client. */
  baseMs: number;
  timeouts?: number;
}

function fakeRun(
  fake: Fake,
  experiment: string,
  point: string,
  clients: number,
  round: number,
  noise: number,
): Run {
  const averageMs = fake.baseMs * (1 + clients / 20) * noise;
  const timeout = fake.timeouts ?? 0;
  return {
    experiment,
    point,
    label: fake.label,
    round,
    order: round,
    load: { ...LOAD, clients, errors: { ...LOAD.errors, timeout }, errorTotal: timeout },
    metrics: {
      averageMs,
      worstMs: averageMs * 8,
      p99Ms: averageMs * 4,
      connectP99Ms: averageMs / 2,
      perSecond: 10_000 / averageMs,
      cpuPerRequestUs: 20 * averageMs,
      threadsMax: 7 + Math.round(clients / 10),
    },
    idleConnections: null,
    errorTotal: timeout,
    failure: null,
  };
}

/** Results for these contestants; the first is the reference. */
export function fakeResults(
  fakes: readonly Fake[],
  names: readonly ExperimentName[] = ['response', 'telnet'],
  seed = 1,
  runsOfEach = 6,
): Results {
  const experiments = chooseExperiments(names, { quick: false, idleMax: 10_000 });
  const gauss = standardNormal(seededRandom(seed));
  const runs = experiments.flatMap((experiment) =>
    experiment.points.flatMap((point) =>
      fakes.flatMap((fake) =>
        Array.from({ length: runsOfEach }, (_, i) =>
          fakeRun(fake, experiment.name, point.key, point.clients, i + 1, 1 + 0.04 * gauss()),
        ),
      ),
    ),
  );
  const contestants = fakes.map(({ label, kind, command }) => ({ label, kind, command }));
  const measured = {
    reference: fakes[0]?.label ?? '',
    contestants,
    experiments: experiments.map(experimentInfo),
    rule: { margin: 0.25, looks: 1, until: null },
    runs,
  };
  return {
    schemaVersion: SCHEMA_VERSION,
    seed,
    disturbed: [],
    program: 'kecho-pool 0.0.0',
    partial: false,
    plannedRuns: runs.length,
    options: { quick: false, messageBytes: 64 },
    environment: {
      date: '2026-01-02T03:04:05.000Z',
      kernel: '6.1.0',
      arch: 'x64',
      cpu: 'a processor',
      cores: 2,
      availableParallelism: 2,
      memoryMiB: 4096,
      loadAverage1Min: 0.1,
      node: 'v26.10.0',
      compiler: null,
      commit: 'abc1234',
      descriptorLimit: 20_000,
      somaxconn: 4096,
      localPorts: '32768-60999',
    },
    ...measured,
    timelines: contestants.map(({ label, kind }) => ({
      experiment: 'response',
      point: '100',
      label,
      samples: Array.from({ length: 12 }, (_, i) => ({
        atMs: i * 25,
        threads: 7 + i,
        active: kind === 'strategy' ? 100 - i : null,
        queued: kind === 'strategy' ? 90 - i : null,
        busyWorkers: kind === 'strategy' ? 2 : null,
        idleWorkers: kind === 'strategy' ? 1 : null,
        nrRunning: kind === 'strategy' ? i % 2 : null,
      })),
    })),
    ...analyse(measured),
    baseline: null,
    notes: [],
  };
}

/** The three strategies and the control. */
export const STRATEGY_FAKES: readonly Fake[] = [
  { label: 'cmwq', kind: 'strategy', command: 'node bin.js -s cmwq', baseMs: 1 },
  { label: 'cmwq (again)', kind: 'control', command: 'node bin.js -s cmwq', baseMs: 1 },
  { label: 'workqueue', kind: 'strategy', command: 'node bin.js -s workqueue', baseMs: 1 },
  { label: 'kthread', kind: 'strategy', command: 'node bin.js -s kthread', baseMs: 60 },
];
