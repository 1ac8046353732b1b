/**
 * Runs a comparison from its plan to its results.
 *
 * At the first SIGINT, SIGTERM or SIGHUP the current run is killed and not counted; the results so far are marked
 * partial.
 */
import { basename } from 'node:path';
import type { Interruption } from '../child-process.ts';
import { environment } from '../environment.ts';
import type { Pinning } from '../pinning.ts';
import { withoutFolders } from '../programs.ts';
import { analyse, impreciseAt } from './analyse.ts';
import type { Common } from './common.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Contestant, Contestants } from './contestants.ts';
import type { Experiment } from './experiments/kind.ts';
import { Measurements } from './measurements.ts';
import { checkGenerator, methodNotes, selfCheckNotes } from './method.ts';
import { experimentArgs, LOOKS, type PlannedRun, planRuns, roundsAfter, workersAt } from './plan.ts';
import type { Progress } from './progress.ts';
import {
  type ContestantInfo,
  type ExperimentInfo,
  type Results,
  type Rule,
  SCHEMA_VERSION,
  type ServerHostInfo,
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
    points: points.map((point) => {
      const { key, clients, requests, title: words } = point;
      const workers = workersAt(experiment, point);
      return { key, clients, requests, title: words, ...(workers === null ? {} : { workers }) };
    }),
    args: experimentArgs(experiment).map(withoutFolders),
  };
}

function optionsInfo(options: CompareOptions): Results['options'] {
  return {
    quick: options.quick,
    messageBytes: options.messageBytes,
    strategies: options.strategies,
    serverArgs: options.serverArgs.map(withoutFolders),
    variants: options.variants.map(({ name, args }) => withoutFolders(`${name}=${args.join(' ')}`)),
    services: options.services,
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
    timeLimitMs: options.until === undefined ? null : options.timeLimitMs,
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
  /** The other host of the servers. */
  serverHost: ServerHostInfo | undefined;
}

/** What the analysis needs besides the runs. */
function analysed({ contestants, experiments, options }: Job) {
  return {
    reference: contestants.reference,
    contestants: contestants.list.map(contestantInfo),
    experiments: experiments.map(experimentInfo),
    rule: ruleOf(options),
  };
}

function ruleOf({ margin, until }: CompareOptions): Rule {
  return { margin, looks: until === undefined ? 1 : LOOKS.length, until: until ?? null };
}

/** More rounds at the points whose ratios are not yet known to within `until`, while there is time for them. */
async function addRounds(
  job: Job,
  until: number,
  interruption: Interruption,
  progress: Progress,
  measured: Measurements,
) {
  const { experiments, contestants, options } = job;
  for (const look of LOOKS) {
    const imprecise = impreciseAt(analyse({ ...analysed(job), runs: measured.runs }).verdicts, until);
    const open = experiments.flatMap(({ name, points }) =>
      points.filter(({ key }) => imprecise.has(`${name}/${key}`)),
    );
    const rounds = roundsAfter(look, (point) => open.includes(point));
    if (rounds === null || open.length === 0 || interruption.isInterrupted) return;
    const plan = planRuns(experiments, contestants.list, options.seed, rounds);
    if (measured.elapsedMs + progress.estimate.totalMs(plan) > options.timeLimitMs) return;
    await measured.add(plan);
  }
}

/** Executes the plan and analyses the runs. */
export async function compare(
  job: Job,
  common: Common,
  interruption: Interruption,
  progress: Progress,
): Promise<Results> {
  const { options, contestants, experiments, pinned } = job;
  const env = environment();
  const measured = new Measurements(common, interruption, progress);
  await measured.add(job.plan);
  if (options.until !== undefined) await addRounds(job, options.until, interruption, progress, measured);
  progress.clear();
  const { runs, timelines, disturbed, plannedRuns } = measured;
  const { reference } = contestants;
  const partial = interruption.isInterrupted;
  const selfChecks = partial ? [] : await checkGenerator(experiments, runs, reference, common, interruption);
  const input = { ...analysed(job), runs };
  return {
    schemaVersion: SCHEMA_VERSION,
    program: job.program,
    partial,
    plannedRuns,
    seed: options.seed,
    options: optionsInfo(options),
    environment: env,
    ...(job.serverHost === undefined ? {} : { serverHost: job.serverHost }),
    pinned,
    ...input,
    timelines,
    disturbed,
    selfChecks,
    ...analyse(input),
    baseline: null,
    notes: [
      ...contestants.notes,
      ...job.notes,
      ...measured.notes,
      ...methodNotes(runs, pinned, job.serverHost === undefined),
      ...selfCheckNotes(selfChecks, experiments),
      ...(interruption.isInterrupted && !partial
        ? ['the self-checks of the generator were interrupted']
        : []),
    ].map(withoutFolders),
  };
}
