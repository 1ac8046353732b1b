/**
 * Goal: as many workers are created at a time as CPU pools wait for one, one at a time after a failure; the rescuer is
 * called when creation takes longer than usual, or fails.
 * Method: shared memory, threads and a clock of the test.
 */
import { describe, expect, it } from 'vitest';
import { MAYDAY, STATE, stateIn, TASK, WorkerState } from '../src/memory/layout.ts';
import { Kworkers } from '../src/pool/kworkers.ts';
import { Rescuer } from '../src/pool/rescuer.ts';
import type { KworkerThreads } from '../src/pool/threads.ts';
import type { Clock } from '../src/sys/clock.ts';
import { fresh } from './support/slot-memory.ts';

interface Timer {
  atMs: number;
  action: () => void;
}

function scenario(pools: number) {
  const s = fresh(8, 5, pools);
  const become = (id: number, state: WorkerState) => {
    s.words[s.workerWord(id, STATE)] = stateIn(state, 0);
  };
  for (let id = 1; id <= 8; id++) become(id, WorkerState.Free);
  let nowMs = 1000;
  const timers = new Set<Timer>();
  const clock: Clock = {
    now: () => nowMs,
    after(ms, action) {
      const timer = { atMs: nowMs + ms, action };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    every: () => () => {},
  };
  const tasks: { number: number; settle: (error: unknown) => void }[] = [];
  const threads: KworkerThreads = {
    start(_, __, settle, argument) {
      tasks.push({ number: argument as number, settle });
      return { isUp() {}, abort: () => false };
    },
    size: 0,
    starting: 0,
    made: 0,
    terminate: () => false,
    close: async () => true,
  };
  const kworkers = new Kworkers({
    shared: s,
    threads,
    clock,
    maxWorkers: 8,
    idleTimeoutMs: 1000,
    onCulled() {},
    onCreateFailed: () => rescuer.creationFailed(),
    onLimit() {},
  });
  const rescuer = new Rescuer({
    shared: s,
    threads,
    clock,
    isNeeded: () => kworkers.isNeeded(),
    startTimeMs: () => kworkers.startTimeMs,
    onCreateFailed() {},
    onMayday() {},
  });
  kworkers.start(0);
  const bell = () => {
    kworkers.ensureReserve();
    rescuer.look();
  };
  return {
    bell,
    /** Tasks that no worker has begun and that have not failed. */
    starting: () => tasks.length,
    become,
    /** The next starting worker comes up. */
    comesUp(id: number, state: WorkerState) {
      const { number } = tasks.shift() as (typeof tasks)[number]; // the test knows that there is one
      s.words[s.workerWord(id, TASK)] = number;
      become(id, state);
    },
    fails: () => tasks.shift()?.settle(new Error('no thread')),
    mayday: () => Atomics.exchange(s.words, MAYDAY, 0) === 1,
    pass(ms: number) {
      nowMs += ms;
      for (const timer of [...timers].filter(({ atMs }) => atMs <= nowMs)) {
        timers.delete(timer);
        timer.action();
      }
    },
  };
}

describe('workers', () => {
  it('are created for all CPU pools that wait for one', () => {
    const { bell, starting, comesUp } = scenario(3);
    bell();
    bell();
    expect(starting()).toBe(3);
    comesUp(1, WorkerState.Blocked);
    bell();
    expect(starting()).toBe(3);
  });

  it('are created one at a time for the reserve', () => {
    const { bell, starting, comesUp } = scenario(1);
    bell();
    expect(starting()).toBe(1);
    comesUp(1, WorkerState.Idle);
    bell();
    expect(starting()).toBe(0);
  });

  it('are tried one at a time, after a pause, while creation fails', () => {
    const { bell, starting, fails, pass, comesUp } = scenario(3);
    bell();
    for (let i = 0; i < 3; i++) fails();
    bell();
    expect(starting()).toBe(0);
    pass(1000);
    expect(starting()).toBe(1);
    comesUp(1, WorkerState.Blocked);
    bell();
    expect(starting()).toBe(3);
  });
});

describe('a mayday', () => {
  /** A worker has come up after 40 ms, and then another one is needed. */
  function needed() {
    const s = scenario(1);
    s.bell();
    s.pass(40);
    s.comesUp(1, WorkerState.Idle);
    s.bell();
    s.mayday();
    s.become(1, WorkerState.Blocked);
    s.bell();
    return s;
  }

  it('comes when a worker takes twice as long as usual to create', () => {
    const { pass, mayday } = needed();
    pass(79);
    expect(mayday()).toBe(false);
    pass(1);
    expect(mayday()).toBe(true);
  });

  it('does not wait for long because the process was stopped while a worker started', () => {
    const { become, bell, pass, comesUp, mayday } = needed();
    pass(3_600_000);
    comesUp(2, WorkerState.Idle);
    bell();
    mayday();
    become(2, WorkerState.Blocked);
    bell();
    pass(2000);
    expect(mayday()).toBe(true);
  });

  it('comes after 10 ms when that is unknown', () => {
    const { bell, pass, mayday } = scenario(1);
    bell();
    pass(9);
    expect(mayday()).toBe(false);
    pass(1);
    expect(mayday()).toBe(true);
  });

  it('comes after 10 ms when a creation has failed', () => {
    const { pass, mayday, fails } = needed();
    pass(20);
    fails();
    pass(9);
    expect(mayday()).toBe(false);
    pass(1);
    expect(mayday()).toBe(true);
  });

  it('does not come once no worker is needed', () => {
    const { become, bell, pass, mayday } = needed();
    become(1, WorkerState.Idle);
    bell();
    pass(1000);
    expect(mayday()).toBe(false);
  });
});
