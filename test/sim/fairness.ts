/**
 * How evenly CPU pools are served when their items sleep and there are fewer workers than items: answers per pool in
 * some virtual seconds, all connections asking again as soon as they are answered.
 */
import type { ServiceSpec, ServiceStep } from '../../src/memory/layout.ts';
import { Sessions } from './peers.ts';
import { FOREVER } from './scheduler.ts';
import { Sim } from './sim.ts';

export interface FairnessOptions {
  seed: number;
  cpus: number;
  workers: number;
  connections: number;
  sleepMs: number;
  virtualMs: number;
}

const START_MS = 10;

/** Answers per CPU pool. */
export function answersPerPool(options: FairnessOptions): number[] {
  const { seed, cpus, workers, connections, sleepMs, virtualMs } = options;
  // The burns are what receiving, sending and the hand-over take: workers that wake together get in each other's way.
  const burn: ServiceStep = { kind: 'burn', durationMs: 0.1 };
  const steps = [burn, { kind: 'sleep', durationMs: sleepMs } as const, burn];
  const service: ServiceSpec = { cpuIntensive: false, steps };
  const sim = new Sim({
    seed,
    cpus,
    fdLimit: connections + 3,
    firstWorkers: Math.min(cpus + 1, workers),
    maxWorkers: workers,
    maxActive: 1024,
    threshMs: 0,
    batch: 1,
    createMs: 2,
    createFails: 0,
    idleTimeoutMs: FOREVER,
    cores: { count: FOREVER, quantumMs: FOREVER },
    cutIn: 0.01,
    checked: true,
  });
  const { scheduler, main, worklists } = sim;
  const plan = { service, openMs: START_MS, requests: FOREVER, gapMs: 0, closedLoop: true };
  const plans = Array.from({ length: connections }, () => plan);
  const sessions = new Sessions(plans, scheduler, (fd) => worklists.arrived(fd));
  sim.connect(sessions, (fd, how) => sessions.closed(fd, how));
  for (const number of plans.keys()) {
    scheduler.at(START_MS, () => main.post(() => main.accept((fd) => sessions.opened(number, fd))));
  }
  scheduler.at(START_MS + virtualMs, () => scheduler.stop());
  sim.run();
  const answers = new Array<number>(cpus).fill(0);
  for (const session of sessions.all) {
    const pool = main.poolOf(session.fd);
    answers[pool] = (answers[pool] as number) + session.answers; // it is one of the pools
  }
  return answers;
}
