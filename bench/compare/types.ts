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
import { Estimate, RatioEstimate } from '../stats/intervals.ts';
import { Bound, Outcome } from '../stats/verdict.ts';
import { METRIC_KEYS } from './metrics.ts';

export const SCHEMA_VERSION = 3;

const MetricKey = z.enum(METRIC_KEYS).meta({ id: 'metric' });

const ContestantInfo = z.object({
  label: z.string(),
  kind: z.enum(['strategy', 'variant', 'control', 'before', 'peer', 'target']),
  command: z
    .string()
    .describe(
      'As a shell command; Node and files without their folders. Of a server that ran already, its address.',
    ),
});
/** In the label of a contestant of kind 'before', after that of the contestant which is its later build. */
export const BEFORE_SUFFIX = ' (before)';
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
    rounds: z.array(count).describe('The rounds of the values.'),
    boundRuns: count.describe(
      'Runs whose value is a lower bound, because requests timed out or were never sent.',
    ),
    outlierRound: count
      .nullable()
      .describe('The round whose value is an outlier by the test of Grubbs at 1 %; it is still counted.'),
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

const PointVerdict = z
  .object({
    ...place,
    metric: MetricKey,
    reference: z.string().describe('The label of the server with which it is compared.'),
    primary: z.boolean().describe('Whether the metric is the most important one of the experiment.'),
    outcome: Outcome,
    better: z.boolean().nullable().describe('Of "different": whether it is better than the reference.'),
    ratio: RatioEstimate.nullable().describe('Its value divided by that of the reference.'),
    rounds: count.describe('Rounds in which both have a value.'),
    roundsNeeded: count.nullable().describe('Of "undecided": about how many rounds would decide.'),
    bound: Bound.exactOptional().describe(
      'Why the ratio is only a bound: the load generator limited the better server, which may be better than measured; or ' +
        'a value is smaller than its metric can show. Absent: the ratio is exact.',
    ),
    why: z.string(),
  })
  .describe('The verdict on one figure of a server.');
export type PointVerdict = z.infer<typeof PointVerdict>;

const Rule = z
  .object({
    margin: z.number().describe('Ratios from 1 / (1 + margin) to 1 + margin count as the same.'),
    looks: count.describe('At how many numbers of rounds the comparison might have ended.'),
    until: z.number().nullable().describe('The precision until which rounds were added.'),
  })
  .describe('By which rule the verdicts were reached.');
export type Rule = z.infer<typeof Rule>;

const DisturbedRound = z
  .object({
    experiment: z.string(),
    point: z.string(),
    round: count,
    stealShare: z.number().describe('Share of the processors that the hypervisor took.'),
    othersShare: z.number().describe('Share of the processors that other processes used.'),
    repeated: z.boolean().describe('False when it counts nevertheless, as too many were repeated before.'),
  })
  .describe('All runs of a round at a point, disturbed by the machine.');
export type DisturbedRound = z.infer<typeof DisturbedRound>;

const PointInfo = z.object({
  key: z.string(),
  clients: count,
  requests: count.nullable(),
  title: z.string(),
  load: z.string().describe('What these clients do, for headlines; absent: the title tells.').exactOptional(),
  workers: count
    .describe('Workers of each workqueue whose command does not say; absent: as many as it has by default.')
    .exactOptional(),
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
  args: z
    .array(z.string())
    .describe('What it adds to the command of each kecho-pool server. Absent in results of earlier versions.')
    .exactOptional(),
});
export type ExperimentInfo = z.infer<typeof ExperimentInfo>;

export const EnvironmentInfo = z.object({
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

const ServerHostInfo = z
  .object({
    name: z.string(),
    address: z.string(),
    roundTripMs: z.number().describe('To it, before any load: part of each response time.'),
    environment: EnvironmentInfo,
  })
  .describe('Another machine on which the servers ran; absent: that of the load generator.');
export type ServerHostInfo = z.infer<typeof ServerHostInfo>;

const PointCheck = z.object({
  experiment: z.string(),
  point: z.string(),
  check: SelfCheck.nullable().describe('Null when it failed.'),
});
export type PointCheck = z.infer<typeof PointCheck>;

const BaselineFigure = z.object({ ...place, metric: MetricKey, before: Estimate, now: Estimate });
export type BaselineFigure = z.infer<typeof BaselineFigure>;

const Baseline = z
  .object({
    file: z.string(),
    date: z.string(),
    commit: z.string().nullable(),
    notes: z.array(z.string()),
    figures: z.array(BaselineFigure),
  })
  .describe('The figures of another session beside those of this one, not judged.');
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
    environment: EnvironmentInfo.describe('The machine of the load generator.'),
    serverHost: ServerHostInfo.exactOptional(),
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
    rule: Rule,
    verdicts: z.array(PointVerdict),
    disturbed: z.array(DisturbedRound),
    baseline: Baseline.nullable(),
    notes: z.array(z.string()),
  })
  .meta({
    title: 'results.json of kecho-pool compare',
    description: 'Names end with the unit.',
  });
export type Results = z.infer<typeof Results>;
