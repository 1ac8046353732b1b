/**
 * One run: a fresh server, a fresh load generator, one result. A failure is in the result, never thrown.
 *
 * Both are new processes every time, so that no run inherits compiled code, memory or connections.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { BLOCK_DEBUG_SIGNAL } from '../../src/sys/signals.ts';
import { ManagedProcess } from '../child-process.ts';
import type { LoadResult } from '../load/schema.ts';
import { processTree, treeResidentKib } from '../process-figures.ts';
import { type Contestant, EXTENSION, withoutFolders } from './contestants.ts';
import type { PlannedRun } from './plan.ts';
import { TestServer } from './server.ts';
import type { Run, TimelineSample } from './types.ts';
import { Watch, type Watched } from './watch.ts';

const GENERATOR = join(import.meta.dirname, `../load/main${EXTENSION}`);
const HOLDER = join(import.meta.dirname, `idle-holder${EXTENSION}`);
/** The generator bounds itself; this is for one that hangs all the same. */
const GENERATOR_MARGIN_MS = 15_000;
/** 10,000 connections take a second or two, unless the server is too busy with starting threads to accept. */
const HOLD_TIMEOUT_MS = 6_000;
/** A hundred starts of a thread take three seconds. */
const SETTLE_TIMEOUT_MS = 6_000;
const SETTLE_LOOK_MS = 50;
const SETTLE_LOOKS = 3;

export interface Measured {
  run: Run;
  samples: TimelineSample[];
}

/** What the load needs to know beside the plan. */
export interface LoadSettings {
  messageBytes: number;
  generator?: string;
}

function generatorArgs(
  { experiment, point }: PlannedRun,
  settings: LoadSettings,
  port: number,
  pids: readonly number[],
): string[] {
  const flags: [string, string | number][] = [
    ['mode', experiment.mode],
    ['address', '127.0.0.1'],
    ['port', port],
    ['clients', point.clients],
    ['bytes', settings.messageBytes],
    ['timeout-ms', experiment.timeoutMs],
    ['warmup-ms', experiment.warmupMs],
    ['watch-pid', pids.join(',')],
    ['duration-ms', experiment.durationMs],
  ];
  if (point.requests !== null) flags.push(['requests', point.requests]);
  return flags.flatMap(([name, value]) => [`--${name}`, String(value)]);
}

async function generate(
  planned: PlannedRun,
  settings: LoadSettings,
  server: TestServer,
): Promise<LoadResult> {
  const { experiment, point } = planned;
  const budgetMs =
    experiment.warmupMs +
    experiment.durationMs +
    experiment.timeoutMs * (2 + (experiment.mode === 'burst' ? (point.requests ?? 1) : 0)) +
    GENERATOR_MARGIN_MS;
  const lines: string[] = [];
  const args = [
    BLOCK_DEBUG_SIGNAL,
    settings.generator ?? GENERATOR,
    ...generatorArgs(planned, settings, server.port, processTree(server.process.pid)),
  ];
  const generator = new ManagedProcess('load generator', process.execPath, args, (line) => lines.push(line));
  try {
    await generator.finished(budgetMs);
  } finally {
    await generator.stop(true);
  }
  const last = lines.findLast((line) => line.startsWith('{'));
  if (last === undefined) throw new Error(`load generator: ${generator.ended ?? ''}${generator.lastWords}`);
  return JSON.parse(last) as LoadResult;
}

interface Held {
  connections: number;
  memoryKib: number;
  /** Ends them; resolves with the number of wrong bytes that came back. */
  release: () => Promise<number>;
}

/** Resident memory once it has stopped growing: the server accepts after the kernel has connected. */
async function settledKib(pid: number): Promise<number> {
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  let last = -1;
  for (let same = 0; ; await pause(SETTLE_LOOK_MS)) {
    const now = treeResidentKib(processTree(pid));
    same = now === last ? same + 1 : 0;
    if (same >= SETTLE_LOOKS || performance.now() > deadlineMs) return now;
    last = now;
  }
}

/** Opens connections that stay idle, and sees what they cost. */
async function hold(server: TestServer, count: number): Promise<Held> {
  const before = await settledKib(server.process.pid);
  const opened = Promise.withResolvers<number>();
  let wrong = 0;
  const args = [BLOCK_DEBUG_SIGNAL, HOLDER, String(server.port), String(count)];
  const holder = new ManagedProcess('holder of idle connections', process.execPath, args, (line) => {
    const said = JSON.parse(line) as { held?: number; wrong?: number };
    if (said.held !== undefined) opened.resolve(said.held);
    wrong += said.wrong ?? 0;
  });
  try {
    const connections = await holder.unlessItEnds(opened.promise, 'connected', HOLD_TIMEOUT_MS);
    const memoryKib = (await settledKib(server.process.pid)) - before;
    return {
      connections,
      memoryKib,
      release: async () => {
        await holder.stop(false);
        return wrong;
      },
    };
  } catch (error) {
    await holder.stop(true);
    throw error;
  }
}

function metricsOf(load: LoadResult, watched: Watched, held: Held | null): Run['metrics'] {
  const metrics: Run['metrics'] = {
    threadsMax: Math.max(watched.threadsMax, load.serverThreadsMax ?? 0),
  };
  if (load.completed > 0 && load.response.count > 0) {
    metrics.averageMs = load.response.averageMs;
    metrics.worstMs = load.response.worstMs;
    metrics.p99Ms = load.response.p99Ms;
    metrics.perSecond = load.perSecond;
  }
  if (load.serverCpuPerSampleUs !== undefined) metrics.cpuPerRequestUs = load.serverCpuPerSampleUs;
  if (held !== null && held.connections > 0) {
    metrics.memoryPerConnectionKib = held.memoryKib / held.connections;
  }
  return metrics;
}

function timelineKind({ round, experiment }: PlannedRun): 'none' | 'burst' | 'steady' {
  if (round > 0) return 'none';
  return experiment.mode === 'burst' ? 'burst' : 'steady';
}

async function underTest(planned: PlannedRun, settings: LoadSettings, server: TestServer, run: Run) {
  const { idleConnections } = planned.point;
  const held = idleConnections > 0 ? await hold(server, idleConnections) : null;
  run.idleConnections = held?.connections ?? null;
  let wrongOfIdle = 0;
  const watch = new Watch(server, timelineKind(planned));
  let watched: Watched;
  try {
    run.load = await generate(planned, settings, server);
  } finally {
    watched = watch.end();
    wrongOfIdle = (await held?.release()) ?? 0;
  }
  run.load.errors.wrongBytes += wrongOfIdle;
  run.metrics = metricsOf(run.load, watched, held);
  run.errorTotal = run.load.errorTotal + wrongOfIdle;
  return watched.samples;
}

/** Does one planned run. */
export async function measure(
  planned: PlannedRun<Contestant>,
  order: number,
  settings: LoadSettings,
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
    const server = await TestServer.start(contestant, experiment.service);
    try {
      samples = await underTest(planned, settings, server, run);
      const { ended, lastWords } = server.process;
      if (ended !== null) run.failure = `the server ended by itself: ${ended}${lastWords}`;
    } finally {
      await server.stop();
    }
  } catch (error) {
    run.failure = error instanceof Error ? error.message : String(error);
  }
  if (run.failure !== null) run.failure = withoutFolders(run.failure);
  return { run, samples };
}
