/**
 * Random schedules: a server of random size, connections with services of burns and sleeps, declared or not, and deaths
 * if wanted, all from one seed.
 */

import type { SimService } from '../../bench/sim/peers.ts';
import { Random } from '../../bench/sim/random.ts';
import { BATCH, Sim } from '../../bench/sim/sim.ts';
import type { SimOptions, Targets } from '../../bench/sim/world.ts';
import { Balance, type BalanceOptions, STAYS } from '../../src/memory/balance.ts';
import { COMPLETED, STARTED } from '../../src/memory/layout.ts';
import { Deaths } from './deaths.ts';
import { Ledger } from './ledger.ts';
import { type SessionPlan, Sessions } from './sessions.ts';

/** What happened in a schedule; shows that the schedules exercise everything. */
export interface Outcome {
  items: number;
  cpuIntensive: number;
  noticed: number;
  maydays: number;
  culled: number;
  hung: number;
  deaths: number;
  lost: number;
  /** Deaths of the monitor while it had seized a slot. */
  seized: number;
  moved: number;
}

export interface ScheduleOptions {
  seed: number;
  /** Maximum number of threads to kill. */
  deaths: number;
}

function randomOptions(random: Random, seed: number, mayKill: boolean): SimOptions {
  const cpus = random.pick([1, 1, 1, 2, 2, 3, 4]);
  return {
    seed,
    cpus,
    fdLimit: 40,
    maxWorkers: cpus + random.between(1, 6),
    maxActive: random.pick([1, 2, 2, 3, 1024]),
    canObserve: random.chance(0.8),
    lookLateMs: random.pick([0, 0, 1, 5, 20]),
    threshMs: random.pick([0, 0, 2, 4, 10]),
    batch: random.pick([BATCH, BATCH, 2, 1]),
    hangTimeoutMs: random.pick([0, 0, 15]),
    hangKill: mayKill,
    createMs: random.between(0, 4),
    createFails: random.pick([0, 0, 0, 0.3]),
    idleTimeoutMs: random.pick([4, 20, Number.POSITIVE_INFINITY]),
    cores: {
      count: random.pick([1, 2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
      quantumMs: random.pick([1, Number.POSITIVE_INFINITY]),
    },
    cutIn: random.pick([0.01, 0.03, 0.1, 0.3]),
    makeBalance: random.pick([Balance.for, movesOften, movesOften]),
  };
}

/** Moves half of the connections whose items end last in their batch, to any CPU pool. */
function movesOften({ shared, id }: BalanceOptions): Targets {
  const random = new Random(id);
  return {
    target: () => (random.chance(0.5) ? random.below(shared.config.cpus) : STAYS),
    mayGive: () => true,
  };
}

function randomService(random: Random): SimService {
  const steps: SimService['steps'][number][] = [];
  const count = random.between(0, 4);
  for (let i = 0; i < count; i++) {
    const kind = random.pick(['burn', 'burn', 'sleep', 'undeclared'] as const);
    // Mostly short, so that many events share a time; some long enough for the monitor.
    steps.push({ kind, durationMs: random.chance(0.1) ? random.between(10, 40) : random.between(0, 4) });
  }
  return { cpuIntensive: random.chance(0.15), steps };
}

function randomSessions(random: Random): SessionPlan[] {
  const services = Array.from({ length: random.between(1, 4) }, () => randomService(random));
  const spreadMs = random.pick([0, 5, 30]);
  return Array.from({ length: random.between(1, 16) }, () => ({
    service: random.pick(services),
    openMs: random.between(0, spreadMs),
    requests: random.between(0, 4),
    gapMs: random.between(0, 3),
    closedLoop: random.chance(0.5),
  }));
}

/** Longer than any schedule takes. */
const END_MS = 600_000;

/** Runs one schedule and checks its end. Throws when a rule is broken. */
export async function runSchedule({ seed, deaths }: ScheduleOptions): Promise<Outcome> {
  const random = new Random(seed);
  const sim = new Sim(randomOptions(random, seed, deaths > 0));
  const ledger = new Ledger(sim);
  const killer = new Deaths(sim);
  const plans = randomSessions(random);
  const { scheduler, main } = sim;
  const sessions = new Sessions(plans, sim);
  await sim.start();
  for (const [number, { openMs }] of plans.entries()) sessions.openAfter(openMs, number);
  for (let i = random.between(0, deaths); i > 0; i--) {
    scheduler.after(random.between(0, 60), () => killer.killRandom());
  }
  const endless = () => {
    throw new Error(`the schedule has not ended after ${scheduler.nowMs} ms`);
  };
  scheduler.after(END_MS, endless, false);
  sim.run();
  checkEnd(sim, sessions);
  ledger.checkEnd();
  const { management, threads } = sim.cmwq.stats();
  const { cpuIntensive, noticed, hung, mayday, moved } = management;
  const { culled } = threads;
  return {
    items: sim.total(STARTED),
    cpuIntensive,
    noticed,
    maydays: mayday,
    culled,
    hung,
    deaths: sim.died,
    lost: main.lost,
    seized: ledger.diedSeizing,
    moved,
  };
}

function checkEnd(sim: Sim, sessions: Sessions): void {
  for (const { number, plan, answers, closed } of sessions.all) {
    if (closed === null) throw new Error(`session ${number} never ended`);
    if (closed === 'eof' && answers !== plan.requests) {
      throw new Error(`session ${number} ended with ${answers} of ${plan.requests} answers`);
    }
  }
  if (sim.main.lost > sim.died) throw new Error(`${sim.main.lost} connections lost by ${sim.died} deaths`);
  if (sim.died === 0 && sim.total(STARTED) !== sim.total(COMPLETED)) throw new Error('an item has not ended');
}
