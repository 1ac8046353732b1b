/**
 * One run: a fresh server, a fresh load generator, one result. Failures are recorded in the result, never thrown.
 *
 * Both are new processes, so that no run inherits compiled code, memory or connections.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { LoadResult } from '../load/schema.ts';
import { withoutFolders } from '../programs.ts';
import { type Common, onGenerator } from './common.ts';
import { startCompany } from './company.ts';
import type { Contestant } from './contestants.ts';
import { generate } from './generate.ts';
import { IdleConnections } from './idle-connections.ts';
import { experimentArgs, type PlannedRun, workersAt } from './plan.ts';
import { Sampler, type Seen } from './sampler.ts';
import { type HostedServer, RunningServer } from './server-host.ts';
import type { Run, TimelineSample } from './types.ts';

/** 10,000 connections take a second or two, unless the server is too busy starting threads to accept. */
const HOLD_TIMEOUT_MS = 6_000;
/** Starting a hundred threads takes three seconds. */
const SETTLE_TIMEOUT_MS = 6_000;
const SETTLE_POLL_MS = 50;
const SETTLE_POLLS = 3;

export interface Measured {
  run: Run;
  samples: TimelineSample[];
}

/** Resident memory once it is stable: the server accepts later than the kernel completes connections. */
async function settledKib(server: HostedServer): Promise<number | null> {
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  let last: number | null = null;
  for (let same = 0; ; await pause(SETTLE_POLL_MS)) {
    const { residentKib: now } = await server.figures();
    same = now === last ? same + 1 : 0;
    if (now === null || same >= SETTLE_POLLS || performance.now() > deadlineMs) return now;
    last = now;
  }
}

/** How much a figure has grown; null where it is unknown. */
function growth(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

interface Idle {
  connections: IdleConnections;
  memoryKib: number | null;
  cpuMs: number | null;
}

/** Opens idle connections and measures the memory and CPU time they take. */
async function openIdle(server: HostedServer, count: number, common: Common): Promise<Idle> {
  const [beforeKib, before] = [await settledKib(server), await server.figures()];
  const connections = await IdleConnections.open(server.at, count, HOLD_TIMEOUT_MS, onGenerator(common));
  const memoryKib = growth(beforeKib, await settledKib(server));
  return { connections, memoryKib, cpuMs: growth(before.cpuMs, (await server.figures()).cpuMs) };
}

function idleMetrics({ connections: { held }, memoryKib, cpuMs }: Idle): Run['metrics'] {
  if (held === 0) return {};
  return {
    ...(memoryKib === null ? {} : { memoryPerConnectionKib: memoryKib / held }),
    ...(cpuMs === null ? {} : { cpuPerConnectionUs: (cpuMs * 1000) / held }),
  };
}

/** After a load whose connections are closed: what these left, and what connections that are held take. */
async function holdAfter(
  server: HostedServer,
  count: number,
  common: Common,
  load: LoadResult,
  beforeKib: number | null,
) {
  const kept = growth(beforeKib, await settledKib(server));
  const idle = await openIdle(server, count, common);
  await idle.connections.release();
  const ofClosed = load.opened === 0 || kept === null ? {} : { memoryPerClosedKib: kept / load.opened };
  return { idle, metrics: { ...ofClosed, ...idleMetrics(idle) } };
}

function metricsOf(load: LoadResult, seen: Seen, idle: Idle | null): Run['metrics'] {
  const metrics: Run['metrics'] =
    seen.threadsMax === null ? {} : { threadsMax: Math.max(seen.threadsMax, load.serverThreadsMax ?? 0) };
  if (load.completed > 0 && load.response.count > 0) {
    metrics.averageMs = load.response.averageMs;
    metrics.worstMs = load.response.worstMs;
    metrics.p99Ms = load.response.p99Ms;
    metrics.perSecond = load.perSecond;
  }
  if (load.connect.count > 0) metrics.connectP99Ms = load.connect.p99Ms;
  if (load.serverCpuPerSampleUs !== undefined) metrics.cpuPerRequestUs = load.serverCpuPerSampleUs;
  if (load.goodPerSecond !== undefined) metrics.goodPerSecond = load.goodPerSecond;
  if (load.fairness !== undefined) metrics.fairness = load.fairness;
  if (load.worstClientMs !== undefined) metrics.worstClientMs = load.worstClientMs;
  return { ...metrics, ...(idle === null ? {} : idleMetrics(idle)) };
}

function timelineKind({ round, experiment }: PlannedRun): 'none' | 'burst' | 'steady' {
  if (round > 0) return 'none';
  return experiment.mode === 'burst' ? 'burst' : 'steady';
}

/** The contestant's arguments, and those of the experiment. */
function argsFor({ experiment, point, contestant }: PlannedRun<Contestant>): string[] {
  const isOpen = contestant.strategy === 'workqueue' && contestant.workers === undefined;
  const workers = isOpen ? workersAt(experiment, point) : null;
  return [
    ...contestant.args,
    ...experimentArgs(experiment),
    ...(workers === null ? [] : ['--workers', String(workers)]),
  ];
}

async function loadServer(planned: PlannedRun<Contestant>, common: Common, server: HostedServer, run: Run) {
  const { idleConnections, heldAfter, company } = planned.point;
  const beforeKib = heldAfter === undefined ? null : await settledKib(server);
  await using beside =
    company === undefined ? null : await startCompany(company, server.at, onGenerator(common));
  const idle = idleConnections > 0 ? await openIdle(server, idleConnections, common) : null;
  run.idleConnections = idle?.connections.held ?? null;
  const isKechoPool = planned.contestant.strategy !== null;
  const sampler =
    server.local === null ? null : new Sampler(server.local, isKechoPool, timelineKind(planned));
  let seen: Seen;
  try {
    run.load = await generate(planned, common, server);
  } finally {
    seen = sampler?.end() ?? { threadsMax: (await server.figures()).threads, samples: [] };
    await idle?.connections.release();
  }
  run.metrics = metricsOf(run.load, seen, idle);
  const after =
    heldAfter === undefined ? null : await holdAfter(server, heldAfter, common, run.load, beforeKib);
  if (after !== null) {
    run.idleConnections = after.idle.connections.held;
    Object.assign(run.metrics, after.metrics);
  }
  const wrongElsewhere = ((idle ?? after?.idle)?.connections.wrong ?? 0) + ((await beside?.end()) ?? 0);
  run.load.errors.wrongBytes += wrongElsewhere;
  run.errorTotal = run.load.errorTotal + (run.load.unsent ?? 0) + wrongElsewhere;
  return seen.samples;
}

export async function measure(
  planned: PlannedRun<Contestant>,
  order: number,
  common: Common,
): Promise<Measured> {
  const { experiment, point, contestant, round } = planned;
  const run: Run = {
    experiment: experiment.name,
    point: point.key,
    label: contestant.label,
    round,
    order,
    load: null,
    metrics: {},
    idleConnections: null,
    errorTotal: 0,
    failure: null,
  };
  let samples: TimelineSample[] = [];
  try {
    const args = argsFor(planned);
    const server =
      contestant.at === undefined
        ? await common.host.start(contestant.label, { ...contestant, args })
        : new RunningServer(contestant.at);
    try {
      samples = await loadServer(planned, common, server, run);
      const ended = await server.ended();
      if (ended !== null) run.failure = `the server exited early: ${ended}`;
    } finally {
      // SIGKILL for kecho-pool: it has no connections left, and stopping hundreds of threads in order takes time.
      await server.stop(contestant.strategy !== null);
    }
  } catch (error) {
    run.failure = error instanceof Error ? error.message : String(error);
  }
  if (run.failure !== null) run.failure = withoutFolders(run.failure);
  return { run, samples };
}
