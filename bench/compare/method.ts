/**
 * How a comparison was measured, for its report: the self-check of the load generator, where the CPU times come from, how
 * long the servers were warmed up, whether processors were pinned.
 */
import { Cgroup } from '../cgroup.ts';
import type { Interruption } from '../child-process.ts';
import type { CpuSource } from '../load/result.ts';
import { startEcho } from '../load/start.ts';
import type { Pinning } from '../pinning.ts';
import { type CheckedLoad, selfCheck, selfCheckText } from '../self-check.ts';
import { median } from '../stats/summary.ts';
import { type Common, onGenerator } from './common.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Point } from './experiment-points.ts';
import type { Experiment } from './experiments/kind.ts';
import { LocalHost, type ServerHost } from './server-host.ts';
import type { PointCheck, Run } from './types.ts';

/** Opens what all runs share; `remote` is the host of the servers, unless it is this machine. */
export async function openCommon(
  { messageBytes, seed }: CompareOptions,
  pinned: Pinning | null,
  remote: ServerHost | null,
): Promise<AsyncDisposable & { common: Common }> {
  await using stack = new AsyncDisposableStack();
  const cgroup = remote === null ? stack.use(Cgroup.create()) : null;
  const cpus = pinned === null ? {} : { cpus: pinned.server };
  const host = remote ?? new LocalHost({ cgroup, ...cpus });
  const echo = stack.use(await startEcho(cpus));
  const owned = stack.move();
  return {
    common: { messageBytes, seed, echo, cgroup, host, pinned },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The load of a point, as its runs have it. */
export function checkedLoad(
  { mode, shape, rate, arrivals }: Experiment,
  point: Point,
  messageBytes: number,
): CheckedLoad {
  const { clients, requests } = point;
  return { mode, shape, rate: point.rate ?? rate, arrivals, clients, messageBytes, requests: requests ?? 1 };
}

/** One check for each point that has an answer of the reference, until it is interrupted. */
export async function checkGenerator(
  experiments: readonly Experiment[],
  runs: readonly Run[],
  reference: string,
  common: Common,
  interruption: Interruption,
): Promise<PointCheck[]> {
  const { messageBytes, echo } = common;
  const checks: PointCheck[] = [];
  for (const experiment of experiments) {
    const { name, points } = experiment;
    for (const point of points) {
      const { key } = point;
      const measured = runs.filter(
        (run) => run.experiment === name && run.point === key && run.label === reference,
      );
      const times = measured.flatMap(({ load }) =>
        load === null || load.response.count === 0 ? [] : [load.response.p50Ms],
      );
      if (times.length === 0) continue;
      const load = checkedLoad(experiment, point, messageBytes);
      const check = await selfCheck(load, median(times), echo, onGenerator(common));
      if (interruption.isInterrupted) return checks; // its generator was killed
      checks.push({ experiment: name, point: key, check });
    }
  }
  return checks;
}

export function selfCheckNotes(checks: readonly PointCheck[], experiments: readonly Experiment[]): string[] {
  const titleOf = ({ experiment, point }: PointCheck) =>
    experiments.find(({ name }) => name === experiment)?.points.find(({ key }) => key === point)?.title ??
    point;
  return checks.map((at) => `${at.experiment}, ${titleOf(at)}: ${selfCheckText(at.check)}`);
}

const SOURCES: Record<CpuSource, string> = {
  cgroup: 'CPU per request: of all processes of a server, by its control group',
  processes:
    'CPU per request: of the processes of a server that exist, and of the children that they waited for (no control group ' +
    'can be made)',
};

/** Where the CPU times come from, how warm the servers were, and which processors they used. */
export function methodNotes(runs: readonly Run[], pinned: Pinning | null, isHere = true): string[] {
  const loads = runs.flatMap(({ load }) => load ?? []);
  const sources = new Set(loads.flatMap(({ serverCpuFrom }) => serverCpuFrom ?? []));
  const settled = loads.flatMap(({ settledAfterMs }) =>
    settledAfterMs === undefined ? [] : [settledAfterMs],
  );
  return [
    ...[...sources].map((source) => SOURCES[source]),
    ...(settled.length === 0 ? [] : [settledNote(settled)]),
    ...(isHere ? [processorsNote(pinned)] : []),
  ];
}

function processorsNote(pinned: Pinning | null): string {
  return pinned === null
    ? 'generator and servers shared all processors (--pin separates them)'
    : `the generator ran on processor ${pinned.generator.join(',')}, the servers on ${pinned.server.join(',')}`;
}

function settledNote(settled: readonly (number | null)[]): string {
  const took = settled.filter((ms) => ms !== null);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const open = settled.length - took.length;
  if (took.length === 0) return 'the CPU per request had not settled in any run when its warm-up ended';
  return (
    `warm-ups were extended by ${seconds(Math.min(...took))} to ${seconds(Math.max(...took))} until the CPU per request had settled` +
    (open === 0 ? '' : `; in ${open} of ${settled.length} runs it had not at the bound`)
  );
}
