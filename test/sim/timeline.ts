/**
 * The timelines of the kernel's document (Documentation/core-api/workqueue.rst, "Example Execution Scenarios"):
 * w0 burns 5 ms, sleeps 10 ms and burns 5 ms; w1 and w2 burn 5 ms and sleep 10 ms; one CPU, FIFO.
 *
 * Each item is the only request of a connection; the three arrive in order at time 0. The seed decides the order of all
 * other simultaneous events.
 */
import { Cores, type CoresOptions } from '../../bench/sim/cores.ts';
import type { SimService } from '../../bench/sim/peers.ts';
import { Random } from '../../bench/sim/random.ts';
import { FOREVER, Scheduler, type Steps } from '../../bench/sim/scheduler.ts';
import { Sim } from '../../bench/sim/sim.ts';
import type { SimOptions, TraceEvent } from '../../bench/sim/world.ts';
import type { ServiceSpec } from '../../src/memory/layout.ts';
import { Ledger } from './ledger.ts';
import { type SessionPlan, Sessions } from './sessions.ts';

/** When an item starts, sleeps, wakes and finishes, in ms. */
export type Times = Record<TraceEvent, number>;

const BURN = { kind: 'burn', durationMs: 5 } as const;
const SLEEP = { kind: 'sleep', durationMs: 10 } as const;
export const ONE_CORE: CoresOptions = { count: 1, quantumMs: FOREVER };

/** w0, w1 and w2; the last two CPU-intensive or not. */
export function documentItems(cpuIntensive = false): ServiceSpec[] {
  const short: ServiceSpec = { cpuIntensive, steps: [BURN, SLEEP] };
  return [{ cpuIntensive: false, steps: [BURN, SLEEP, BURN] }, short, short];
}

function noTimes(): Times {
  return { starts: Number.NaN, sleeps: Number.NaN, wakes: Number.NaN, finishes: Number.NaN };
}

/** The original workqueue: one worker, one item after another. */
export function workqueueTimeline(items: readonly ServiceSpec[]): Times[] {
  const scheduler = new Scheduler({
    random: new Random(1),
    cores: (timers) => new Cores(ONE_CORE, timers),
    cutIn: 0,
  });
  const times = items.map(noTimes);
  function* worker(): Steps {
    for (const [i, { steps }] of items.entries()) {
      const note = (event: TraceEvent) => {
        (times[i] as Times)[event] = scheduler.nowMs; // one entry per item
      };
      note('starts');
      for (const { kind, durationMs } of steps) {
        if (kind === 'burn') yield { kind: 'burn', ms: durationMs };
        else {
          note('sleeps');
          yield { kind: 'wait', on: null, timeoutMs: durationMs };
          note('wakes');
        }
      }
      note('finishes');
    }
  }
  scheduler.spawn('worker', worker(), () => {});
  scheduler.run();
  return times;
}

export interface CmwqTimelineOptions
  extends Partial<
    Pick<
      SimOptions,
      'maxWorkers' | 'maxActive' | 'createMs' | 'cores' | 'cutIn' | 'canObserve' | 'lookLateMs'
    >
  > {
  seed: number;
  items: readonly SimService[];
}

/** The items arrive this long after the start, when the connections are open. */
const ZERO_MS = 100;

/** cmwq with one CPU pool on the simulated server. Creating a thread takes no time unless `createMs` is given. */
export async function cmwqTimeline({ items, ...options }: CmwqTimelineOptions): Promise<Times[]> {
  const defaults = { maxWorkers: 8, createMs: 0, cores: ONE_CORE, cutIn: 0.05 };
  const sim = new Sim({ ...defaults, ...options, cpus: 1, fdLimit: items.length + 16 });
  const { scheduler } = sim;
  const ledger = new Ledger(sim);
  const plans = items.map(
    (service): SessionPlan => ({ service, openMs: 0, requests: 1, gapMs: 200, closedLoop: true }),
  );
  const sessions = new Sessions(plans, sim, true);
  const times = items.map(noTimes);
  await sim.start();
  const zeroMs = scheduler.nowMs + ZERO_MS;
  sim.trace = (fd, event) => {
    (times[sessions.at(fd).number] as Times)[event] = scheduler.nowMs - zeroMs; // one per session
  };
  for (const { number } of sessions.all) sessions.openAfter(0, number);
  scheduler.at(zeroMs, () => sessions.arriveTogether());
  sim.run();
  ledger.checkEnd();
  return times;
}
