/**
 * Goal: the real server runs the kernel document's scenarios in the document's order: what waits for what, and
 * what overlaps.
 * Method: bench/timeline runs each scenario on a server in a process of its own, from source. Only the order of
 * steps is asserted, not how long they took. Where a wake-up that comes late could blur the order, a scenario is
 * tried up to five times.
 */
import { describe, expect, it } from 'vitest';
import { runTimeline, type Step, type TimedItem } from '../bench/timeline/run.ts';
import { SCENARIOS, type ScenarioName } from '../bench/timeline/scenarios.ts';
import { BIN } from './support/child.ts';

const TRIES = 5;
/** Two burns may overlap for as long as it takes to notice that somebody has woken. */
const SLACK_MS = 5;

function first(item: TimedItem): Step {
  const step = item.steps[0];
  if (step === undefined) throw new Error(`${item.name} has no steps`);
  return step;
}

function lastEndMs(item: TimedItem): number {
  return Math.max(...item.steps.map(({ endMs }) => endMs));
}

/** Whether somebody else burns at the moment at which this item begins, and goes on. */
function beginsWhileAnotherBurns(item: TimedItem, all: readonly TimedItem[]): boolean {
  const { startMs } = first(item);
  const others = all.filter((other) => other !== item).flatMap(({ steps }) => steps);
  return others.some(
    (step) => step.kind === 'burn' && step.startMs < startMs - SLACK_MS && step.endMs > startMs + SLACK_MS,
  );
}

/** Runs a scenario until its order is what it should be, at most TRIES times. */
async function expectOrder(
  name: ScenarioName,
  check: (w0: TimedItem, w1: TimedItem, w2: TimedItem) => void,
): Promise<void> {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  for (let left = TRIES - 1; ; left--) {
    const { items } = await runTimeline(scenario, BIN);
    const [w0, w1, w2] = items as [TimedItem, TimedItem, TimedItem]; // three, by ITEM_NAMES
    try {
      check(w0, w1, w2);
      return;
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

function expectStartsInOrder(...items: TimedItem[]): void {
  const starts = items.map((item) => first(item).startMs);
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
}

describe('timelines on the real server', { timeout: 60_000 }, () => {
  it('workqueue, one worker: an item begins when the one before has ended', async () => {
    await expectOrder('workqueue', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeGreaterThanOrEqual(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(lastEndMs(w1));
      expect(new Set([w0, w1, w2].flatMap(({ steps }) => steps.map(({ worker }) => worker))).size).toBe(1);
    });
  });

  it('cmwq, max_active 3: the next begins when one sleeps, and never while one burns', async () => {
    await expectOrder('cmwq', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeGreaterThanOrEqual(first(w0).endMs);
      expect(first(w1).startMs).toBeLessThan(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(first(w1).endMs);
      expect(first(w2).startMs).toBeLessThan(lastEndMs(w0));
      for (const item of [w0, w1, w2]) expect(beginsWhileAnotherBurns(item, [w0, w1, w2])).toBe(false);
    });
  });

  it('cmwq, max_active 2: the third begins only when one has ended', async () => {
    await expectOrder('cmwq-max-active-2', (w0, w1, w2) => {
      expectStartsInOrder(w0, w1, w2);
      expect(first(w1).startMs).toBeLessThan(lastEndMs(w0));
      expect(first(w2).startMs).toBeGreaterThanOrEqual(Math.min(lastEndMs(w0), lastEndMs(w1)));
      expect(beginsWhileAnotherBurns(w2, [w0, w1, w2])).toBe(false);
    });
  });

  it('cmwq, w1 and w2 CPU-intensive: they burn at the same time, once w0 sleeps', async () => {
    await expectOrder('cmwq-cpu-intensive', (w0, w1, w2) => {
      for (const item of [w1, w2]) {
        expect(first(item).startMs).toBeGreaterThanOrEqual(first(w0).endMs);
        expect(first(item).startMs).toBeLessThan(lastEndMs(w0));
      }
      expect(first(w2).startMs).toBeLessThan(first(w1).endMs);
      expect(first(w1).startMs).toBeLessThan(first(w2).endMs);
    });
  });
});
