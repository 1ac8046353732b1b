/**
 * A short run of each kind of server before the comparison: how long it takes to start and end, and to run the operator's
 * handler, decides how long the comparison takes. Nothing of it is in the results.
 */
import type { Interruption } from '../child-process.ts';
import type { LoadResult } from '../load/schema.ts';
import type { CompareOptions } from './compare-options.ts';
import type { Contestant } from './contestants.ts';
import { type Trial, trialKey, type Work } from './estimate.ts';
import { chooseExperiments } from './experiments.ts';
import { measure } from './measure.ts';
import type { Job } from './run-plan.ts';

/** A shorter comparison is over soon, and trials would take a good part of its time. */
const PLAN_MIN = 12;
/** The first one is slower than the median of them. */
const REQUESTS = 3;

/** A handler's CPU time and, in the rest of the response time, its sleep. */
function handlerWork({ response, serverCpuPerSampleUs = 0 }: LoadResult): Work {
  const burnMs = Math.min(response.p50Ms, serverCpuPerSampleUs / 1000);
  return { burnMs, sleepMs: response.p50Ms - burnMs };
}

/** The trial, or why it failed. */
async function tryServer(contestant: Contestant, options: CompareOptions): Promise<Trial | string> {
  const load = { quick: true, clients: [1], requests: REQUESTS, repeat: 1, idleMax: 1 };
  const [experiment] = chooseExperiments(['response'], load);
  const [point] = experiment?.points ?? [];
  if (experiment === undefined || point === undefined) throw new Error('no load for a trial');
  const beganMs = performance.now();
  const { run } = await measure({ experiment, point, contestant, round: 1 }, 0, options);
  if (run.load === null) return run.failure ?? 'no result';
  const startMs = performance.now() - beganMs - run.load.windowMs;
  return { startMs, work: options.handler === undefined ? null : handlerWork(run.load) };
}

/** The trials by trialKey(), and a note on each that failed. */
export async function tryServers(
  { plan, contestants: { list, reference }, options }: Job,
  interruption: Interruption,
): Promise<{ trials: Map<string, Trial>; notes: string[] }> {
  const trials = new Map<string, Trial>();
  const notes: string[] = [];
  if (plan.length < PLAN_MIN) return { trials, notes };
  const representative = list.find(({ label }) => label === reference);
  const tried = list.filter((contestant) => trialKey(contestant) === contestant.label);
  for (const contestant of representative === undefined ? tried : [representative, ...tried]) {
    if (interruption.isInterrupted) break;
    const trial = await tryServer(contestant, options);
    if (typeof trial === 'string') notes.push(`a trial run failed: ${trial}`);
    else trials.set(trialKey(contestant), trial);
  }
  return { trials, notes };
}
