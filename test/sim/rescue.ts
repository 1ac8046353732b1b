/**
 * How long requests wait for the rescuer when a worker sleeps in each CPU pool, one is left for all of them, no more may
 * be created, and every pool has a silent connection: one request in each pool, a second apart.
 */
import { Sim } from '../../bench/sim/sim.ts';
import type { ServiceSpec } from '../../src/memory/layout.ts';
import { type SessionPlan, Sessions } from './sessions.ts';

const END_MS = 60_000;

/** Milliseconds from each request until its item starts. */
export async function rescueDelays(seed: number, cpus: number): Promise<number[]> {
  const asleep: ServiceSpec = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: END_MS }] };
  const echo: ServiceSpec = { cpuIntensive: false, steps: [] };
  const plan = (service: ServiceSpec, requests: number, openMs: number): SessionPlan => {
    return { service, requests, openMs, gapMs: END_MS, closedLoop: true };
  };
  const plans = [
    ...Array.from({ length: cpus }, () => plan(echo, 0, 0)),
    ...Array.from({ length: cpus }, (_, i) => plan(asleep, 1, 10 + i)), // one in each pool
    ...Array.from({ length: cpus }, (_, i) => plan(echo, 1, 1000 * (i + 1))),
  ];
  const sim = new Sim({ seed, cpus, fdLimit: plans.length + 3, maxWorkers: cpus + 1 });
  const sessions = new Sessions(plans, sim);
  await sim.start();
  const startMs = sim.scheduler.nowMs;
  const delaysMs: number[] = [];
  sim.trace = (fd, event) => {
    const { openMs } = sessions.at(fd).plan;
    if (event === 'starts' && openMs >= 1000) delaysMs.push(sim.scheduler.nowMs - startMs - openMs);
  };
  for (const { number, plan } of sessions.all) sessions.openAfter(plan.openMs, number);
  sim.scheduler.after(1000 * (cpus + 2), () => sim.scheduler.stop());
  sim.run();
  return delaysMs;
}
