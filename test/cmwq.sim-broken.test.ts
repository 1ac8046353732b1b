/**
 * Goal: the simulation detects a strategy that breaks a rule.
 * Method: one rule of one production module is broken at a time; the schedules and scenarios of cmwq.sim.test.ts run
 * until one fails. With no rule broken, none fails.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Steps } from '../bench/sim/scheduler.ts';
import type { World } from '../bench/sim/world.ts';
import { kick } from '../src/memory/kick.ts';
import {
  CONNECTIONS,
  NO_IDLE,
  POOL,
  poolOf,
  type SharedState,
  STATE,
  stateOf,
  WorkerState,
} from '../src/memory/layout.ts';
import type { MonitorOptions } from '../src/memory/monitor.ts';
import { SLOT_FREE, wakeUnslotted } from '../src/memory/run-slot.ts';
import { FULL } from './support/size.ts';

const KICK = '../src/memory/kick.ts';
const PREDICATES = '../src/memory/predicates.ts';
const RUN_SLOT = '../src/memory/run-slot.ts';
const KWORKERS = '../src/pool/kworkers.ts';
const RESCUER = '../src/pool/rescuer.ts';
const TAKE_OVER = '../src/pool/take-over.ts';
const MONITOR = '../src/memory/monitor.ts';
const MOVE = '../src/memory/move.ts';
const SIM_DUTY = '../bench/sim/duty.ts';
/** Without a broken rule; */
const SCHEDULES = 300;
/** and until one shows. */
const MOST_SCHEDULES = 6000;

beforeEach(() => vi.resetModules());
afterEach(() => {
  for (const path of [KICK, PREDICATES, RUN_SLOT, KWORKERS, RESCUER, TAKE_OVER, MONITOR, MOVE])
    vi.doUnmock(path);
});

async function runSchedules(deaths: number, schedules: number): Promise<void> {
  const { runSchedule } = await import('./sim/schedule.ts');
  for (let seed = 1; seed <= schedules; seed++) await runSchedule({ seed, deaths });
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

/** The quickest first. */
async function runAll(schedules = MOST_SCHEDULES): Promise<void> {
  await runCulling();
  await runRescue();
  await runSchedules(3, schedules);
  await runSchedules(0, schedules);
}

describe('the simulation', () => {
  it('passes when no rule is broken', async () => {
    await runAll(SCHEDULES);
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

type KickModule = typeof import('../src/memory/kick.ts');

describe('the simulation, of idle workers,', () => {
  async function breakKick(how: (actual: KickModule) => Partial<KickModule>): Promise<void> {
    const actual = await vi.importActual<KickModule>(KICK);
    vi.doMock(KICK, () => ({ ...actual, ...how(actual) }));
  }

  it('detects that a worker goes idle and cannot be found', async () => {
    await breakKick(({ goIdle, noteAwake }) => ({
      goIdle(shared, id, nowMs) {
        goIdle(shared, id, nowMs);
        noteAwake(shared, id);
      },
    }));
    await expect(runAll()).rejects.toThrow(/an item of pool \d waits, and worker \d+ is idle/);
  });

  it('detects that a kick which finds no idle worker leaves no word', async () => {
    await breakKick(({ kick }) => ({
      kick(shared, pool, near) {
        const kicked = kick(shared, pool, near);
        if (kicked === 'no-idle') shared.words[NO_IDLE] = 0;
        return kicked;
      },
    }));
    await expect(runAll()).rejects.toThrow(/an item of pool \d waits, and worker \d+ is idle/);
  });

  it('detects that a worker goes idle without a look at the CPU pools', async () => {
    await breakKick(({ setIdle }) => ({ goIdle: setIdle }));
    await expect(runAll()).rejects.toThrow(/an item of pool \d waits, and worker \d+ is idle/);
  });
});

type RunSlot = typeof import('../src/memory/run-slot.ts');

describe.runIf(FULL)('the simulation, of noticing,', () => {
  function workerState(shared: SharedState, id: number): { state: WorkerState; pool: number } {
    const word = shared.words[shared.workerWord(id, STATE)] as number;
    return { state: stateOf(word), pool: poolOf(word) };
  }

  async function breakRunSlot(how: (actual: RunSlot) => Partial<RunSlot>): Promise<void> {
    const actual = await vi.importActual<RunSlot>(RUN_SLOT);
    vi.doMock(RUN_SLOT, () => ({ ...actual, ...how(actual) }));
  }

  async function breakMonitor(how: (options: MonitorOptions) => Partial<MonitorOptions>): Promise<void> {
    const actual = await vi.importActual<typeof import('../src/memory/monitor.ts')>(MONITOR);
    class Broken extends actual.Monitor {
      constructor(options: MonitorOptions) {
        super({ ...options, ...how(options) });
      }
    }
    vi.doMock(MONITOR, () => ({ ...actual, Monitor: Broken }));
  }

  it('detects that the monitor wakes a worker whose sleep is declared', async () => {
    const actual = await vi.importActual<typeof import('../src/memory/monitor.ts')>(MONITOR);
    class WakesAll extends actual.Monitor {
      private readonly shared: SharedState;

      constructor(options: MonitorOptions) {
        super(options);
        this.shared = options.shared;
      }

      override look(): number {
        const { shared } = this;
        for (let id = 1; id <= shared.config.workers; id++) {
          const { pool } = workerState(shared, id);
          wakeUnslotted(shared, pool, id, WorkerState.Blocked);
        }
        return super.look();
      }
    }
    vi.doMock(MONITOR, () => ({ ...actual, Monitor: WakesAll }));
    await expect(runAll()).rejects.toThrow(/word 2 of pool \d is \d, not 0/);
  });

  it('detects that a sleep is never noticed', async () => {
    await breakMonitor(({ probe }) => ({ probe: probe && { ...probe, isAsleep: () => false } }));
    await expect(runAll()).rejects.toThrow(/item \d+ sleeps unnoticed/);
  });

  it('detects that an awakening is never noticed', async () => {
    await breakRunSlot(({ wakeUnslotted }) => ({
      wakeUnslotted(shared, pool, id, from) {
        return from === WorkerState.Blocked && wakeUnslotted(shared, pool, id, from);
      },
    }));
    await expect(runAll()).rejects.toThrow(/item \d+ has woken unnoticed/);
  });

  it('detects that the end of a noticed item is not counted', async () => {
    await breakRunSlot(({ endUnslotted }) => ({
      endUnslotted(shared, pool, id) {
        const isNoticed = workerState(shared, id).state === WorkerState.Noticed;
        return isNoticed ? SLOT_FREE : endUnslotted(shared, pool, id);
      },
    }));
    await expect(runAll()).rejects.toThrow(/word 1 of pool \d is \d, not \d/);
  });

  it('detects that a worker which dies while noticed stays counted', async () => {
    await breakRunSlot(({ uncountDead }) => ({
      uncountDead(shared, id) {
        if (workerState(shared, id).state !== WorkerState.Noticed) uncountDead(shared, id);
      },
    }));
    await expect(runAll()).rejects.toThrow(/word 1 of pool \d is \d, not \d/);
  });

  it('detects that a noticed item stays in the worklist', async () => {
    await breakMonitor(() => ({ removeFromWorklist: () => {} }));
    await expect(runAll()).rejects.toThrow(/EEXIST|begun by \d+ while \d+ is in it|unanswered/);
  });

  it('detects that the slot which a dead monitor had seized is not released', async () => {
    const actual = await vi.importActual(TAKE_OVER);
    vi.doMock(TAKE_OVER, () => ({ ...actual, takeOverSeized: () => {} }));
    await expect(runAll()).rejects.toThrow('the slot that a dead monitor had seized is not released');
  });
});

/** The parts of SimDuty that a move is made of. */
interface Mover {
  world: World;
  pool: number;
  inSlot: boolean;
  endOutside(fd: number): Steps<number>;
  noteEnd(): void;
}

type Move = (this: Mover, fd: number, to: number) => Steps<number>;
type MoveModule = typeof import('../src/memory/move.ts');

describe.runIf(FULL)('the simulation, of moves,', () => {
  /** Replaces SimDuty.move in the modules that the next run loads. */
  async function breakMove(move: Move): Promise<void> {
    const { SimDuty } = await import(SIM_DUTY);
    SimDuty.prototype.move = move;
  }

  async function breakCounts(how: (actual: MoveModule) => Partial<MoveModule>): Promise<void> {
    const actual = await vi.importActual<MoveModule>(MOVE);
    vi.doMock(MOVE, () => ({ ...actual, ...how(actual) }));
  }

  /** The right one, with `extra` before its last step. */
  function moving(countMoved: MoveModule['countMoved'], extra: (duty: Mover, fd: number) => void): Move {
    return function* (fd, to) {
      const { world, pool } = this;
      if (this.inSlot) world.worklists.delete(pool, fd);
      const after = yield* this.endOutside(fd);
      if (to !== pool) countMoved(world.shared, fd, pool, to);
      world.worklists.add(to, fd);
      this.noteEnd();
      extra(this, fd);
      return after;
    };
  }

  it('detects a move within the item', async () => {
    const { countMoved } = await import(MOVE);
    await breakMove(function* (fd, to) {
      const { world, pool } = this;
      if (this.inSlot) world.worklists.delete(pool, fd);
      if (to !== pool) countMoved(world.shared, fd, pool, to);
      world.worklists.add(to, fd);
      kick(world.shared, to);
      const after = yield* this.endOutside(fd);
      this.noteEnd();
      return after;
    });
    await expect(runAll()).rejects.toThrow(
      /begun by \d+ while \d+ is in it|unanswered|has not begun|no worker is in reserve/,
    );
  });

  it('detects a move without the removal from the first worklist', async () => {
    const { countMoved } = await import(MOVE);
    const move = moving(countMoved, () => {});
    await breakMove(function* (fd, to) {
      return yield* move.call(
        Object.assign(Object.create(this), { inSlot: this.inSlot && to === this.pool }),
        fd,
        to,
      );
    });
    await expect(runAll()).rejects.toThrow(/EEXIST/);
  });

  it('detects a connection that moves twice', async () => {
    const { countMoved } = await import(MOVE);
    await breakMove(moving(countMoved, ({ world, pool }, fd) => world.worklists.add(pool, fd)));
    await expect(runAll()).rejects.toThrow(/EEXIST/);
  });

  it('detects that the other CPU pool is not kicked', async () => {
    const { countMoved } = await import(MOVE);
    await breakMove(moving(countMoved, () => {}));
    await expect(runAll()).rejects.toThrow(/an item of pool \d waits, and worker \d+ is idle/);
  });

  it('detects a move that is not counted', async () => {
    await breakCounts(({ countMoved }) => ({
      countMoved(shared, fd, from, to) {
        countMoved(shared, fd, from, to);
        shared.words[shared.poolWord(to, CONNECTIONS)] =
          (shared.words[shared.poolWord(to, CONNECTIONS)] as number) - 1;
      },
    }));
    await expect(runAll()).rejects.toThrow(/pool \d does not count its \d+ connections/);
  });

  it('detects that a connection does not name its new CPU pool', async () => {
    await breakCounts(({ countMoved, placeOf }) => ({
      countMoved(shared, fd, from, to) {
        const before = placeOf(shared, fd);
        countMoved(shared, fd, from, to);
        shared.conns[shared.connWord(fd, POOL)] = before;
      },
    }));
    await expect(runAll()).rejects.toThrow(/connection \d+ is in pool \d, not \d/);
  });

  it('detects that main looks for the connection of a dead worker in its old CPU pool', async () => {
    let looksIn = -1;
    await breakCounts(({ placeOf }) => ({
      placeOf: (shared, fd) => (looksIn === -1 ? placeOf(shared, fd) : looksIn),
    }));
    const { takeOver, ...actual } =
      await vi.importActual<typeof import('../src/pool/take-over.ts')>(TAKE_OVER);
    vi.doMock(TAKE_OVER, () => ({
      ...actual,
      takeOver(...args: Parameters<typeof takeOver>) {
        looksIn = poolOf(args[2].state);
        const lost = takeOver(...args);
        looksIn = -1;
        return lost;
      },
    }));
    await expect(runAll()).rejects.toThrow(/connection \d+ is lost, but in a worklist/);
  });
});
