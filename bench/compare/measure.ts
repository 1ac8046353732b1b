/**
 * One run: a fresh server, a fresh load generator, one result. Failures are recorded in the result, never thrown.
 *
 * Both are new processes, so that no run inherits compiled code, memory or connections.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Cgroup } from '../cgroup.ts';
import type { Placement } from '../child-process.ts';
import { SEED_MAX } from '../load/load-options.ts';
import { processCpuMs } from '../load/process-cost.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import type { Pinning } from '../pinning.ts';
import { processTree, treeResidentKib } from '../process-figures.ts';
import { withoutFolders } from '../programs.ts';
import { seedFor } from '../random.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { startCompany } from './company.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Contestant } from './contestants.ts';
import { IdleConnections } from './idle-connections.ts';
import { experimentArgs, type PlannedRun, workersAt } from './plan.ts';
import { Sampler, type Seen } from './sampler.ts';
import type { Run, TimelineSample } from './types.ts';

/** Added to the generator's own time limits, in case it hangs. */
const GENERATOR_MARGIN_MS = 15_000;
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

/** What all runs of a comparison share. */
export interface Common extends Pick<CompareOptions, 'messageBytes' | 'seed'> {
  /** For the warm-up of the generator. */
  echo: ServerUnderTest;
  /** Of the servers; null where none can be made. */
  cgroup: Cgroup | null;
  pinned: Pinning | null;
}

/** Of the load generator. */
export function onGenerator({ pinned }: Pick<Common, 'pinned'>): Placement {
  return pinned === null ? {} : { cpus: pinned.generator };
}

function onServer({ pinned, cgroup }: Common): Placement {
  return { cgroup, ...(pinned === null ? {} : { cpus: pinned.server }) };
}

async function generate(
  { experiment, point, round }: PlannedRun,
  common: Common,
  server: ServerUnderTest,
): Promise<LoadResult> {
  const { messageBytes, seed, echo, cgroup } = common;
  const { mode, shape, arrivals, durationMs, timeoutMs, withinMs, firstByte } = experiment;
  const { rate = experiment.rate, warmupMs = experiment.warmupMs } = point;
  const settleMs = warmupMs > 0 ? experiment.settleMs : 0;
  const budgetMs =
    warmupMs +
    settleMs +
    durationMs +
    timeoutMs * (2 + (mode === 'burst' ? (point.requests ?? 1) : 0)) +
    GENERATOR_MARGIN_MS;
  const flags = {
    mode,
    port: server.port,
    clients: point.clients,
    bytes: messageBytes,
    'timeout-ms': timeoutMs,
    'warmup-ms': warmupMs,
    'duration-ms': durationMs,
    'watch-pid': processTree(server.process.pid).join(','),
    'watch-cgroup': cgroup?.isComplete ? cgroup.folder : '',
    'settle-ms': settleMs,
    'echo-port': echo.port,
    shape,
    // In a round every contestant gets the same load.
    seed: seedFor(seed, `${experiment.name}/${point.key}/${round}`) % SEED_MAX,
    arrivals,
    ...(rate === null ? {} : { rate }),
    ...(withinMs === null ? {} : { 'within-ms': withinMs }),
    ...(firstByte === null ? {} : { 'first-byte': firstByte }),
    ...(point.requests === null ? {} : { requests: point.requests }),
  };
  await using generator = startLoad(flags, onGenerator(common));
  return await generator.result<LoadResult>(budgetMs);
}

/** Resident memory once it is stable: the server accepts later than the kernel completes connections. */
async function settledKib(pid: number): Promise<number> {
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  let last = -1;
  for (let same = 0; ; await pause(SETTLE_POLL_MS)) {
    const now = treeResidentKib(processTree(pid));
    same = now === last ? same + 1 : 0;
    if (same >= SETTLE_POLLS || performance.now() > deadlineMs) return now;
    last = now;
  }
}

interface Idle {
  connections: IdleConnections;
  memoryKib: number;
  cpuMs: number;
}

function treeCpuMs(pid: number): number {
  return processTree(pid).reduce((sum, each) => sum + processCpuMs(each), 0);
}

/** Opens idle connections and measures the memory and CPU time they take. */
async function openIdle(server: ServerUnderTest, count: number, common: Common): Promise<Idle> {
  const { pid } = server.process;
  const [beforeKib, beforeMs] = [await settledKib(pid), treeCpuMs(pid)];
  const connections = await IdleConnections.open(server.port, count, HOLD_TIMEOUT_MS, onGenerator(common));
  const memoryKib = (await settledKib(pid)) - beforeKib;
  return { connections, memoryKib, cpuMs: treeCpuMs(pid) - beforeMs };
}

function idleMetrics({ connections: { held }, memoryKib, cpuMs }: Idle): Run['metrics'] {
  if (held === 0) return {};
  const cpu = Number.isFinite(cpuMs) ? { cpuPerConnectionUs: (cpuMs * 1000) / held } : {};
  return { memoryPerConnectionKib: memoryKib / held, ...cpu };
}

/** After a load whose connections are closed: what these left, and what connections that are held take. */
async function holdAfter(
  server: ServerUnderTest,
  count: number,
  common: Common,
  load: LoadResult,
  beforeKib: number,
) {
  const kept = (await settledKib(server.process.pid)) - beforeKib;
  const idle = await openIdle(server, count, common);
  await idle.connections.release();
  const ofClosed = load.opened === 0 ? {} : { memoryPerClosedKib: kept / load.opened };
  return { idle, metrics: { ...ofClosed, ...idleMetrics(idle) } };
}

function metricsOf(load: LoadResult, seen: Seen, idle: Idle | null): Run['metrics'] {
  const metrics: Run['metrics'] = {
    threadsMax: Math.max(seen.threadsMax, load.serverThreadsMax ?? 0),
  };
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

async function loadServer(
  planned: PlannedRun<Contestant>,
  common: Common,
  server: ServerUnderTest,
  run: Run,
) {
  const { idleConnections, heldAfter, company } = planned.point;
  const beforeKib = heldAfter === undefined ? 0 : await settledKib(server.process.pid);
  await using beside =
    company === undefined ? null : await startCompany(company, server.port, onGenerator(common));
  const idle = idleConnections > 0 ? await openIdle(server, idleConnections, common) : null;
  run.idleConnections = idle?.connections.held ?? null;
  const isKechoPool = planned.contestant.strategy !== null;
  const sampler = new Sampler(server, isKechoPool, timelineKind(planned));
  let seen: Seen;
  try {
    run.load = await generate(planned, common, server);
  } finally {
    seen = sampler.end();
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
    const server = await ServerUnderTest.start(contestant.label, { ...contestant, args }, onServer(common));
    try {
      samples = await loadServer(planned, common, server, run);
      const { ended, stderrSummary } = server.process;
      if (ended !== null) run.failure = `the server exited early: ${ended}${stderrSummary}`;
    } finally {
      // SIGKILL for kecho-pool: it has no connections left, and stopping hundreds of threads in order takes time.
      await server.process.stop(contestant.strategy !== null);
    }
  } catch (error) {
    run.failure = error instanceof Error ? error.message : String(error);
  }
  if (run.failure !== null) run.failure = withoutFolders(run.failure);
  return { run, samples };
}
