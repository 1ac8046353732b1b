/**
 * Goal: the monitor finds items that sleep and items that compute, each by its own thread's clock, and takes neither for
 * the other however busy the machine is; it looks only while there is something to see.
 * Method: the monitor on shared memory, with a virtual clock and virtual threads; no thread, no time.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { countStates } from '../src/memory/kick.ts';
import {
  CPU_INTENSIVE,
  ITEM_FD,
  MONITOR,
  NOTICED,
  NOTICED_WAKEUPS,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  type SharedState,
  STARTED,
  STATE,
  STOP,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import { Monitor, type MonitorLimits, type MonitorNews, wakeMonitor } from '../src/memory/monitor.ts';
import {
  beginItem,
  endUnslotted,
  grantSlot,
  leaveSlot,
  loadSlot,
  SLOT_FREE,
  slotHolder,
  slotItem,
  wakeUnslotted,
} from '../src/memory/run-slot.ts';
import { count, expectHeld, FD, fresh, state } from './support/slot-memory.ts';

const LIMITS: MonitorLimits = { cpuIntensiveThreshMs: 10, hangTimeoutMs: 0 };

let nowMs: number;
/** The virtual threads, by worker: CPU time, and whether it sleeps. */
let cpuMs: number[];
let sleeps: boolean[];
let stateReads: number;
let onStateRead: () => void;
let removed: [pool: number, fd: number][];
let news: MonitorNews[];
let s: SharedState;

beforeEach(() => {
  nowMs = 0;
  cpuMs = new Array(9).fill(0);
  sleeps = new Array(9).fill(false);
  stateReads = 0;
  onStateRead = () => {};
  removed = [];
  news = [];
});

function start(limits = LIMITS, workers = 3): Monitor {
  s = fresh(workers);
  return new Monitor({
    ...limits,
    shared: s,
    clock: { now: () => nowMs },
    probe: {
      cpuMs: (id) => cpuMs[id] as number,
      isAsleep: (id) => {
        stateReads++;
        onStateRead();
        return sleeps[id] as boolean;
      },
    },
    removeFromWorklist: (pool, fd) => removed.push([pool, fd]),
    tell: (what) => news.push(what),
  });
}

/** Worker `id` begins an item as the slot's holder. */
function begins(id: number, fd = FD): void {
  s.words[s.workerWord(id, STATE)] = stateIn(WorkerState.OnDuty, 0);
  beginItem(s, 0, grantSlot(s, 0, id), fd);
  s.doubles[s.workerDouble(id, STARTED)] = (s.doubles[s.workerDouble(id, STARTED)] as number) + 1;
  s.words[s.workerWord(id, ITEM_FD)] = fd;
}

/** Looks every millisecond, during which the worker's thread gets `cpu` ms of a processor. */
function runs(monitor: Monitor, id: number, ms: number, cpu: number): void {
  for (let i = 0; i < ms; i++) {
    nowMs++;
    cpuMs[id] = (cpuMs[id] as number) + cpu;
    monitor.look();
  }
}

const stateIs = (id: number, expected: WorkerState) => expect(state(s, id)).toBe(stateIn(expected, 0));

describe('an item that sleeps', () => {
  it('passes the slot on at the second look, and counts as asleep', () => {
    const monitor = start();
    begins(1);
    monitor.look();
    sleeps[1] = true;
    expect(slotItem(loadSlot(s, 0))).toBe(FD);
    monitor.look();
    stateIs(1, WorkerState.Noticed);
    expect(removed).toEqual([[0, FD]]);
    expect(slotHolder(loadSlot(s, 0))).toBe(2);
    expectHeld(s);
    expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([1, 0]);
    expect([s.doubles[NOTICED], s.doubles[NOTICED_WAKEUPS], s.doubles[CPU_INTENSIVE]]).toEqual([1, 1, 0]);
  });

  it('counts as running when its clock moves, and as asleep when it stands still again', () => {
    const monitor = start();
    begins(1);
    sleeps[1] = true;
    runs(monitor, 1, 3, 0);
    stateIs(1, WorkerState.Noticed);
    runs(monitor, 1, 2, 0.1);
    stateIs(1, WorkerState.Finishing);
    expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([1, 1]);
    runs(monitor, 1, 3, 0);
    stateIs(1, WorkerState.Noticed);
    expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([1, 0]);
    expect(s.doubles[NOTICED]).toBe(2);
    endUnslotted(s, 0, 1);
    expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([0, 0]);
  });

  it('is not woken by the monitor if it has declared its sleep', () => {
    const monitor = start();
    begins(1);
    runs(monitor, 1, 3, 0.1);
    leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
    sleeps[1] = true;
    runs(monitor, 1, 3, 0.1);
    stateIs(1, WorkerState.Blocked);
    expect(s.doubles[NOTICED]).toBe(0);
    wakeUnslotted(s, 0, 1, WorkerState.Blocked);
    stateIs(1, WorkerState.Finishing);
  });

  it('is a new item if its worker has begun another one on the same connection', () => {
    const monitor = start();
    sleeps[1] = true; // as seen between two items: it waits for the next one
    begins(1);
    for (let i = 0; i < 5; i++) {
      monitor.look();
      s.doubles[s.workerDouble(1, STARTED)] = 2 + i;
    }
    expect(slotHolder(loadSlot(s, 0))).toBe(1);
    expect(stateReads).toBe(0);
  });

  it('has not slept since the last look if it ran between the reading of its clock and of its state', () => {
    const monitor = start();
    begins(1);
    sleeps[1] = true;
    onStateRead = () => {
      cpuMs[1] = (cpuMs[1] as number) + 0.1;
    };
    for (let i = 0; i < 30; i++) monitor.look();
    expect(stateReads).toBeGreaterThan(0);
    expect([s.doubles[NOTICED], slotHolder(loadSlot(s, 0))]).toEqual([0, 1]);
    onStateRead = () => {};
    monitor.look();
    monitor.look();
    expect(s.doubles[NOTICED]).toBe(1);
  });

  it('decides nothing while its clock cannot be read', () => {
    const monitor = start();
    begins(1);
    cpuMs[1] = Number.NaN;
    sleeps[1] = true;
    for (let i = 0; i < 30; i++) monitor.look();
    expect(slotHolder(loadSlot(s, 0))).toBe(1);
  });
});

describe('an item that computes', () => {
  it.each([
    { cpu: 8, wall: 50, found: 0 },
    { cpu: 12, wall: 50, found: 1 },
    { cpu: 12, wall: 12, found: 1 },
    { cpu: 9, wall: 9, found: 0 },
  ])('with $cpu ms of CPU time in $wall ms: CPU-intensive $found times at 10 ms', ({ cpu, wall, found }) => {
    const monitor = start();
    begins(1);
    monitor.look();
    runs(monitor, 1, wall, cpu / wall);
    expect(s.doubles[CPU_INTENSIVE]).toBe(found);
    expect(news).toEqual(found === 0 ? [] : [{ kind: 'slotTaken', worker: 1, pool: 0 }]);
    expect(countStates(s)[WorkerState.CpuIntensive]).toBe(found);
    expect(slotHolder(loadSlot(s, 0))).toBe(found === 0 ? 1 : 2);
    expect(s.doubles[NOTICED]).toBe(0);
  });

  it('is neither while it waits for a processor', () => {
    const monitor = start();
    begins(1);
    monitor.look();
    runs(monitor, 1, 500, 0);
    expect([s.doubles[NOTICED], s.doubles[CPU_INTENSIVE]]).toEqual([0, 0]);
    expect(stateReads).toBe(500);
  });

  it('costs no look at its state', () => {
    const monitor = start({ cpuIntensiveThreshMs: 0, hangTimeoutMs: 0 });
    begins(1);
    monitor.look();
    runs(monitor, 1, 100, 1);
    expect(stateReads).toBe(0);
  });

  it('counts from when it woke', () => {
    const monitor = start();
    begins(1);
    monitor.look();
    runs(monitor, 1, 9, 1);
    leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
    monitor.look();
    wakeUnslotted(s, 0, 1, WorkerState.Blocked);
    runs(monitor, 1, 10, 1);
    stateIs(1, WorkerState.Finishing);
    runs(monitor, 1, 1, 1);
    stateIs(1, WorkerState.CpuIntensive);
    expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([1, 0]);
  });
});

describe('looking', () => {
  it('ends soon after the last item, until an item wakes it', () => {
    const monitor = start();
    let looks = 0;
    while (monitor.isLooking && looks++ < 100) monitor.look();
    expect(looks).toBeLessThan(10);
    expect(monitor.look()).toBe(Number.POSITIVE_INFINITY);
    expect(s.words[MONITOR]).toBe(0);
    begins(1);
    wakeMonitor(s);
    expect(s.words[MONITOR]).toBe(1);
    monitor.look();
    expect(monitor.isLooking).toBe(true);
  });

  it('continues for a while after an item that was over when it looked', () => {
    const monitor = start();
    while (monitor.isLooking) monitor.look();
    wakeMonitor(s);
    monitor.look();
    expect(monitor.isLooking).toBe(true);
    for (let i = 0; i < 10; i++) monitor.look();
    expect(monitor.isLooking).toBe(false);
  });

  it('needs no look at declared sleeps, but for the hang timeout', () => {
    for (const hangTimeoutMs of [0, 1000]) {
      const monitor = start({ cpuIntensiveThreshMs: 10, hangTimeoutMs });
      begins(1);
      monitor.look();
      leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
      for (let i = 0; i < 10; i++) monitor.look();
      expect(monitor.isLooking).toBe(false);
      expect(monitor.look()).toBe(hangTimeoutMs === 0 ? Number.POSITIVE_INFINITY : 100);
    }
  });

  it('slows down while no item sleeps, and is fast again when one does', () => {
    const monitor = start();
    begins(1);
    const intervals = Array.from({ length: 12 }, () => {
      cpuMs[1] = (cpuMs[1] as number) + 0.1;
      return monitor.look();
    });
    expect(intervals[0]).toBe(1);
    expect(intervals.at(-1)).toBe(10);
    sleeps[1] = true;
    expect(monitor.look()).toBe(1);
  });

  it('ends when the server stops, whatever was stored first', () => {
    const monitor = start();
    s.words[STOP] = 1;
    for (let i = 0; i < 10; i++) monitor.look();
    expect(s.words[MONITOR]).toBe(1);
    expect(loadSlot(s, 0)).toBe(SLOT_FREE);
  });

  it('reports an item that hangs once, also in a declared sleep', () => {
    const monitor = start({ cpuIntensiveThreshMs: 0, hangTimeoutMs: 1000 });
    begins(1);
    monitor.look();
    leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
    for (let i = 0; i < 30; i++) {
      nowMs += 100;
      monitor.look();
    }
    expect(news).toEqual([{ kind: 'hang', worker: 1, connection: 0, started: 1, forMs: 1000 }]);
  });
});
