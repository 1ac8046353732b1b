/**
 * Goal: the simulated worker (bench/sim/worker.ts, duty.ts) behaves like the real one (workers/kworker.ts, duty.ts).
 * Method: both run in the same seeded environments (test/sim/stage.ts), and their operations on shared memory and
 * worklists must be the same, one by one, with the same results. The real worker runs on this thread, on the
 * simulation's epoll; the others act whenever it would sleep.
 */
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { FOREVER } from '../bench/sim/scheduler.ts';
import type { Targets } from '../bench/sim/world.ts';
import { CloseReason, MAYDAY, MOVED_IN, SharedState, STATE } from '../src/memory/layout.ts';
import { ID, SERVICES, Stage, serviceOf } from './sim/stage.ts';

const SEEDS = 300;

/** The real worker's stage, and the memory that its module was loaded with. */
let stage: Stage;
let entry: typeof import('../workers/kworker.ts');
/** Without services, for the batches of the stage. */
const shared = SharedState.create({ ...new Stage(1).sim.shared.config, services: [] });

/** The simulated part of Echo.turn and runService. */
function turn(fd: number, blocking: (sleep: () => void) => void): number {
  const received = stage.receive(fd);
  if (received !== 'request') return received === 'end' ? CloseReason.Eof : CloseReason.Open;
  for (const { kind } of serviceOf(fd).steps) {
    if (kind === 'burn') stage.aside();
    else blocking(() => stage.aside());
  }
  return CloseReason.Open;
}

class EventList {
  readonly list: number[] = [];
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  fd(i: number): number | undefined {
    return this.list[i];
  }
}

/** A worklist's descriptor is its CPU pool's number here. */
function epollWait(pool: number, events: EventList, timeoutMs: number): number {
  const take = () => stage.sim.worklists.take(pool, events.list, events.capacity);
  const n = take();
  if (n > 0 || timeoutMs === 0) return n;
  stage.aside();
  return take();
}

beforeAll(async () => {
  vi.doMock('../src/sys/epoll.ts', async (importActual) => ({
    ...(await importActual<object>()),
    EventList,
    epollWait,
    epollAdd: (pool: number, fd: number) => stage.sim.worklists.add(pool, fd),
    epollHasReady: (pool: number) => stage.sim.worklists.ready(pool) > 0,
    epollDelete: (pool: number, fd: number) => stage.sim.worklists.delete(pool, fd),
  }));
  vi.doMock('../src/memory/balance.ts', async (importActual) => ({
    ...(await importActual<object>()),
    Balance: {
      for: (): Targets => ({
        target: (pool, n) => stage.targets.target(pool, n),
        mayGive: (pool) => stage.targets.mayGive(pool),
      }),
    },
  }));
  vi.doMock('../src/sys/connection.ts', () => ({ endConnection: () => {} }));
  vi.doMock('../workers/affine-wake.ts', () => ({
    AffineWake: class {
      bind(): void {}
      unbind(): void {}
      freeOwn(): void {}
    },
  }));
  vi.doMock('../workers/calls-ffi.ts', () => ({ ffiCalls: null }));
  vi.doMock('../workers/thread.ts', () => ({
    shared,
    id: ID,
    state: shared.workerWord(ID, STATE),
    services: SERVICES,
    serviceOf,
    stopping: () => stage.isStopping,
    exitThreadOnError: (task: () => void) => task(),
    makeEcho: (_calls: unknown, blocking: (sleep: () => void) => void) => ({
      turn: (fd: number) => turn(fd, blocking),
    }),
  }));
  entry = await import('../workers/kworker.ts');
});

type Task = 'kworker' | 'rescuer';

function traceOfReal(seed: number, task: Task): string[] {
  for (const words of [shared.words, shared.conns]) words.fill(0);
  const create = vi.spyOn(SharedState, 'create').mockReturnValue(shared);
  stage = new Stage(seed);
  create.mockRestore();
  stage.record(() => (task === 'kworker' ? entry.kworker(1) : entry.rescuer()));
  return stage.trace;
}

function traceOfSimulated(seed: number, task: Task): string[] {
  const staged = new Stage(seed);
  const { scheduler } = staged.sim;
  staged.record(() => {
    for (const pause of task === 'kworker' ? staged.worker.kworker(1) : staged.worker.rescuer()) {
      if (pause.kind === 'wait') {
        if (pause.on === scheduler.waitersOf(MAYDAY) && !staged.mayCall()) return;
        scheduler.nowMs += pause.timeoutMs === FOREVER ? 0 : pause.timeoutMs;
      }
      staged.aside();
    }
  });
  return staged.trace;
}

describe('the simulated worker', () => {
  it.each(['kworker', 'rescuer'] as const)('performs the operations of the real one, as %s', (task) => {
    let operations = 0;
    let moves = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const real = traceOfReal(seed, task);
      expect(traceOfSimulated(seed, task), `seed ${seed}`).toEqual(real);
      operations += real.length;
      for (let pool = 0; pool < shared.config.cpus; pool++)
        moves += shared.words[shared.poolWord(pool, MOVED_IN)] as number;
    }
    expect(operations).toBeGreaterThan(100 * SEEDS);
    expect(moves).toBeGreaterThan(task === 'kworker' ? SEEDS / 2 : SEEDS / 10);
  });
});
