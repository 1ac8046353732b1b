/**
 * A short run of each kind of server before the comparison: how long it takes to start and end, and to run the operator's
 * handler, decides how long the comparison takes. Nothing of it is in the results.
 */
import type { Interruption } from '../child-process.ts';
import type { LoadResult } from '../load/schema.ts';
import type { Common } from './common.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Contestant } from './contestants.ts';
import { type Trial, trialKey, type Work } from './estimate.ts';
import { chooseExperiments } from './experiments.ts';
import { measure } from './measure.ts';
import type { Job } from './run-plan.ts';

/** A shorter comparison is over soon, and trials would take a good part of its time. */
const PLAN_MIN = 12;
/** The first one of a client is slower than the median of all. */
const REQUESTS = 3;
/** Under kthread, each of which starts a thread. */
const THREADS = 10;

/** A handler's CPU time and, in the rest of the response time, its sleep. */
function handlerWork({ response, serverCpuPerSampleUs = 0 }: LoadResult): Work {
  const burnMs = Math.min(response.p50Ms, serverCpuPerSampleUs / 1000);
  return { burnMs, sleepMs: response.p50Ms - burnMs };
}

/** The trial, or why it failed. */
async function tryServer(
  contestant: Contestant,
  options: CompareOptions,
  common: Common,
): Promise<Trial | string> {
  const clients = contestant.strategy === 'kthread' ? THREADS : 1;
  const load = { quick: true, clients: [clients], requests: REQUESTS, repeat: 1, idleMax: 1 };
  const [experiment] = chooseExperiments(['response'], load);
  const [point] = experiment?.points ?? [];
  if (experiment === undefined || point === undefined) throw new Error('no load for a trial');
  const beganMs = performance.now();
  const { run } = await measure({ experiment, point, contestant, round: 1 }, 0, common);
  if (run.load === null) return run.failure ?? 'no result';
  const { windowMs, response } = run.load;
  return {
    startMs: performance.now() - beganMs - windowMs,
    threadStartMs:
      contestant.strategy === 'kthread' ? Math.max(0, windowMs - REQUESTS * response.p50Ms) / clients : null,
    work: options.handler === undefined ? null : handlerWork(run.load),
  };
}

export function wantsTrials({ plan }: Pick<Job, 'plan'>): boolean {
  return plan.length >= PLAN_MIN;
}

/** The trials by trialKey(), and a note on each that failed. */
export async function tryServers(
  job: Job,
  common: Common,
  interruption: Interruption,
): Promise<{ trials: Map<string, Trial>; notes: string[] }> {
  const { contestants, options } = job;
  const trials = new Map<string, Trial>();
  const notes: string[] = [];
  const first = new Map(
    contestants.list.toReversed().map((contestant) => [trialKey(contestant), contestant]),
  );
  for (const [key, contestant] of wantsTrials(job) ? first : []) {
    if (interruption.isInterrupted) break;
    const trial = await tryServer(contestant, options, common);
    if (typeof trial === 'string') notes.push(`a trial run failed: ${trial}`);
    else trials.set(key, trial);
  }
  return { trials, notes };
}
