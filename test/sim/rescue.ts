/**
 * How long requests wait for the rescuer when a worker sleeps in each CPU pool, one is left for all of them, no more may
 * be created, and every pool has a silent connection, or busy ones: one request in each pool, a second apart.
 */
import { FOREVER } from '../../bench/sim/scheduler.ts';
import { BATCH, Sim } from '../../bench/sim/sim.ts';
import type { ServiceSpec } from '../../src/memory/layout.ts';
import { type SessionPlan, Sessions } from './sessions.ts';

const END_MS = 60_000;

/** Of a CPU pool; their items compute for 1 ms. */
export const BUSY = 16;

/** Milliseconds from each request until its item starts. */
export async function rescueDelays(seed: number, cpus: number, areBusy: boolean): Promise<number[]> {
  const asleep: ServiceSpec = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: END_MS }] };
  const echo: ServiceSpec = { cpuIntensive: false, steps: [] };
  const computes: SessionPlan = {
    service: { cpuIntensive: false, steps: [{ kind: 'burn', durationMs: 1 }] },
    requests: FOREVER,
    openMs: 0,
    gapMs: 0,
    closedLoop: true,
  };
  const plan = (service: ServiceSpec, requests: number, openMs: number): SessionPlan => {
    return { service, requests, openMs, gapMs: END_MS, closedLoop: true };
  };
  const plans = [
    ...Array.from({ length: areBusy ? BUSY * cpus : cpus }, () => (areBusy ? computes : plan(echo, 0, 0))),
    ...Array.from({ length: cpus }, (_, i) => plan(asleep, 1, 10 + i)), // one in each pool
    ...Array.from({ length: cpus }, (_, i) => plan(echo, 1, 1000 * (i + 1))),
  ];
  const sim = new Sim({ seed, cpus, fdLimit: plans.length + 3, maxWorkers: cpus + 1, batch: BATCH });
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
