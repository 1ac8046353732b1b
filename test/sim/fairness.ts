/**
 * How evenly CPU pools are served when items sleep and outnumber the workers: answers per pool in some virtual seconds,
 * with every connection sending its next request as soon as it is answered.
 */
import { FOREVER } from '../../bench/sim/scheduler.ts';
import { Sim } from '../../bench/sim/sim.ts';
import type { ServiceSpec, ServiceStep } from '../../src/memory/layout.ts';
import { Ledger } from './ledger.ts';
import { Sessions } from './sessions.ts';

export interface FairnessOptions {
  seed: number;
  cpus: number;
  workers: number;
  connections: number;
  sleepMs: number;
  virtualMs: number;
}

/** Answers per CPU pool. */
export async function answersPerPool(options: FairnessOptions): Promise<number[]> {
  const { seed, cpus, workers, connections, sleepMs, virtualMs } = options;
  // The burns stand for receiving, sending and the hand-over: workers that wake at the same time contend.
  const burn: ServiceStep = { kind: 'burn', durationMs: 0.1 };
  const steps = [burn, { kind: 'sleep', durationMs: sleepMs } as const, burn];
  const service: ServiceSpec = { cpuIntensive: false, steps };
  const sim = new Sim({ seed, cpus, fdLimit: connections + 3, maxWorkers: workers, cutIn: 0.01 });
  new Ledger(sim);
  const plan = { service, openMs: 0, requests: FOREVER, gapMs: 0, closedLoop: true };
  const sessions = new Sessions(new Array(connections).fill(plan), sim);
  await sim.start();
  for (const { number } of sessions.all) sessions.openAfter(0, number);
  sim.scheduler.after(virtualMs, () => sim.scheduler.stop());
  sim.run();
  const answers = new Array<number>(cpus).fill(0);
  for (const session of sessions.all) {
    const pool = sim.main.poolOf(session.fd);
    answers[pool] = (answers[pool] as number) + session.answers; // a pool of this server
  }
  return answers;
}
