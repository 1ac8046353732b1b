/**
 * The load of a run, from a fresh load generator, and the CPU time that it costs the server.
 *
 * Main thread; only waits. The generator watches the processes of a server on this machine itself. Elsewhere the CPU time
 * is read when the window opens and when it ends, as it says; a burst, which is too short for that, lies between two
 * readings.
 */
import { isFar } from '../load/command/locate.ts';
import { CpuReadings } from '../load/command/server-cpu.ts';
import { type Live, liveOf } from '../load/live.ts';
import { SEED_MAX } from '../load/load-options.ts';
import type { LoadResult } from '../load/schema.ts';
import { type LoadFlags, startLoad } from '../load/start.ts';
import { processTree } from '../process-figures.ts';
import { seedFor } from '../random.ts';
import { type Common, onGenerator } from './common.ts';
import type { PlannedRun } from './plan.ts';
import type { HostedServer } from './server-host.ts';

/** Added to the generator's own time limits, in case it hangs. */
const GENERATOR_MARGIN_MS = 15_000;

interface Load {
  flags: LoadFlags;
  budgetMs: number;
}

function watchFlags({ local }: HostedServer, { cgroup }: Common): LoadFlags {
  if (local === null) return { live: true };
  return {
    'watch-pid': processTree(local.process.pid).join(','),
    'watch-cgroup': cgroup?.isComplete ? cgroup.folder : '',
  };
}

function loadOf({ experiment, point, round }: PlannedRun, common: Common, server: HostedServer): Load {
  const { messageBytes, seed, echo } = common;
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
    address: server.at.address,
    port: server.at.port,
    remote: isFar(server.at.address),
    clients: point.clients,
    bytes: messageBytes,
    'timeout-ms': timeoutMs,
    'warmup-ms': warmupMs,
    'duration-ms': durationMs,
    ...watchFlags(server, common),
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
  return { flags, budgetMs };
}

async function cpuReading(server: HostedServer) {
  const { atMs, cpuMs } = await server.figures();
  return cpuMs === null ? null : { atMs, cpuMs };
}

/** With the CPU time of a server whose processes the generator does not see. */
async function withServerCpu(
  server: HostedServer,
  isBurst: boolean,
  load: (follow: (live: Live) => void) => Promise<LoadResult>,
): Promise<LoadResult> {
  const readings = new CpuReadings(() => cpuReading(server));
  const before = isBurst ? await cpuReading(server) : null;
  const result = await load((live) => readings.follow(live));
  const { completed, windowMs } = result;
  if (!isBurst) return { ...result, ...(await readings.figures(windowMs, completed)) };
  const after = await cpuReading(server);
  if (before === null || after === null) return result;
  const serverCpuMs = after.cpuMs - before.cpuMs;
  const each = completed > 0 ? { serverCpuPerSampleUs: (serverCpuMs * 1000) / completed } : {};
  return { ...result, serverCpuMs, ...each };
}

export async function generate(
  planned: PlannedRun,
  common: Common,
  server: HostedServer,
): Promise<LoadResult> {
  const { flags, budgetMs } = loadOf(planned, common, server);
  const load = async (follow?: (live: Live) => void) => {
    const onLine = (line: string) => {
      const live = liveOf(line);
      if (live !== null) follow?.(live);
    };
    await using generator = startLoad(flags, onGenerator(common), onLine);
    return await generator.result<LoadResult>(budgetMs);
  };
  return server.local !== null
    ? await load()
    : await withServerCpu(server, planned.experiment.mode === 'burst', load);
}
