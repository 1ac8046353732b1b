/**
 * The experiments: question, points, load and repeats of each, and how options change them. Pure.
 *
 * Counts and durations are chosen so that all of them take about 40 minutes on two cores. The most expensive point
 * is a burst of 1,000 clients against kthread, which starts a thousand threads at 25 to 35 ms each.
 */
import { burstPoints, idlePoints, type Point, point, withClients } from './experiment-points.ts';
import { beside } from './experiments/beside.ts';
import { bursts } from './experiments/bursts.ts';
import {
  type Adjustments,
  EXPERIMENT_NAMES,
  type Experiment,
  type ExperimentKind,
  type ExperimentName,
  USUAL,
} from './experiments/kind.ts';
import { overload } from './experiments/overload.ts';
import { steady } from './experiments/steady.ts';
import { uneven } from './experiments/uneven.ts';

/** Experiments of --quick without --experiment. */
const QUICK: readonly ExperimentName[] = ['response', 'blocking', 'mixed'];
/** With --handler or --service and without --experiment: clients that come and go, and clients that stay. */
const WITH_WORK: readonly ExperimentName[] = ['handler', 'throughput'];
/** Experiments with a service of their own, which a handler excludes. */
export const EMULATED: readonly ExperimentName[] = [
  'blocking',
  'cpu-bound',
  'skewed',
  'zipf',
  'load-latency',
  'mixed',
  'cold-warm',
  'background',
];
/** Finds most differences of 1.5 times where the runs of a server differ by 12 % (bench/results/verdicts.txt). */
const QUICK_REPEAT = 6;

/** Points for given client counts; telnet's are fixed. */
function pointsFor(experiment: ExperimentKind, clients: readonly number[], max: number): Point[] {
  const [first] = experiment.points;
  if (first === undefined || experiment.name === 'telnet') return experiment.points;
  if (experiment.name === 'idle') return idlePoints(clients, first.clients, max);
  if (experiment.name === 'response') return burstPoints(clients, first.requests ?? 1);
  if (first.key !== String(first.clients)) return withClients(experiment.points, clients);
  return clients.map((n) => point(n, first.requests, first.repeat));
}

/** The work that the options give to all experiments, as captions name it. */
function workGiven({ handlerName, services }: Adjustments): string | null {
  return handlerName ?? services?.join('; ') ?? null;
}

/** What the clients of an experiment with work do: a client, several. It tells the experiments apart, and headlines name it. */
function clientsDo(name: ExperimentName, requests: number | null): [one: string, several: string] | null {
  if (name === 'throughput') return ['stays connected', 'stay connected'];
  if (name !== 'handler') return null;
  const messages = `${requests} message${requests === 1 ? '' : 's'}`;
  return [`comes, sends ${messages} and goes`, `come, send ${messages} and go`];
}

/** The captions of an experiment with work. */
function captioned({ name, title, question, points }: Experiment, work: string) {
  const [, does] = clientsDo(name, points[0]?.requests ?? null) ?? [];
  return {
    title: `${does === undefined ? title : `Clients that ${does}`} (${work})`,
    question: `${question} Before each echo the handler runs: ${work}.`,
    points: points.map((at) => {
      const verbs = clientsDo(name, at.requests);
      return verbs === null ? at : { ...at, load: `${at.title} that ${verbs[at.clients === 1 ? 0 : 1]}` };
    }),
  };
}

/** A thread per client starts within the warm-up, enough requests end within the window, and only starved ones time out. */
const WORK_WARMUP_PER_CLIENT_MS = 40;
const WORK_WARMUP_MAX_MS = 5_000;
const WORK_WINDOW_MS = 1_500;
const WORK_TIMEOUT_MS = 3_000;

/** Not with --quick, which has no time for it. */
const SETTLE_MS_MAX = 3_000;

type Times = Pick<Experiment, 'warmupMs' | 'durationMs' | 'timeoutMs'>;

/** The times of an experiment, longer where a steady load has work that is not its own. */
function timesOf(experiment: ExperimentKind, given: Adjustments, points: readonly Point[]): Times {
  const timeoutMs = given.timeoutMs ?? experiment.timeoutMs;
  if (experiment.mode === 'burst') return { warmupMs: 0, durationMs: 0, timeoutMs };
  const most = Math.max(0, ...points.map(({ clients }) => clients));
  const least: Times =
    workGiven(given) === null
      ? experiment
      : {
          warmupMs: Math.min(most * WORK_WARMUP_PER_CLIENT_MS, WORK_WARMUP_MAX_MS),
          durationMs: WORK_WINDOW_MS,
          timeoutMs: WORK_TIMEOUT_MS,
        };
  return {
    warmupMs: given.warmupMs ?? Math.max(experiment.warmupMs, least.warmupMs),
    durationMs: given.durationMs ?? Math.max(experiment.durationMs, least.durationMs),
    timeoutMs: given.timeoutMs ?? Math.max(experiment.timeoutMs, least.timeoutMs),
  };
}

function adjusted(experiment: ExperimentKind, given: Adjustments): Experiment {
  const points =
    given.clients === undefined ? experiment.points : pointsFor(experiment, given.clients, given.idleMax);
  const repeat = given.repeat ?? (given.quick ? QUICK_REPEAT : undefined);
  const free = experiment.name !== 'telnet'; // its points are fixed by the studies, requests included
  const { handlerName } = given;
  const work = workGiven(given);
  const found: Experiment = {
    ...USUAL,
    ...experiment,
    service: experiment.service ?? given.services?.join(';') ?? null,
    hasHandler: handlerName !== undefined,
    ...timesOf(experiment, given, points),
    settleMs: given.quick || experiment.mode === 'burst' ? 0 : SETTLE_MS_MAX,
    points: points.map((at) => ({
      ...at,
      requests: at.requests === null || !free ? at.requests : (given.requests ?? at.requests),
      repeat: repeat ?? at.repeat,
    })),
  };
  return work === null ? found : { ...found, ...captioned(found, work) };
}

/** The experiments without --experiment. */
function usual(given: Adjustments): readonly ExperimentName[] {
  if (workGiven(given) !== null) return WITH_WORK;
  return given.quick ? QUICK : EXPERIMENT_NAMES.filter((name) => name !== 'handler');
}

/** The experiments to run: the named ones, or the default set. */
export function chooseExperiments(
  names: readonly ExperimentName[] | null,
  adjustments: Adjustments,
): Experiment[] {
  const chosen = names ?? usual(adjustments);
  const kinds = [
    ...bursts(adjustments),
    ...steady(adjustments),
    ...uneven(adjustments),
    ...overload(adjustments),
    ...beside(adjustments),
  ];
  return EXPERIMENT_NAMES.filter((name) => chosen.includes(name))
    .flatMap((name) => kinds.filter((kind) => kind.name === name))
    .map((kind) => adjusted(kind, adjustments));
}
