/**
 * Goal: the simulation detects a strategy that breaks a rule.
 * Method: one rule of one production module is broken at a time; the schedules and scenarios of cmwq.sim.test.ts run
 * until one fails. With no rule broken, none fails.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const PREDICATES = '../src/memory/predicates.ts';
const RUN_SLOT = '../src/memory/run-slot.ts';
const KWORKERS = '../src/pool/kworkers.ts';
const RESCUER = '../src/pool/rescuer.ts';
const SCHEDULES = 300;

beforeEach(() => vi.resetModules());
afterEach(() => {
  for (const path of [PREDICATES, RUN_SLOT, KWORKERS, RESCUER]) vi.doUnmock(path);
});

async function runSchedules(deaths: number): Promise<void> {
  const { runSchedule } = await import('./sim/schedule.ts');
  for (let seed = 1; seed <= SCHEDULES; seed++) await runSchedule({ seed, deaths });
}

async function runCulling(): Promise<void> {
  const { cullAfterBurst } = await import('./sim/culling.ts');
  const { idle } = await cullAfterBurst(1, 8);
  if (idle !== 2) throw new Error(`${idle} idle workers stay`);
}

async function runRescue(): Promise<void> {
  const { cmwqTimeline } = await import('./sim/timeline.ts');
  const sleeper = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: 100 } as const] };
  const times = await cmwqTimeline({ seed: 1, items: [sleeper, sleeper, sleeper], maxWorkers: 2 });
  const lastMs = Math.max(...times.map(({ starts }) => starts));
  if (lastMs > 10) throw new Error(`an item starts after ${lastMs} ms`);
}

async function runAll(): Promise<void> {
  await runSchedules(0);
  await runSchedules(3);
  await runCulling();
  await runRescue();
}

describe('the simulation', () => {
  it('passes when no rule is broken', async () => {
    await runAll();
  });

  it('detects that no worker is kept in reserve', async () => {
    const { Kworkers } = await vi.importActual<typeof import('../src/pool/kworkers.ts')>(KWORKERS);
    class WithoutReserve extends Kworkers {
      override ensureReserve(): void {
        if (this.isNeeded()) super.ensureReserve();
      }
    }
    vi.doMock(KWORKERS, () => ({ Kworkers: WithoutReserve }));
    await expect(runAll()).rejects.toThrow('no worker is in reserve');
  });

  it('detects culling below two idle workers', async () => {
    const actual = await vi.importActual(PREDICATES);
    vi.doMock(PREDICATES, () => ({ ...actual, tooManyWorkers: (idle: number) => idle > 1 })); // only used by culling
    await expect(runAll()).rejects.toThrow('1 idle workers stay');
  });

  it('detects that the rescuer is never called', async () => {
    const { Rescuer } = await vi.importActual<typeof import('../src/pool/rescuer.ts')>(RESCUER);
    class NeverLooks extends Rescuer {
      override look(): void {}
    }
    vi.doMock(RESCUER, () => ({ Rescuer: NeverLooks }));
    await expect(runAll()).rejects.toThrow('an item starts after 100 ms');
  });

  it('detects that the slot of a dead worker is not taken over', async () => {
    const actual = await vi.importActual(RUN_SLOT);
    vi.doMock(RUN_SLOT, () => ({ ...actual, releaseDead: () => true }));
    await expect(runAll()).rejects.toThrow(/slot \d is held by worker \d+, which has ended/);
  });
});
