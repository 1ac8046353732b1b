/**
 * Runs a comparison from its plan to its results, one run at a time.
 *
 * At the first SIGINT, SIGTERM or SIGHUP the current run is killed and not counted; the results so far are marked
 * partial.
 */
import { basename } from 'node:path';
import { Cgroup } from '../cgroup.ts';
import type { Interruption } from '../child-process.ts';
import { environment } from '../environment.ts';
import { startEcho } from '../load/start.ts';
import type { Pinning } from '../pinning.ts';
import { withoutFolders } from '../programs.ts';
import { analyse } from './analyse.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Contestant, Contestants } from './contestants.ts';
import type { Experiment } from './experiments.ts';
import { type Common, measure } from './measure.ts';
import { checkGenerator, methodNotes, selfCheckNotes } from './method.ts';
import { expectedMs, type PlannedRun, UNANSWERED_RUNS_MAX } from './plan.ts';
import type { Progress } from './progress.ts';
import {
  type ContestantInfo,
  type ExperimentInfo,
  type Results,
  type Run,
  SCHEMA_VERSION,
  type Timeline,
} from './types.ts';

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function contestantInfo({ label, kind, command, args }: Contestant): ContestantInfo {
  return { label, kind, command: [command, ...args].map(withoutFolders).map(shellWord).join(' ') };
}

/** What the results say of an experiment. */
export function experimentInfo(experiment: Experiment): ExperimentInfo {
  const { name, title, question, axis, ranked, charts, points } = experiment;
  return {
    name,
    title,
    question,
    axis,
    ranked,
    charts,
    points: points.map(({ key, clients, requests, title: words }) => ({
      key,
      clients,
      requests,
      title: words,
    })),
  };
}

function optionsInfo(options: CompareOptions): Results['options'] {
  return {
    quick: options.quick,
    messageBytes: options.messageBytes,
    strategies: options.strategies,
    serverArgs: options.serverArgs,
    handler: options.handler === undefined ? null : basename(options.handler),
    handlerHeapBytes: options.handlerHeapBytes ?? null,
    peers: options.peers,
    control: options.control,
    pin: options.pin,
    clients: options.clients?.map(String) ?? null,
    requests: options.requests ?? null,
    repeat: options.repeat ?? null,
    durationMs: options.durationMs ?? null,
    warmupMs: options.warmupMs ?? null,
    timeoutMs: options.timeoutMs ?? null,
  };
}

export interface Job {
  options: CompareOptions;
  experiments: readonly Experiment[];
  contestants: Contestants;
  plan: readonly PlannedRun<Contestant>[];
  program: string;
  notes: readonly string[];
  pinned: Pinning | null;
}

/** Counts consecutive runs without an answer, by contestant and point; after a few the contestant is skipped there. */
class Unanswered {
  private readonly counts = new Map<string, number>();
  readonly notes: string[] = [];

  private static key({ experiment, point, contestant }: PlannedRun): string {
    return JSON.stringify([experiment.name, point.key, contestant.label]);
  }

  isSkipped(planned: PlannedRun): boolean {
    return (this.counts.get(Unanswered.key(planned)) ?? 0) >= UNANSWERED_RUNS_MAX;
  }

  record(planned: PlannedRun, { load }: Run): void {
    const key = Unanswered.key(planned);
    if (load !== null && load.completed > 0) {
      this.counts.delete(key);
      return;
    }
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    if (count !== UNANSWERED_RUNS_MAX) return;
    const { experiment, point, contestant } = planned;
    const where = `${experiment.name}, ${point.title}: ${contestant.label}`;
    this.notes.push(`${where} answered no request in ${count} runs and was not run again`);
  }
}

async function runAll(job: Job, common: Common, interruption: Interruption, progress: Progress) {
  const runs: Run[] = [];
  const timelines: Timeline[] = [];
  const unanswered = new Unanswered();
  for (const [order, planned] of job.plan.entries()) {
    if (interruption.isInterrupted) break;
    if (unanswered.isSkipped(planned)) continue;
    progress.begin(planned, order);
    const { run, samples } = await measure(planned, order, common);
    if (interruption.isInterrupted) break;
    progress.end(expectedMs(planned));
    if (planned.round === 0) {
      timelines.push({ experiment: run.experiment, point: run.point, label: run.label, samples });
      continue;
    }
    runs.push(run);
    unanswered.record(planned, run);
  }
  return { runs, timelines, notes: unanswered.notes };
}

/** Executes the plan and analyses the runs. */
export async function compare(job: Job, interruption: Interruption, progress: Progress): Promise<Results> {
  const { options, contestants, experiments, pinned } = job;
  const env = environment();
  await using cgroup = Cgroup.create();
  await using echo = await startEcho(pinned === null ? {} : { cpus: pinned.server });
  const { messageBytes, seed } = options;
  const common = { messageBytes, seed, echo, cgroup, pinned };
  const { runs, timelines, notes } = await runAll(job, common, interruption, progress);
  progress.done();
  const { reference } = contestants;
  const selfChecks = interruption.isInterrupted
    ? []
    : await checkGenerator(experiments, runs, reference, common);
  const measured = {
    seed,
    reference,
    contestants: contestants.list.map(contestantInfo),
    experiments: experiments.map(experimentInfo),
    runs,
  };
  return {
    schemaVersion: SCHEMA_VERSION,
    program: job.program,
    partial: interruption.isInterrupted,
    plannedRuns: job.plan.filter(({ round }) => round > 0).length,
    options: optionsInfo(options),
    environment: env,
    pinned,
    ...measured,
    timelines,
    selfChecks,
    ...analyse(measured),
    baseline: null,
    notes: [
      ...contestants.notes,
      ...job.notes,
      ...notes,
      ...methodNotes(runs, pinned),
      ...selfCheckNotes(selfChecks, experiments),
    ].map(withoutFolders),
  };
}
