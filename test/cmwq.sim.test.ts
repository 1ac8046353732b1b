/**
 * Goal: under any order of events, the run slots keep their promises: one holder, no item twice at once, no
 * runnable item left while a worker could run it, max_active, order, an end for every item; and the kernel
 * document's timelines come out to the millisecond.
 * Method: a discrete-event simulation (bench/sim) runs the real strategy on the real shared memory; its clock, threads
 * and worklists are virtual. Each schedule comes from a seed, which a failure names; `npm test -- cmwq.sim` repeats
 * the same ones. SIM_SEED=n runs that one alone, SIM_SCHEDULES=n so many from there on.
 */
import { describe, expect, it } from 'vitest';
import { FOREVER } from '../bench/sim/scheduler.ts';
import type { ServiceSpec } from '../src/memory/layout.ts';
import { cullAfterBurst } from './sim/culling.ts';
import { answersPerPool } from './sim/fairness.ts';
import { type Outcome, runSchedule } from './sim/schedule.ts';
import {
  type CmwqTimelineOptions,
  cmwqTimeline,
  documentItems,
  type Times,
  workqueueTimeline,
} from './sim/timeline.ts';

const FIRST_SEED = Number(process.env.SIM_SEED ?? 1);
const SCHEDULES = Number(process.env.SIM_SCHEDULES ?? (process.env.SIM_SEED === undefined ? 2000 : 1));

async function runSchedules(deaths: number): Promise<Outcome> {
  const sum: Outcome = { items: 0, cpuIntensive: 0, maydays: 0, culled: 0, hung: 0, deaths: 0, lost: 0 };
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

describe('random schedules', () => {
  it('keep every rule', async () => {
    const { items, cpuIntensive, maydays, culled, hung } = await runSchedules(0);
    if (SCHEDULES < 1000) return;
    // Not idle: each of them happens often.
    expect(items).toBeGreaterThan(10 * SCHEDULES);
    expect(cpuIntensive).toBeGreaterThan(SCHEDULES / 2);
    expect(maydays).toBeGreaterThan(SCHEDULES / 10);
    expect(culled).toBeGreaterThan(SCHEDULES / 10);
    expect(hung).toBeGreaterThan(SCHEDULES / 10);
  });

  it('with dying threads: at most one connection is lost by each death, and the others go on', async () => {
    const { deaths, lost } = await runSchedules(3);
    expect(lost).toBeLessThanOrEqual(deaths);
    if (SCHEDULES < 1000) return;
    expect(deaths).toBeGreaterThan(SCHEDULES / 2);
    expect(lost).toBeGreaterThan(SCHEDULES / 10);
    expect(lost).toBeLessThan(deaths / 2);
  });
});

describe('workers', () => {
  const sleep: ServiceSpec = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: 100 }] };

  /** When each of these items starts, in any order: the same for every seed. */
  async function expectStarts(options: Omit<CmwqTimelineOptions, 'seed'>, expected: number[]): Promise<void> {
    for (let seed = 1; seed <= 20; seed++) {
      const starts = (await cmwqTimeline({ ...options, seed })).map((item) => item.starts);
      expect(
        starts.sort((a, b) => a - b),
        `seed ${seed}`,
      ).toEqual(expected);
    }
  }

  it('are made in reserve: while one runs another starts, and nobody waits for it', async () => {
    const [first] = documentItems();
    const items = [first, first, first].filter((item) => item !== undefined);
    await expectStarts({ items, createMs: 5 }, [0, 5, 10]);
    await expectStarts({ items, createMs: 8 }, [0, 5, 13]);
  });

  it('that all sleep, and can be no more, are rescued after 10 ms, one item in 100 ms', async () => {
    await expectStarts({ items: [sleep, sleep, sleep, sleep], maxWorkers: 2 }, [0, 0, 10, 100]);
  });

  it.each([1, 2, 3])(
    'that are too many go when they have been idle for long; two stay, seed %d',
    async (seed) => {
      expect(await cullAfterBurst(seed, 8)).toEqual({ tooEarly: 0, idle: 2 });
    },
  );
});

describe('fairness between CPU pools', () => {
  const sizes = [2, 3, 4, 8].flatMap((cpus) => [1, 2, 3, 4, 5].map((seed) => ({ cpus, seed })));

  it.each(sizes)('holds with $cpus pools and too few workers, seed $seed', async ({ cpus, seed }) => {
    const workers = cpus * (2 + seed) + (seed % cpus);
    const connections = cpus * 20;
    const answers = await answersPerPool({ seed, cpus, workers, connections, sleepMs: 100, virtualMs: 5000 });
    const share = Math.floor(workers / cpus);
    // A worker more in one pool than in another, and a fourth for those that change.
    expect(Math.max(...answers) / Math.min(...answers)).toBeLessThan((1.25 * (share + 1)) / share);
  });
});

describe("the kernel document's timelines", () => {
  /** The same whatever the order of what happens at one moment. */
  async function expectAlways(run: (seed: number) => Promise<Times[]>, expected: Times[]): Promise<void> {
    for (let seed = 1; seed <= 100; seed++) expect(await run(seed), `seed ${seed}`).toEqual(expected);
  }

  it('original workqueue: 20, 35, 50 ms', () => {
    expect(workqueueTimeline(documentItems())).toEqual([
      times(0, 5, 15, 20),
      times(20, 25, 35, 35),
      times(35, 40, 50, 50),
    ]);
  });

  it('cmwq, max_active >= 3: 20, 20, 25 ms', async () => {
    const expected = [times(0, 5, 15, 20), times(5, 10, 20, 20), times(10, 15, 25, 25)];
    for (const maxActive of [3, 4, 1024]) {
      await expectAlways((seed) => cmwqTimeline({ seed, items: documentItems(), maxActive }), expected);
    }
  });

  it('cmwq, max_active 2: 20, 20, 35 ms', async () => {
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(), maxActive: 2 }),
      [times(0, 5, 15, 20), times(5, 10, 20, 20), times(20, 25, 35, 35)],
    );
  });

  it('cmwq, w1 and w2 CPU-intensive: 20, 20, 25 ms', async () => {
    const expected = [times(0, 5, 15, 20), times(5, 10, 20, 20), times(5, 15, 25, 25)];
    const items = documentItems(true);
    await expectAlways((seed) => cmwqTimeline({ seed, items, maxActive: 1024, cutIn: 0 }), expected);
    // w2's worker may get to the core before w1's, which has kicked it and goes on at the same moment.
    const inOrderOfEnds = (all: Times[]) =>
      all.toSorted((a, b) => a.finishes - b.finishes || a.starts - b.starts);
    await expectAlways(
      async (seed) => inOrderOfEnds(await cmwqTimeline({ seed, items, maxActive: 1024 })),
      inOrderOfEnds(expected),
    );
  });

  it('the same with a core for each: 20, 20, 20 ms, as on a machine with more than one', async () => {
    const cores = { count: FOREVER, quantumMs: FOREVER };
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(true), maxActive: 1024, cores }),
      [times(0, 5, 15, 20), times(5, 10, 20, 20), times(5, 10, 20, 20)],
    );
  });

  it('cmwq with max_active 1 is the original workqueue', async () => {
    await expectAlways(
      (seed) => cmwqTimeline({ seed, items: documentItems(), maxActive: 1 }),
      workqueueTimeline(documentItems()),
    );
  });
});
