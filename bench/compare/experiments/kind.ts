/**
 * What an experiment is, and the options that change one. Types and names only.
 */
import type { Arrivals, Shape } from '../../load/result.ts';
import type { Point } from '../experiment-points.ts';
import type { MetricKey } from '../metrics.ts';
import type { ExperimentInfo } from '../types.ts';

export const EXPERIMENT_NAMES = [
  'response',
  'telnet',
  'throughput',
  'churn',
  'blocking',
  'cpu-bound',
  'idle',
  'skewed',
  'zipf',
  'handler',
  'load-latency',
  'mixed',
  'cold-warm',
  'background',
  'slow-readers',
  'cost',
] as const;
export type ExperimentName = (typeof EXPERIMENT_NAMES)[number];

/** Only of servers on this machine: they look into the server's processes, or compute beside it. */
export const BESIDE_SERVER: readonly ExperimentName[] = ['skewed', 'background'];

export interface Experiment extends ExperimentInfo {
  name: ExperimentName;
  mode: 'burst' | 'closed' | 'open' | 'churn';
  /** How the load is spread over the connections; if not evenly, workqueue has a worker for each of them. */
  shape: Shape;
  /** Requests per second in open mode, where the rate decides; otherwise null. */
  rate: number | null;
  /** When these are due. */
  arrivals: Arrivals;
  /** Answers within this time are the goodput; null: not of interest. */
  withinMs: number | null;
  /** First byte of each message, for the experiment's handler; null: random. */
  firstByte: number | null;
  /** Whether workqueue has a worker for each connection, since all stay open. */
  workerPerClient: boolean;
  /**
   * Work before each echo, which only kecho-pool can do; other servers skip the experiment. Several specs, of which
   * connections take turns, are separated by ";".
   */
  service: string | null;
  /** Whether requests run the operator's handler, which only kecho-pool can do. */
  hasHandler: boolean;
  /** File of a handler of the experiment's own, which only kecho-pool can run; null: none. */
  ownHandler: string | null;
  warmupMs: number;
  /** How much longer a warm-up may get until the server's CPU time per request has settled. */
  settleMs: number;
  /** Length of the window; 0 for bursts, which end by themselves. */
  durationMs: number;
  /** Timeout for one answer. */
  timeoutMs: number;
  points: Point[];
}

/** Options that override experiments; absent ones change nothing. */
export interface Adjustments {
  quick: boolean;
  clients?: readonly number[] | undefined;
  requests?: number | undefined;
  repeat?: number | undefined;
  durationMs?: number | undefined;
  warmupMs?: number | undefined;
  timeoutMs?: number | undefined;
  /** The operator's handler, for experiments without work of their own: the name of its file, with the export. */
  handlerName?: string | undefined;
  /** Emulated work for the same; connections take turns. */
  services?: readonly string[] | undefined;
  /** Processors of the servers; absent: all of this machine. */
  cpus?: number | undefined;
  /** Maximum idle connections, from the descriptor limit. */
  idleMax: number;
}

/** An even load whose rate the servers decide, unless it says otherwise. */
export const USUAL = {
  shape: 'even',
  rate: null,
  arrivals: 'even',
  withinMs: null,
  firstByte: null,
  workerPerClient: false,
  ownHandler: null,
} as const satisfies Partial<Experiment>;

export type ExperimentKind = Omit<Experiment, 'hasHandler' | 'settleMs' | keyof typeof USUAL> &
  Partial<Pick<Experiment, keyof typeof USUAL>>;

export const CHARTS: MetricKey[] = ['averageMs', 'p99Ms', 'worstMs', 'cpuPerRequestUs', 'threadsMax'];
