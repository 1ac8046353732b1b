/**
 * What a comparison consists of, and the shape of results.json (results.schema.json says the same to other
 * programs). Types and constants only.
 *
 * Words: a *contestant* is a server under a label; a *point* is one place on an experiment's axis, mostly a
 * number of clients; a *run* is one fresh server under one load; a *cell* is all runs of a contestant at a point.
 */
import type { Estimate } from '../stats/bootstrap.ts';
import type { Direction, Outcome } from '../stats/verdict.ts';

export const SCHEMA_VERSION = 1;

export const ERROR_NAMES = ['refused', 'reset', 'timeout', 'wrongBytes', 'earlyClose', 'other'] as const;
export type ErrorName = (typeof ERROR_NAMES)[number];

export interface Response {
  count: number;
  averageMs: number;
  worstMs: number;
  p50Ms: number;
  p90Ms: number;
  p99Ms: number;
  p999Ms: number;
}

/** The line of JSON that the load generator prints, as far as it is used here. */
export interface LoadReport {
  mode: string;
  clients: number;
  requests: number | null;
  messageBytes: number;
  windowMs: number;
  completed: number;
  perSecond: number;
  response: Response;
  connect: Response | null;
  errors: Partial<Record<ErrorName, number>>;
  errorTotal: number;
  serverCpuMs?: number | null;
  serverCpuPerSampleUs?: number | null;
  serverThreadsMax?: number | null;
  generatorCpuShare: number;
  saturated: boolean;
  partial: boolean;
}

export const METRIC_KEYS = [
  'averageMs',
  'worstMs',
  'p99Ms',
  'perSecond',
  'cpuPerRequestUs',
  'threadsMax',
  'memoryPerConnectionKib',
] as const;
export type MetricKey = (typeof METRIC_KEYS)[number];

export interface Metric {
  title: string;
  unit: string;
  /** Null: a figure to look at, not to rank by. */
  better: Direction | null;
}

export const METRICS: Record<MetricKey, Metric> = {
  averageMs: { title: 'Average response time', unit: 'ms', better: 'lower' },
  worstMs: { title: 'Worst response time', unit: 'ms', better: 'lower' },
  p99Ms: { title: '99th percentile', unit: 'ms', better: 'lower' },
  perSecond: { title: 'Throughput', unit: 'per s', better: 'higher' },
  cpuPerRequestUs: { title: 'Server CPU per request', unit: 'µs', better: 'lower' },
  threadsMax: { title: 'Most threads', unit: 'threads', better: null },
  memoryPerConnectionKib: { title: 'Memory per idle connection', unit: 'KiB', better: 'lower' },
};

export type ContestantKind = 'strategy' | 'control' | 'peer' | 'target';

export interface ContestantInfo {
  label: string;
  kind: ContestantKind;
  /** As it could be typed into a shell. */
  command: string;
}

export interface Run {
  experiment: string;
  point: string;
  label: string;
  /** From 1. */
  round: number;
  /** Its place in the order of all runs, from 0. */
  order: number;
  /** What the generator said; null when it said nothing. */
  load: LoadReport | null;
  /** Figures by name; a missing one could not be measured in this run. */
  metrics: Partial<Record<MetricKey, number>>;
  /** Idle connections that were held open meanwhile; null in other experiments. */
  idleConnections: number | null;
  errorTotal: number;
  /** Why the run failed as a whole; null when it did not. */
  failure: string | null;
}

/** One look at a server. Figures that only kecho-pool reports are null for others. */
export interface TimelineSample {
  /** Since the server listened. */
  atMs: number;
  threads: number;
  /** Connections open. */
  active: number | null;
  queued: number | null;
  busyWorkers: number | null;
  idleWorkers: number | null;
  nrRunning: number | null;
}

export interface Timeline {
  experiment: string;
  point: string;
  label: string;
  samples: TimelineSample[];
}

export interface CellMetric extends Estimate {
  values: number[];
  /** Rounds whose value is an outlier; the value is still counted. */
  outlierRounds: number[];
}

export interface Cell {
  experiment: string;
  point: string;
  label: string;
  runs: number;
  failedRuns: number;
  errors: Partial<Record<ErrorName, number>>;
  errorTotal: number;
  saturatedRuns: number;
  metrics: Partial<Record<MetricKey, CellMetric>>;
}

export interface NoiseFloor {
  experiment: string;
  point: string;
  metric: MetricKey;
  /** Of the strategy to its control. */
  ratio: Estimate;
  /** Differences up to this factor are not told from none. */
  factor: number;
}

export interface PointVerdict {
  experiment: string;
  point: string;
  metric: MetricKey;
  label: string;
  reference: string;
  outcome: Outcome;
  why: string;
  ratio: Estimate | null;
}

export interface PointInfo {
  key: string;
  clients: number;
  requests: number | null;
  title: string;
}

export interface ExperimentInfo {
  name: string;
  title: string;
  question: string;
  axis: string;
  points: PointInfo[];
  /** The figures that are ranked, the most important first. */
  ranked: MetricKey[];
  charts: MetricKey[];
}

export interface EnvironmentInfo {
  date: string;
  kernel: string;
  arch: string;
  cpu: string;
  cores: number;
  availableParallelism: number;
  memoryMiB: number;
  loadAverage1Min: number;
  node: string;
  compiler: string | null;
  commit: string | null;
  descriptorLimit: number;
  somaxconn: number | null;
  localPorts: string | null;
}

export interface BaselineChange {
  experiment: string;
  point: string;
  metric: MetricKey;
  label: string;
  outcome: Outcome;
  why: string;
  ratio: Estimate | null;
}

export interface Baseline {
  file: string;
  date: string;
  commit: string | null;
  notes: string[];
  changes: BaselineChange[];
}

export interface Results {
  schemaVersion: typeof SCHEMA_VERSION;
  program: string;
  /** True when the comparison was interrupted: not every planned run is there. */
  partial: boolean;
  plannedRuns: number;
  seed: number;
  options: Record<string, string | number | boolean | null | string[]>;
  environment: EnvironmentInfo;
  reference: string;
  contestants: ContestantInfo[];
  experiments: ExperimentInfo[];
  runs: Run[];
  timelines: Timeline[];
  cells: Cell[];
  noise: NoiseFloor[];
  verdicts: PointVerdict[];
  baseline: Baseline | null;
  notes: string[];
}
