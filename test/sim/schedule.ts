/**
 * Random schedules: a server of some size, connections with services of burn and sleep steps, and perhaps
 * deaths, all from one seed.
 */
import { COMPLETED, type ServiceSpec, type ServiceStep, STARTED } from '../../src/memory/layout.ts';
import { type SessionPlan, Sessions } from './peers.ts';
import { Random } from './random.ts';
import { BATCH, Sim, type SimOptions } from './sim.ts';

/** What a schedule came to, to show that the schedules are not all idle. */
export interface Outcome {
  items: number;
  cpuIntensive: number;
  maydays: number;
  deaths: number;
  lost: number;
}

export interface ScheduleOptions {
  seed: number;
  /** Threads to kill, at most. */
  deaths: number;
}

function randomOptions(random: Random, seed: number): SimOptions {
  const cpus = random.pick([1, 1, 1, 2, 2, 3, 4]);
  const maxWorkers = random.between(1, 8);
  return {
    seed,
    cpus,
    fdLimit: 40,
    firstWorkers: random.between(1, Math.min(maxWorkers, cpus + 2)),
    maxWorkers,
    maxActive: random.pick([1, 2, 2, 3, 1024]),
    threshMs: random.pick([0, 0, 2, 4, 10]),
    batch: random.pick([BATCH, BATCH, 2, 1]),
    createMs: random.between(0, 4),
    createFails: random.pick([0, 0, 0, 0.3]),
    idleTimeoutMs: random.pick([4, 20, Number.POSITIVE_INFINITY]),
    cores: {
      count: random.pick([1, 2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
      quantumMs: random.pick([1, Number.POSITIVE_INFINITY]),
    },
    cutIn: random.pick([0.01, 0.03, 0.1, 0.3]),
    checked: true,
  };
}

function randomService(random: Random): ServiceSpec {
  const steps: ServiceStep[] = [];
  const count = random.between(0, 4);
  for (let i = 0; i < count; i++) {
    const kind = random.chance(0.5) ? 'burn' : 'sleep';
    // Mostly short, so that many things happen at one moment; some that the watchdog takes out.
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

/** Runs one schedule and checks its end. Throws when a rule is broken. */
export function runSchedule({ seed, deaths }: ScheduleOptions): Outcome {
  const random = new Random(seed);
  const sim = new Sim(randomOptions(random, seed));
  const plans = randomSessions(random);
  const { scheduler, main, worklists } = sim;
  const sessions = new Sessions(plans, scheduler, (fd) => worklists.arrived(fd));
  sim.connect(sessions, (fd, how) => {
    sessions.closed(fd, how);
    if (!sessions.open) main.kworkers.stop();
  });
  for (const [number, plan] of plans.entries()) {
    scheduler.at(plan.openMs, () => main.post(() => main.accept((fd) => sessions.opened(number, fd))));
  }
  for (let i = random.between(0, deaths); i > 0; i--) {
    scheduler.at(random.between(0, 60), () => sim.killSomebody());
  }
  sim.run();
  checkEnd(sim, sessions);
  const { cpuIntensive, lost, kworkers } = main;
  return { items: sim.total(STARTED), cpuIntensive, maydays: kworkers.maydays, deaths: sim.died, lost };
}

function checkEnd(sim: Sim, sessions: Sessions): void {
  for (const { number, plan, answers, closed } of sessions.all) {
    if (closed === null) throw new Error(`session ${number} never ended`);
    if (closed === 'eof' && answers !== plan.requests) {
      throw new Error(`session ${number} ended with ${answers} of ${plan.requests} answers`);
    }
  }
  sim.ledger?.checkEnd();
  if (sim.main.lost > sim.died) throw new Error(`${sim.main.lost} connections lost by ${sim.died} deaths`);
  if (sim.died === 0 && sim.total(STARTED) !== sim.total(COMPLETED)) throw new Error('an item has not ended');
}
