/**
 * `kecho-pool compare`: strategies, and other echo servers, under the same loads on this machine.
 *
 *     node bench/compare-command.ts [options]      the same, from source
 *
 * Plans the runs, does them one by one (compare/driver.ts), analyses them and writes the report. Its exit codes
 * are in the usage text.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { descriptorLimit } from '../src/sys/socket.ts';
import { compareWithBaseline, readBaseline } from './compare/baseline.ts';
import { type CompareOptions, compareOptions, USAGE } from './compare/compare-options.ts';
import { gatherContestants, ROOT } from './compare/contestants.ts';
import { chooseExperiments, type Experiment } from './compare/experiments.ts';
import { writeOutput } from './compare/output.ts';
import { expectedMs, planRuns, takesPart } from './compare/plan.ts';
import { minutes, Progress } from './compare/progress.ts';
import { compare, Interruption, type Job } from './compare/run-comparison.ts';
import type { Results } from './compare/types.ts';
import { runCommand, UsageError } from './flags.ts';
import { terminalReport } from './report/terminal.ts';

/** Descriptors that a server needs beside its connections: 64, and 8 for each of up to 512 threads. */
const DESCRIPTOR_RESERVE = 64 + 8 * 512;
const EXIT_INTERRUPTED = 130;

function programName(): string {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  return `${name} ${version}`;
}

function notesOn(options: CompareOptions, experiments: readonly Experiment[], idleMax: number): string[] {
  const notes: string[] = [];
  const idle = experiments.find(({ name }) => name === 'idle');
  if (idle !== undefined && idleMax < 10_000) {
    notes.push(`idle: the descriptor limit allows ${idleMax} connections, not 10,000`);
  }
  const others = options.peers || options.targets.length > 0;
  const emulated = experiments.filter(({ service }) => service !== null).map(({ name }) => name);
  if (others && emulated.length > 0) {
    notes.push(
      `${emulated.join(', ')}: only kecho-pool can emulate such handlers, the others do not take part`,
    );
  }
  return notes;
}

function makeJob(options: CompareOptions): Job {
  const idleMax = Math.max(1, descriptorLimit() - DESCRIPTOR_RESERVE);
  const experiments = chooseExperiments(options.experiments, { ...options, idleMax });
  const contestants = gatherContestants(options);
  return {
    options,
    experiments,
    contestants,
    plan: planRuns(experiments, contestants.list, options.seed),
    program: programName(),
    notes: notesOn(options, experiments, idleMax),
  };
}

function planText({ experiments, contestants, plan, options }: Job): string[] {
  const lines = experiments.flatMap((experiment) =>
    experiment.points.map((point) => {
      const runs = plan.filter((run) => run.point === point);
      const timeMs = runs.reduce((sum, run) => sum + expectedMs(run), 0);
      const entrants = contestants.list.filter((contestant) => takesPart(experiment, contestant));
      const names = entrants.map(({ label }) => label).join(', ');
      return `${experiment.name}, ${point.title}: ${runs.length} runs, ${minutes(timeMs)} (${names})`;
    }),
  );
  const totalMs = plan.reduce((sum, run) => sum + expectedMs(run), 0);
  return [...lines, `${plan.length} runs, about ${minutes(totalMs)}, seed ${options.seed}`];
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

function createFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new UsageError(
      `--out: cannot create ${folder} (${(error as NodeJS.ErrnoException).code ?? 'failed'})`,
    );
  }
}

function exitCode(results: Results): number {
  if (results.runs.some((run) => (run.load?.errors.wrongBytes ?? 0) > 0)) return 1;
  if (results.partial) return EXIT_INTERRUPTED;
  return results.runs.some((run) => run.load !== null) ? 0 : 1;
}

async function run(options: CompareOptions): Promise<number> {
  const before = options.baseline === null ? null : readBaseline(options.baseline);
  const job = makeJob(options);
  if (options.planOnly) {
    print(planText(job));
    return 0;
  }
  createFolder(options.out);
  const totalMs = job.plan.reduce((sum, planned) => sum + expectedMs(planned), 0);
  print([`${job.plan.length} runs, about ${minutes(totalMs)}, seed ${options.seed}`]);
  using interruption = new Interruption();
  const results = await compare(job, interruption, new Progress(process.stderr, job.plan.length, totalMs));
  if (before !== null && options.baseline !== null) {
    results.baseline = compareWithBaseline(results, before, options.baseline);
  }
  const files = writeOutput(results, options.out);
  print(['', ...terminalReport(results), '', `written: ${files.join(', ')}`]);
  return exitCode(results);
}

/** The whole command; returns its exit code. Complaints are one line on standard error. */
export function compareMain(argv: readonly string[]): Promise<number> {
  return runCommand('kecho-pool compare', USAGE, argv, () => run(compareOptions(argv)));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await compareMain(process.argv.slice(2));
}
