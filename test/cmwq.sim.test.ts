/**
 * Goal: under any order of events, run slots keep their promises: one holder, no item on two workers at once, no
 * runnable item waiting while a worker could run it, max_active, order, every item ends; sleeps that are not declared
 * are noticed within the delay that the looks allow, also when these are late or the monitor dies; and the timelines of the
 * kernel's document are reproduced to the millisecond.
 * Method: a discrete-event simulation (bench/sim) runs the real strategy on the real shared memory; clock, threads and
 * worklists are virtual. Each schedule comes from a seed, which a failure names; every run uses the same seeds.
 * SIM_SEED=n runs only seed n; SIM_SCHEDULES=m runs m seeds from there.
 */
import { describe, expect, it } from 'vitest';
import type { SimService } from '../bench/sim/peers.ts';
import { FOREVER } from '../bench/sim/scheduler.ts';
import { runSkewed } from '../bench/sim/skewed.ts';
import type { ServiceSpec } from '../src/memory/layout.ts';
import { MAYDAY_INTERVAL_MS } from '../src/memory/predicates.ts';
import { cullAfterBurst } from './sim/culling.ts';
import { answersPerPool } from './sim/fairness.ts';
import { noticeLimitMs } from './sim/notice-limits.ts';
import { BUSY, rescueDelays } from './sim/rescue.ts';
import { type Outcome, runSchedule } from './sim/schedule.ts';
import {
  type CmwqTimelineOptions,
  cmwqTimeline,
  documentItems,
  type Times,
  workqueueTimeline,
} from './sim/timeline.ts';
import { sized } from './support/size.ts';

const FIRST_SEED = Number(process.env.SIM_SEED ?? 1);
const SCHEDULES = Number(process.env.SIM_SCHEDULES ?? (process.env.SIM_SEED === undefined ? sized(2000) : 1));

async function runSchedules(deaths: number): Promise<Outcome> {
  const sum: Outcome = {
    items: 0,
    cpuIntensive: 0,
    noticed: 0,
    maydays: 0,
    culled: 0,
    hung: 0,
    deaths: 0,
    lost: 0,
    seized: 0,
    moved: 0,
  };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    try {
      const outcome = await runSchedule({ seed, deaths });
      for (const key of Object.keys(sum) as (keyof Outcome)[]) sum[key] += outcome[key];
    } catch (error) {
      throw new Error(`seed ${seed}, up to ${deaths} deaths: ${(error as Error).message}`, { cause: error });
    }
  }
  return sum;
}

function times(starts: number, sleeps: number, wakes: number, finishes: number): Times {
  return { starts, sleeps, wakes, finishes };
}

describe('cmwq under random schedules', () => {
  it('keeps every rule', async () => {
    const { items, cpuIntensive, noticed, maydays, culled, hung, moved } = await runSchedules(0);
    if (SCHEDULES < 400) return;
    // The schedules exercise each of these often.
    expect(items).toBeGreaterThan(10 * SCHEDULES);
    expect(cpuIntensive).toBeGreaterThan(SCHEDULES / 2);
    expect(noticed).toBeGreaterThan(SCHEDULES / 2);
    expect(maydays).toBeGreaterThan(SCHEDULES / 20);
    expect(culled).toBeGreaterThan(SCHEDULES / 10);
    expect(hung).toBeGreaterThan(SCHEDULES / 10);
    expect(moved).toBeGreaterThan(SCHEDULES);
  });

  it('loses at most one connection per thread that dies, and serves the others', async () => {
    const { deaths, lost, seized, moved } = await runSchedules(3);
    expect(lost).toBeLessThanOrEqual(deaths);
    if (SCHEDULES < 400) return;
    expect(deaths).toBeGreaterThan(SCHEDULES / 2);
    expect(lost).toBeGreaterThan(SCHEDULES / 10);
    expect(lost).toBeLessThan(deaths / 2);
    expect(seized).toBeGreaterThan(SCHEDULES / 100);
    expect(moved).toBeGreaterThan(SCHEDULES);
  });
});

describe('cmwq', () => {
  const sleep: ServiceSpec = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: 100 }] };

  /** Checks, for many seeds, the times at which the items start. */
  async function expectStarts(options: Omit<CmwqTimelineOptions, 'seed'>, expected: number[]): Promise<void> {
    for (let seed = 1; seed <= 20; seed++) {
      const starts = (await cmwqTimeline({ ...options, seed })).map((item) => item.starts);
      expect(
        starts.sort((a, b) => a - b),
        `seed ${seed}`,
      ).toEqual(expected);
    }
  }

  it('creates a worker in reserve while another runs, so that no item waits for creation', async () => {
    const [first] = documentItems();
    const items = [first, first, first].filter((item) => item !== undefined);
    await expectStarts({ items, createMs: 5 }, [0, 5, 10]);
    await expectStarts({ items, createMs: 8 }, [0, 5, 13]);
  });

  it('rescues after 10 ms when all workers sleep and the limit is reached, one item in 100 ms', async () => {
    await expectStarts({ items: [sleep, sleep, sleep, sleep], maxWorkers: 2 }, [0, 0, 10, 100]);
  });

  it.each([2, 8])('rescues soon although other CPU pools are silent: %d pools', async (cpus) => {
    for (const seed of [1, 2, 3]) {
      const delaysMs = await rescueDelays(seed, cpus, false);
      expect(delaysMs).toHaveLength(cpus);
      expect(Math.max(...delaysMs), `seed ${seed}`).toBeLessThanOrEqual(MAYDAY_INTERVAL_MS);
    }
  });

  it('rescues each CPU pool in turn: the worklist of one as it is, not all that comes meanwhile', async () => {
    const cpus = 4;
    for (const seed of [1, 2, 3]) {
      const delaysMs = await rescueDelays(seed, cpus, true);
      expect(delaysMs).toHaveLength(cpus);
      expect(Math.max(...delaysMs), `seed ${seed}`).toBeLessThan(2 * cpus * BUSY + MAYDAY_INTERVAL_MS);
    }
  });

  it.each([1, 2, 3])('culls surplus workers after the idle timeout, down to two, seed %d', async (seed) => {
    expect(await cullAfterBurst(seed, 8)).toEqual({ tooEarly: 0, idle: 2 });
  });
});

describe('sleeps that are not declared', () => {
  const ITEMS = 20;
  const SLEEP_MS = 100;
  const undeclared: SimService = {
    cpuIntensive: false,
    steps: [{ kind: 'undeclared', durationMs: SLEEP_MS }],
  };
  const start = async (options: Partial<CmwqTimelineOptions>) => {
    const items = Array.from({ length: ITEMS }, () => undeclared);
    const all = await cmwqTimeline({ seed: 1, items, maxWorkers: ITEMS + 2, ...options });
    return all.map(({ starts }) => starts).sort((a, b) => a - b);
  };

  it.each([0, 2, 20])(
    'pass the slot on within the delay of noticing, looks up to %d ms late',
    async (lookLateMs) => {
      const limitMs = noticeLimitMs({ threshMs: 0, hangTimeoutMs: 0, lookLateMs });
      for (let seed = 1; seed <= 20; seed++) {
        const starts = await start({ seed, lookLateMs });
        for (const [i, startMs] of starts.entries()) {
          if (i > 0)
            expect(startMs - (starts[i - 1] as number), `seed ${seed}, item ${i}`).toBeLessThanOrEqual(
              limitMs,
            );
        }
      }
    },
  );

  it('hold the slot where threads cannot be observed', async () => {
    expect(await start({ canObserve: false })).toEqual(Array.from({ length: ITEMS }, (_, i) => i * SLEEP_MS));
  });
});

describe('cmwq with too few workers', () => {
  const sizes = [2, 3, 4, 8].flatMap((cpus) => [1, 2, 3, 4, 5].map((seed) => ({ cpus, seed })));

  it.each(sizes)('serves $cpus CPU pools evenly, seed $seed', async ({ cpus, seed }) => {
    const workers = cpus * (2 + seed) + (seed % cpus);
    const connections = cpus * 20;
    const answers = await answersPerPool({ seed, cpus, workers, connections, sleepMs: 100, virtualMs: 5000 });
    const share = Math.floor(workers / cpus);
    // One pool may have a worker more than another, plus a quarter as workers change pools.
    expect(Math.max(...answers) / Math.min(...answers)).toBeLessThan((1.25 * (share + 1)) / share);
  });
});

describe('CPU pools of which some have all the work', () => {
  const RUN_MS = 2000;

  /** Each busy pool has enough for several. As long as its core runs one, all that matters is how many wait. */
  it.each([
    [2, 1, 10],
    [4, 1, 10],
    [8, 4, 8],
    [16, 1, 40],
  ])('share it soon, and then hardly any moves: %d pools, %d busy', async (cpus, busy, connections) => {
    const share = Math.ceil((busy * connections) / cpus);
    const needed = busy * (connections - share);
    for (const seed of [1, 2, 3]) {
      const options = { seed, cpus, busy, connections, virtualMs: RUN_MS };
      const { moved, jain, movedLate, most } = await runSkewed(options);
      expect(jain).toBeGreaterThan(0.99);
      expect(most).toBeLessThanOrEqual(share + 1);
      expect(moved).toBeGreaterThanOrEqual(needed - cpus);
      expect(moved).toBeLessThan(2 * needed);
      expect(movedLate).toBeLessThan(needed / 2);
    }
  });

  it('share items that sleep', async () => {
    const service: ServiceSpec = {
      cpuIntensive: false,
      steps: [
        { kind: 'burn', durationMs: 2 },
        { kind: 'sleep', durationMs: 20 },
      ],
    };
    const result = await runSkewed({
      seed: 1,
      cpus: 2,
      busy: 1,
      connections: 20,
      virtualMs: RUN_MS,
      service,
    });
    // 20 connections could have an answer each 22.05 ms, on one core 10 of them.
    const answers = result.answers.reduce((sum, each) => sum + each, 0);
    expect(answers).toBeGreaterThan((0.9 * 20 * (RUN_MS / 4)) / 22.05);
    expect(result.movedLate).toBe(0);
  });

  it('keep their connections when all have as much', async () => {
    const { moved } = await runSkewed({ seed: 1, cpus: 4, busy: 4, connections: 10, virtualMs: RUN_MS });
    expect(moved).toBe(0);
  });
});

describe("the kernel document's timelines", () => {
  /** Runs many seeds: the order of simultaneous events must not matter. */
  async function expectAlways(run: (seed: number) => Promise<Times[]>, expected: Times[]): Promise<void> {
    for (let seed = 1; seed <= 100; seed++) expect(await run(seed), `seed ${seed}`).toEqual(expected);
  }

  it('are reproduced for the original workqueue: 20, 35, 50 ms', () => {
    expect(workqueueTimeline(documentItems())).toEqual([
      times(0, 5, 15, 20),
      times(20, 25, 35, 35),
      times(35, 40, 50, 50),
    ]);
  });

  it('are reproduced for cmwq, max_active >= 3: 20, 20, 25 ms', async () => {
    const expected = [times(0, 5, 15, 20), times(5, 10, 20, 20), times(10, 15, 25, 25)];
    for (const maxActive of [3, 4, 1024]) {
      await expectAlways((seed) => cmwqTimeline({ seed, items: documentItems(), maxActive }), expected);
    }
  });

  it('are reproduced for cmwq, max_active 2: 20, 20, 35 ms', async () => {
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(), maxActive: 2 }),
      [times(0, 5, 15, 20), times(5, 10, 20, 20), times(20, 25, 35, 35)],
    );
  });

  it('are reproduced for cmwq, w1 and w2 CPU-intensive: 20, 20, 25 ms', async () => {
    const expected = [times(0, 5, 15, 20), times(5, 10, 20, 20), times(5, 15, 25, 25)];
    const items = documentItems(true);
    await expectAlways((seed) => cmwqTimeline({ seed, items, maxActive: 1024, cutIn: 0 }), expected);
    // w2's worker may get the core before w1's, which has kicked it and continues at the same time.
    const inOrderOfEnds = (all: Times[]) =>
      all.toSorted((a, b) => a.finishes - b.finishes || a.starts - b.starts);
    await expectAlways(
      async (seed) => inOrderOfEnds(await cmwqTimeline({ seed, items, maxActive: 1024 })),
      inOrderOfEnds(expected),
    );
  });

  it('become 20, 20, 20 ms for the same items with a core for each', async () => {
    const cores = { count: FOREVER, quantumMs: FOREVER };
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(true), maxActive: 1024, cores }),
      [times(0, 5, 15, 20), times(5, 10, 20, 20), times(5, 10, 20, 20)],
    );
  });

  it('are those of the original workqueue for cmwq with max_active 1', async () => {
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(), maxActive: 1 }),
      workqueueTimeline(documentItems()),
    );
  });
});
