/**
 * `kecho-pool compare`: strategies and other echo servers under the same loads.
 *
 * Plans the runs, executes them one by one (run-plan.ts), analyses them and writes the report.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { basename } from 'node:path';
import { shown, UsageError } from '../../src/options/values.ts';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { descriptorLimit } from '../../src/sys/socket.ts';
import { Interruption } from '../child-process.ts';
import { pinning } from '../pinning.ts';
import { programName } from '../programs.ts';
import { busyBefore } from '../report/busy-machine.ts';
import { terminalReport } from '../report/terminal.ts';
import { analyse } from './analyse.ts';
import { besideBaseline, readResults } from './baseline.ts';
import type { CompareOptions } from './compare-options.ts';
import { gatherContestants } from './contestants.ts';
import { type Elsewhere, locateTargets, reachHost } from './elsewhere.ts';
import { Estimate, selfChecksMs } from './estimate.ts';
import { BESIDE_SERVER, type Experiment } from './experiments/kind.ts';
import { chooseExperiments } from './experiments.ts';
import { openCommon } from './method.ts';
import { writeOutput } from './output.ts';
import { LOOKS, planRuns, runsHandler, takesPart, WITHOUT_TIMELINES } from './plan.ts';
import { minutes, Progress, runsText } from './progress.ts';
import { compare, type Job } from './run-plan.ts';
import { tryServers, wantsTrials } from './trial.ts';
import type { Results } from './types.ts';

/** Descriptors of a server besides its connections: 64, plus 8 for each of up to 512 threads. */
const DESCRIPTOR_RESERVE = 64 + 8 * 512;
const EXIT_INTERRUPTED = 130;

function notesOn(
  options: CompareOptions,
  experiments: readonly Experiment[],
  idleMax: number,
  there: Elsewhere | null,
): string[] {
  const notes: string[] = [];
  if (there !== null && options.experiments === null)
    notes.push(`${BESIDE_SERVER.join(', ')}: only without --on; left out`);
  const idle = experiments.find(({ name }) => name === 'idle');
  if (idle !== undefined && idleMax < 10_000) {
    notes.push(`idle: the descriptor limit allows ${idleMax} connections, not 10,000`);
  }
  const others = options.peers || options.targets.length > 0;
  const emulated = experiments
    .filter((experiment) => experiment.service !== null || runsHandler(experiment))
    .map(({ name }) => name);
  if (others && emulated.length > 0) {
    notes.push(`${emulated.join(', ')}: only kecho-pool has such handlers; other servers are left out`);
  }
  return notes;
}

function makeJob(options: CompareOptions, there: Elsewhere | null, far: readonly string[]): Job {
  const { environment } = there?.info ?? {};
  const descriptors = Math.min(descriptorLimit(), environment?.descriptorLimit ?? Number.POSITIVE_INFINITY);
  const idleMax = Math.max(1, descriptors - DESCRIPTOR_RESERVE);
  const handlerName = options.handler === undefined ? undefined : basename(options.handler);
  const services = options.services.length === 0 ? undefined : options.services;
  const repeat = options.until === undefined ? options.repeat : LOOKS[0];
  const pinned = options.pin ? pinning() : null;
  const cpus = pinned?.server.length ?? environment?.availableParallelism;
  const adjustments = { ...options, repeat, handlerName, services, cpus, idleMax };
  const experiments = chooseExperiments(options.experiments, adjustments).filter(
    ({ name }) => there === null || !BESIDE_SERVER.includes(name),
  );
  const contestants = gatherContestants(options, there?.host.address ?? LOOPBACK);
  const rounds = there === null ? undefined : WITHOUT_TIMELINES;
  return {
    options,
    experiments,
    contestants,
    plan: planRuns(experiments, contestants.list, options.seed, rounds),
    program: programName(),
    notes: [...far, ...notesOn(options, experiments, idleMax, there)],
    pinned,
    serverHost: there?.info,
  };
}

/** "9 s", with the self-checks. */
function durationText(runs: Job['plan'], estimate: Estimate): string {
  const points = new Set(runs.map(({ point }) => point));
  return minutes(estimate.totalMs(runs) + selfChecksMs(points));
}

/** "12 runs, about 9 s, seed 5". */
function sizeText({ plan, options }: Job, estimate: Estimate): string {
  return `${runsText(plan)}, about ${durationText(plan, estimate)}, seed ${options.seed}`;
}

function planText(job: Job, estimate: Estimate): string[] {
  const { experiments, contestants, plan } = job;
  const lines = experiments.flatMap((experiment) =>
    experiment.points.map((point) => {
      const runs = plan.filter((run) => run.point === point);
      const entrants = contestants.list.filter((contestant) => takesPart(experiment, contestant));
      const names = entrants.map(({ label }) => label).join(', ');
      return `${experiment.name}, ${point.title}: ${runsText(runs)}, ${durationText(runs, estimate)} (${names})`;
    }),
  );
  return [...lines, sizeText(job, estimate)];
}

function print(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

function createFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const why = `${shown(folder)} cannot be created (${(error as NodeJS.ErrnoException).code ?? 'failed'})`;
    throw new UsageError('--out', folder, 'a folder', why);
  }
}

function exitCode(results: Results): number {
  if (results.runs.some((run) => (run.load?.errors.wrongBytes ?? 0) > 0)) return 1;
  if (results.partial) return EXIT_INTERRUPTED;
  return results.runs.some((run) => run.load !== null) ? 0 : 1;
}

function publish(results: Results, folder: string): number {
  const files = writeOutput(results, folder);
  print(['', ...terminalReport(results), '', `written: ${files.join(', ')}`]);
  return exitCode(results);
}

function analyseAgain(file: string, folder: string): number {
  const earlier = readResults('--from', file);
  createFolder(folder);
  return publish({ ...earlier, ...analyse(earlier) }, folder);
}

/** Returns the exit code. */
export async function runCompare(given: CompareOptions): Promise<number> {
  if (given.from !== null) return analyseAgain(given.from, given.out);
  const before = given.baseline === null ? null : readResults('--baseline', given.baseline);
  using interruption = new Interruption();
  await using stack = new AsyncDisposableStack();
  const there = await reachHost(given);
  if (there !== null) stack.use(there.host);
  const running = await locateTargets(given.targets);
  const options = { ...given, targets: running.targets };
  const far = [...(there?.notes ?? []), ...running.notes];
  const job = makeJob(options, there, far);
  if (!options.planOnly) createFolder(options.out);
  print(far);
  if (options.planOnly && !wantsTrials(job)) {
    print(planText(job, new Estimate(new Map())));
    return 0;
  }
  const here = { loadAverage1Min: loadavg()[0] ?? 0, availableParallelism: availableParallelism() };
  const busy = busyBefore({ environment: here, serverHost: there?.info });
  if (busy !== null) print([busy]);
  const method = stack.use(await openCommon(options, job.pinned, there?.host ?? null));
  const { trials, notes } = await tryServers(job, method.common, interruption);
  const estimate = new Estimate(trials);
  print([...notes, ...(options.planOnly ? planText(job, estimate) : [sizeText(job, estimate)])]);
  if (options.planOnly) return interruption.isInterrupted ? EXIT_INTERRUPTED : 0;
  const results = await compare(job, method.common, interruption, new Progress(process.stderr, estimate));
  if (before !== null && options.baseline !== null) {
    results.baseline = besideBaseline(results, before, options.baseline);
  }
  return publish(results, options.out);
}
