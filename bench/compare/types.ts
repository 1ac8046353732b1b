/**
 * The data model of a comparison: source of the types, of the published results.schema.json (`npm run schemas`) and of
 * the validation of `compare --baseline`.
 *
 * Terms: a *contestant* is a labelled server; a *point* is a position on an experiment's axis, usually a number of
 * clients; a *run* is one fresh server under one load; a *cell* is all runs of a contestant at a point.
 */
import { z } from 'zod';
import { count } from '../../src/schema/json.ts';
import { ErrorCounts, LoadResult, SelfCheck } from '../load/schema.ts';
import { Estimate } from '../stats/bootstrap.ts';
import { type Direction, Outcome } from '../stats/verdict.ts';

export const SCHEMA_VERSION = 2;

export const METRIC_KEYS = [
  'averageMs',
  'worstMs',
  'p99Ms',
  'connectP99Ms',
  'perSecond',
  'cpuPerRequestUs',
  'threadsMax',
  'memoryPerConnectionKib',
] as const;
const MetricKey = z.enum(METRIC_KEYS).meta({ id: 'metric' });
export type MetricKey = z.infer<typeof MetricKey>;

export interface Metric {
  title: string;
  unit: string;
  /** Null: shown but not ranked. */
  better: Direction | null;
  /** The server's alone: also valid when the load generator was the bottleneck. */
  ofServer?: true;
}

export const METRICS: Record<MetricKey, Metric> = {
  averageMs: { title: 'Average response time', unit: 'ms', better: 'lower' },
  worstMs: { title: 'Worst response time', unit: 'ms', better: 'lower' },
  p99Ms: { title: '99th percentile', unit: 'ms', better: 'lower' },
  connectP99Ms: { title: '99th percentile of connecting', unit: 'ms', better: 'lower' },
  perSecond: { title: 'Throughput', unit: 'per s', better: 'higher' },
  cpuPerRequestUs: { title: 'Server CPU per request', unit: 'µs', better: 'lower', ofServer: true },
  threadsMax: { title: 'Most threads', unit: 'threads', better: null, ofServer: true },
  memoryPerConnectionKib: {
    title: 'Memory per idle connection',
    unit: 'KiB',
    better: 'lower',
    ofServer: true,
  },
};

const ContestantInfo = z.object({
  label: z.string(),
  kind: z.enum(['strategy', 'control', 'peer', 'target']),
  command: z.string().describe('As a shell command; Node and the files of kecho-pool without their folders.'),
});
export type ContestantInfo = z.infer<typeof ContestantInfo>;

const place = { experiment: z.string(), point: z.string(), label: z.string() };

const Run = z
  .object({
    ...place,
    round: count.describe('From 1.'),
    order: count.describe('Position in the order of all runs, from 0.'),
    load: LoadResult.nullable().describe('Result of the load generator; null when there is no result.'),
    metrics: z
      .partialRecord(MetricKey, z.number())
      .describe('Metrics that could not be measured in this run are absent.'),
    idleConnections: count
      .nullable()
      .describe('Idle connections held open during the load; null in other experiments.'),
    errorTotal: count.describe('Errors, and requests of open mode that were never sent.'),
    failure: z.string().nullable().describe('Why the whole run failed; null when it did not.'),
  })
  .describe('One fresh server under one load.');
export type Run = z.infer<typeof Run>;

const TimelineSample = z
  .object({
    atMs: z.number().describe('Since the first sample.'),
    threads: count,
    active: count.nullable().describe('Open connections.'),
    queued: count.nullable(),
    busyWorkers: count.nullable(),
    idleWorkers: count.nullable(),
    nrRunning: count.nullable(),
  })
  .describe('One sample of a server. Figures that only kecho-pool reports are null for other servers.');
export type TimelineSample = z.infer<typeof TimelineSample>;

const Timeline = z.object({ ...place, samples: z.array(TimelineSample) });
export type Timeline = z.infer<typeof Timeline>;

const CellMetric = z
  .object({
    ...Estimate.shape,
    values: z.array(z.number()),
    boundRuns: count.describe(
      'Runs whose value is a lower bound, because requests timed out or were never sent.',
    ),
    outlierRounds: z.array(count).describe('Rounds whose value is an outlier; it is still counted.'),
  })
  .describe('The median over the runs, its interval, and the values.');
export type CellMetric = z.infer<typeof CellMetric>;

const Cell = z
  .object({
    ...place,
    runs: count,
    failedRuns: count,
    errors: ErrorCounts,
    errorTotal: count,
    saturatedRuns: count,
    lateRuns: count.describe(
      'Open mode: runs in which the lateness of the load generator was not small against the response times.',
    ),
    metrics: z.partialRecord(MetricKey, CellMetric),
  })
  .describe('All runs of a server at a point.');
export type Cell = z.infer<typeof Cell>;

const NoiseFloor = z.object({
  experiment: z.string(),
  point: z.string(),
  metric: MetricKey,
  ratio: Estimate.describe('Ratio of the reference to its control.'),
  factor: z.number().min(1).describe('Differences up to this factor count as none.'),
});
export type NoiseFloor = z.infer<typeof NoiseFloor>;

const BaselineChange = z.object({
  ...place,
  metric: MetricKey,
  outcome: Outcome,
  why: z.string(),
  ratio: Estimate.nullable(),
});
export type BaselineChange = z.infer<typeof BaselineChange>;

const PointVerdict = BaselineChange.extend({ reference: z.string() });
export type PointVerdict = z.infer<typeof PointVerdict>;

const PointInfo = z.object({
  key: z.string(),
  clients: count,
  requests: count.nullable(),
  title: z.string(),
});
export type PointInfo = z.infer<typeof PointInfo>;

const ExperimentInfo = z.object({
  name: z.string(),
  title: z.string(),
  question: z.string(),
  axis: z.string(),
  points: z.array(PointInfo),
  ranked: z.array(MetricKey).describe('Ranked metrics, the most important first.'),
  charts: z.array(MetricKey),
});
export type ExperimentInfo = z.infer<typeof ExperimentInfo>;

const EnvironmentInfo = z.object({
  date: z.string(),
  kernel: z.string(),
  arch: z.string(),
  cpu: z.string(),
  cores: count,
  availableParallelism: count,
  memoryMiB: count,
  loadAverage1Min: z.number(),
  node: z.string(),
  compiler: z.string().nullable(),
  commit: z.string().nullable(),
  descriptorLimit: count,
  somaxconn: count.nullable(),
  localPorts: z.string().nullable(),
});
export type EnvironmentInfo = z.infer<typeof EnvironmentInfo>;

const PointCheck = z.object({
  experiment: z.string(),
  point: z.string(),
  check: SelfCheck.nullable().describe('Null when it failed.'),
});
export type PointCheck = z.infer<typeof PointCheck>;

const Baseline = z.object({
  file: z.string(),
  date: z.string(),
  commit: z.string().nullable(),
  notes: z.array(z.string()),
  changes: z.array(BaselineChange),
});
export type Baseline = z.infer<typeof Baseline>;

export const Results = z
  .object({
    schemaVersion: z.literal(SCHEMA_VERSION),
    program: z.string(),
    partial: z.boolean().describe('True when the comparison was interrupted: some planned runs are missing.'),
    plannedRuns: count,
    seed: count,
    options: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]),
    ),
    environment: EnvironmentInfo,
    pinned: z
      .object({ generator: z.array(count), server: z.array(count) })
      .nullable()
      .describe('The processors of the load generator and of the servers with --pin; null without.')
      .exactOptional(),
    reference: z.string(),
    contestants: z.array(ContestantInfo),
    experiments: z.array(ExperimentInfo),
    runs: z.array(Run),
    timelines: z.array(Timeline),
    selfChecks: z.array(PointCheck).describe('Of the load generator, at each point.').exactOptional(),
    cells: z.array(Cell),
    noise: z.array(NoiseFloor),
    verdicts: z.array(PointVerdict),
    baseline: Baseline.nullable(),
    notes: z.array(z.string()),
  })
  .meta({
    title: 'results.json of kecho-pool compare',
    description: 'Names end with the unit.',
  });
export type Results = z.infer<typeof Results>;
