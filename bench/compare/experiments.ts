/**
 * The experiments: question, points, load and repeats of each, and how options change them. Pure.
 *
 * Counts and durations are chosen so that all of them take about fourteen minutes on two cores. The most expensive point
 * is a burst of 1,000 clients against kthread, which starts a thousand threads at 25 to 35 ms each.
 */
import type { Shape } from '../load/result.ts';
import { INTERVAL_VALUES_MIN } from '../stats/bootstrap.ts';
import {
  burstPoints,
  idlePoints,
  type Point,
  point,
  REPEAT_LONG,
  telnetPoints,
} from './experiment-points.ts';
import type { ExperimentInfo, MetricKey } from './types.ts';

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
] as const;
export type ExperimentName = (typeof EXPERIMENT_NAMES)[number];

export interface Experiment extends ExperimentInfo {
  name: ExperimentName;
  mode: 'burst' | 'closed' | 'open' | 'churn';
  /** How the load is spread over the connections; if not evenly, workqueue has a worker for each of them. */
  shape: Shape;
  /** Requests per second in open mode, where the rate decides; otherwise null. */
  rate: number | null;
  /** Work before each echo, which only kecho-pool can do; other servers skip the experiment. */
  service: string | null;
  /** Whether requests run the operator's handler, which only kecho-pool can do. */
  hasHandler: boolean;
  warmupMs: number;
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
  /** The operator's handler: the name of its file, with the export. */
  handlerName?: string | undefined;
  /** Maximum idle connections, from the descriptor limit. */
  idleMax: number;
}

/** Without shape and rate: an even load whose rate the servers decide. */
type ExperimentKind = Omit<Experiment, 'hasHandler' | 'shape' | 'rate'> &
  Partial<Pick<Experiment, 'shape' | 'rate'>>;

const CHARTS: MetricKey[] = ['averageMs', 'worstMs', 'cpuPerRequestUs', 'threadsMax'];

/**
 * Of `zipf`. With handlers of 2 ms it takes one processor; the most frequent of 20 connections has 28 % of it, which is
 * far from what one connection can carry.
 */
const ZIPF_RATE = 500;

function all({ quick, idleMax }: Adjustments): ExperimentKind[] {
  return [
    {
      name: 'response',
      title: 'Response time of a burst',
      question: 'All clients connect at once, send 10 messages each, one after another, and close.',
      axis: 'clients',
      mode: 'burst',
      service: null,
      warmupMs: 0,
      durationMs: 0,
      timeoutMs: 60_000,
      points: burstPoints(quick ? [1, 10, 40] : [1, 10, 100, 1000], 10),
      ranked: ['averageMs', 'worstMs', 'connectP99Ms', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
    {
      name: 'telnet',
      title: 'The telnet load of the 2019 studies',
      question: 'Bursts of (clients, requests per client), with a time limit of 10 s.',
      axis: '(clients, requests)',
      mode: 'burst',
      service: null,
      warmupMs: 0,
      durationMs: 0,
      timeoutMs: 10_000,
      points: telnetPoints(),
      ranked: ['averageMs', 'worstMs', 'connectP99Ms', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
    {
      name: 'throughput',
      title: 'Throughput',
      question: 'Connections stay open; each sends its next message when the echo has arrived.',
      axis: 'clients',
      mode: 'closed',
      service: null,
      warmupMs: 600,
      durationMs: 600,
      timeoutMs: 1500,
      points: (quick ? [2] : [2, 16]).map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['perSecond', 'cpuPerRequestUs', 'p99Ms'],
      charts: ['perSecond', ...CHARTS],
    },
    {
      name: 'churn',
      title: 'Connect, echo, close',
      question: 'One message per connection, with a fixed number of connections at a time.',
      axis: 'clients',
      mode: 'churn',
      service: null,
      warmupMs: 400,
      durationMs: 2000, // a thread per connection completes about 100 per second
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['perSecond', 'averageMs', 'worstMs', 'connectP99Ms'],
      charts: ['perSecond', ...CHARTS],
    },
    {
      name: 'blocking',
      title: 'Handlers that sleep',
      question: 'A burst of 5 messages per client; before each echo the handler sleeps 10 ms.',
      axis: 'clients',
      mode: 'burst',
      service: 'sleep:10ms',
      warmupMs: 0,
      durationMs: 0,
      timeoutMs: 20_000,
      points: [quick ? 10 : 20].map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'worstMs'],
      charts: CHARTS,
    },
    {
      name: 'cpu-bound',
      title: 'Handlers that compute',
      question: 'A burst of 5 messages per client; before each echo the handler uses the processor for 5 ms.',
      axis: 'clients',
      mode: 'burst',
      service: 'burn:5ms',
      warmupMs: 0,
      durationMs: 0,
      timeoutMs: 20_000,
      points: [quick ? 4 : 10].map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'worstMs'],
      charts: CHARTS,
    },
    {
      name: 'idle',
      title: 'Mostly idle connections',
      question:
        'Ten clients load the server as in "throughput" while many other connections are open and nearly idle.',
      axis: 'idle connections',
      mode: 'closed',
      service: null,
      warmupMs: 400,
      durationMs: 600,
      timeoutMs: 1000,
      points: idlePoints(quick ? [100] : [100, 10_000], 10, idleMax),
      ranked: ['averageMs', 'p99Ms', 'memoryPerConnectionKib'],
      charts: ['memoryPerConnectionKib', ...CHARTS],
    },
    {
      name: 'skewed',
      title: 'Half of the connections are silent',
      question:
        'Connections stay open, half of them silent; each of the others sends its next message when the echo has arrived, ' +
        'and the handler uses the processor for 2 ms. At first all that send are in one CPU pool: connections are opened ' +
        'until one pool has enough, wherever the server places them, and surplus ones are closed before the load. ' +
        'workqueue has a worker for each connection.',
      axis: 'clients',
      mode: 'closed',
      shape: 'skewed',
      service: 'burn:2ms',
      warmupMs: 1000,
      durationMs: 1500,
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['perSecond', 'p99Ms', 'cpuPerRequestUs'],
      charts: ['perSecond', ...CHARTS],
    },
    {
      name: 'zipf',
      title: 'A few connections carry most of the load',
      question:
        `${ZIPF_RATE} requests per second, each for a connection drawn by Zipf's law: the one of rank k has a share ` +
        'proportional to 1/k. The handler uses the processor for 2 ms. Times count from when a request was due, also while ' +
        'its connection was busy; requests never sent count as errors. workqueue has a worker for each connection.',
      axis: 'clients',
      mode: 'open',
      shape: 'zipf',
      rate: ZIPF_RATE,
      service: 'burn:2ms',
      warmupMs: 1000,
      durationMs: 1500,
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['averageMs', 'p99Ms', 'cpuPerRequestUs'],
      charts: ['p99Ms', ...CHARTS],
    },
    {
      name: 'handler',
      title: 'Your own handler',
      question: 'A burst of 5 messages per client.',
      axis: 'clients',
      mode: 'burst',
      service: null,
      warmupMs: 0,
      durationMs: 0,
      timeoutMs: 60_000,
      points: (quick ? [4] : [4, 20]).map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'worstMs', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
  ];
}

/** Experiments of --quick without --experiment. */
const QUICK: readonly ExperimentName[] = ['response', 'blocking'];
/** Experiments with a service of their own, which a handler excludes. */
export const EMULATED: readonly ExperimentName[] = ['blocking', 'cpu-bound', 'skewed', 'zipf'];
const QUICK_REPEAT = INTERVAL_VALUES_MIN;

/** Points for given client counts; telnet's are fixed. */
function pointsFor(experiment: ExperimentKind, clients: readonly number[], max: number): Point[] {
  const [first] = experiment.points;
  if (first === undefined || experiment.name === 'telnet') return experiment.points;
  if (experiment.name === 'idle') return idlePoints(clients, first.clients, max);
  if (experiment.name === 'response') return burstPoints(clients, first.requests ?? 1);
  return clients.map((n) => point(n, first.requests, first.repeat));
}

function adjusted(experiment: ExperimentKind, given: Adjustments): Experiment {
  const points =
    given.clients === undefined ? experiment.points : pointsFor(experiment, given.clients, given.idleMax);
  const repeat = given.repeat ?? (given.quick ? QUICK_REPEAT : undefined);
  const free = experiment.name !== 'telnet'; // its points are fixed by the studies, requests included
  const { handlerName } = given;
  const work = handlerName === undefined ? '' : ` The handler ${handlerName} runs before each echo.`;
  return {
    shape: 'even',
    rate: null,
    ...experiment,
    question: `${experiment.question}${work}`,
    hasHandler: handlerName !== undefined,
    warmupMs: experiment.mode === 'burst' ? 0 : (given.warmupMs ?? experiment.warmupMs),
    durationMs: experiment.mode === 'burst' ? 0 : (given.durationMs ?? experiment.durationMs),
    timeoutMs: given.timeoutMs ?? experiment.timeoutMs,
    points: points.map((at) => ({
      ...at,
      requests: at.requests === null || !free ? at.requests : (given.requests ?? at.requests),
      repeat: repeat ?? at.repeat,
    })),
  };
}

/** The experiments without --experiment. */
function usual({ quick, handlerName }: Adjustments): readonly ExperimentName[] {
  if (handlerName !== undefined) return ['handler'];
  return quick ? QUICK : EXPERIMENT_NAMES.filter((name) => name !== 'handler');
}

/** The experiments to run: the named ones, or the default set. */
export function chooseExperiments(
  names: readonly ExperimentName[] | null,
  adjustments: Adjustments,
): Experiment[] {
  const chosen = names ?? usual(adjustments);
  return all(adjustments)
    .filter((experiment) => chosen.includes(experiment.name))
    .map((experiment) => adjusted(experiment, adjustments));
}
