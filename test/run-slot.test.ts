/**
 * Goal: every transition of the run slot succeeds only from the word that it expects, and updates the counts.
 * Method: pure shared memory, no threads; one transition after the other. test/run-slot-races.test.ts has the races.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { countStates, firstIdle, kick } from '../src/memory/kick.ts';
import {
  CONNECTIONS,
  GRANTS,
  MAX_ACTIVE,
  MAX_FD,
  MAX_WORKER_ID,
  MONITOR_ID,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  type SharedState,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import {
  beginItem,
  blockUnslotted,
  endItem,
  endUnslotted,
  grantSlot,
  isGrantTo,
  isSeized,
  isSeizedFrom,
  itemWord,
  leaveSlot,
  loadSlot,
  mayBeginItem,
  nrRunning,
  releaseSeized,
  SLOT_FREE,
  seizeSlot,
  slotHolder,
  slotItem,
  slotWanted,
  uncountUnslotted,
  wakeUnslotted,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import { count, expectHeld, FD, fresh, state } from './support/slot-memory.ts';

let shared: SharedState;

beforeEach(() => {
  shared = fresh(2);
});

describe('the slot word', () => {
  it('can hold every worker id and descriptor, and main', () => {
    for (const id of [1, 2, 1023, 1024, MAX_WORKER_ID, MONITOR_ID]) {
      for (const fd of [1, 1023, MAX_FD]) {
        const word = itemWord(id, fd);
        expect(word).toBeGreaterThan(0);
        expect([slotHolder(word), slotItem(word)]).toEqual([id, fd]);
        expect(isGrantTo(word, id)).toBe(false);
      }
    }
    expect(slotHolder(SLOT_FREE)).toBe(0);
  });

  it('of a grant holds the worker, no item, and a number that differs from the next', () => {
    for (const id of [1, 1024, MAX_WORKER_ID]) {
      shared.words[shared.poolWord(0, GRANTS)] = 5;
      const words = [grantSlot(shared, 0, id)];
      yieldSlot(shared, 0, loadSlot(shared, 0));
      shared.words[shared.poolWord(0, GRANTS)] = -1; // wraps
      words.push(grantSlot(shared, 0, id));
      yieldSlot(shared, 0, loadSlot(shared, 0));
      words.push(grantSlot(shared, 0, id));
      yieldSlot(shared, 0, loadSlot(shared, 0));
      expect(new Set(words).size).toBe(3);
      for (const word of words) {
        expect([slotHolder(word), slotItem(word)]).toEqual([id, 0]);
        expect([isGrantTo(word, id), isGrantTo(word, id - 1)]).toEqual([true, false]);
      }
    }
    expect(isGrantTo(SLOT_FREE, 0)).toBe(false);
  });
});

describe('transitions', () => {
  it('let only the holder begin and end an item', () => {
    const other = grantSlot(shared, 0, 2);
    yieldSlot(shared, 0, other);
    expect(beginItem(shared, 0, other, FD)).toBe(false);
    const grant = grantSlot(shared, 0, 1);
    expect(grantSlot(shared, 0, 2)).toBe(SLOT_FREE);
    expect(beginItem(shared, 0, other, FD)).toBe(false);
    expect(beginItem(shared, 0, grant, FD)).toBe(true);
    expect(nrRunning(shared, 0)).toBe(1);
    expect(endItem(shared, 0, other, FD)).toBe(false);
    expect(endItem(shared, 0, grant, FD)).toBe(true);
    expect(nrRunning(shared, 0)).toBe(0);
    expect(yieldSlot(shared, 0, grant)).toBe(true);
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
  });

  it('of a blocked item free the slot, count it as overshoot when it wakes, and uncount it at its end', () => {
    beginItem(shared, 0, grantSlot(shared, 0, 1), FD);
    expect(leaveSlot(shared, 0, 1, FD, WorkerState.Blocked)).toBe(true);
    expect(kick(shared, 0)).toBe('kicked');
    expect(slotHolder(loadSlot(shared, 0))).toBe(2);
    const grant = loadSlot(shared, 0);
    beginItem(shared, 0, grant, FD + 1);
    expect(wakeUnslotted(shared, 0, 1, WorkerState.Blocked)).toBe(true);
    expect(wakeUnslotted(shared, 0, 1, WorkerState.Blocked)).toBe(false);
    expect(nrRunning(shared, 0)).toBe(2);
    endItem(shared, 0, grant, FD + 1);
    expect(mayBeginItem(shared, 0)).toBe(false); // keep_working(): worker 1 is running
    yieldSlot(shared, 0, grant);
    expect(endUnslotted(shared, 0, 1)).not.toBe(SLOT_FREE); // and takes over the worklist
    expect(nrRunning(shared, 0)).toBe(0);
    expect(count(shared, NR_UNSLOTTED)).toBe(0);
    expectHeld(shared);
  });

  it('let main seize an item, whose worker keeps it outside the slot and is uncounted at its end', () => {
    const grant = grantSlot(shared, 0, 1);
    beginItem(shared, 0, grant, FD);
    expect(seizeSlot(shared, 0, 1, FD)).toBe(true);
    expect(isSeized(shared, 0, FD)).toBe(true);
    expect([1, 2].map((id) => isSeizedFrom(shared, loadSlot(shared, 0), id))).toEqual([true, false]);
    expect(endItem(shared, 0, grant, FD)).toBe(false);
    releaseSeized(shared, 0, 1, WorkerState.CpuIntensive);
    expect(state(shared, 1)).toBe(stateIn(WorkerState.CpuIntensive, 0));
    expect(count(shared, NR_UNSLOTTED)).toBe(1);
    expect(nrRunning(shared, 0)).toBe(0); // out of the concurrency count
    expect(endUnslotted(shared, 0, 1)).not.toBe(SLOT_FREE);
    expect(count(shared, NR_UNSLOTTED)).toBe(0);
    expect(count(shared, NR_OVERSHOOT)).toBe(0);
  });

  it('uncount a worker that sleeps a second time in the same item', () => {
    beginItem(shared, 0, grantSlot(shared, 0, 1), FD);
    leaveSlot(shared, 0, 1, FD, WorkerState.Blocked);
    wakeUnslotted(shared, 0, 1, WorkerState.Blocked);
    expect(uncountUnslotted(shared, 0, 1, WorkerState.Blocked)).toBe(true);
    expect(uncountUnslotted(shared, 0, 1, WorkerState.Blocked)).toBe(false);
    expect(nrRunning(shared, 0)).toBe(0);
  });

  it('let a noticed worker declare its sleep: it counted as running only once it had been found awake', () => {
    beginItem(shared, 0, grantSlot(shared, 0, 1), FD);
    seizeSlot(shared, 0, 1, FD);
    releaseSeized(shared, 0, 1, WorkerState.Noticed);
    expect(blockUnslotted(shared, 0, 1)).toBe(false);
    expect(state(shared, 1)).toBe(stateIn(WorkerState.Blocked, 0));
    wakeUnslotted(shared, 0, 1, WorkerState.Blocked);
    expect(blockUnslotted(shared, 0, 1)).toBe(true);
    expect(state(shared, 1)).toBe(stateIn(WorkerState.Blocked, 0));
    expect(nrRunning(shared, 0)).toBe(0);
  });

  it('let the first of two overshooting workers go idle at its end, and the second take the slot', () => {
    shared = fresh(3);
    for (const id of [1, 2]) {
      beginItem(shared, 0, grantSlot(shared, 0, id), FD + id);
      leaveSlot(shared, 0, id, FD + id, WorkerState.Blocked);
    }
    wakeUnslotted(shared, 0, 1, WorkerState.Blocked);
    wakeUnslotted(shared, 0, 2, WorkerState.Blocked);
    expect(nrRunning(shared, 0)).toBe(2);
    expect(endUnslotted(shared, 0, 1)).toBe(SLOT_FREE);
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
    expect(endUnslotted(shared, 0, 2)).not.toBe(SLOT_FREE);
  });

  it('leave a slot unwanted without pending connections, at max_active, and while a worker runs', () => {
    expect(slotWanted(shared, 0)).toBe(true);
    shared.words[MAX_ACTIVE] = 2;
    shared.words[shared.poolWord(0, NR_UNSLOTTED)] = 2;
    expect(slotWanted(shared, 0)).toBe(false);
    expect(mayBeginItem(shared, 0)).toBe(false);
    shared.words[shared.poolWord(0, NR_UNSLOTTED)] = 1;
    expect(slotWanted(shared, 0)).toBe(true);
    shared.words[shared.poolWord(0, NR_OVERSHOOT)] = 1;
    expect(slotWanted(shared, 0)).toBe(false);
    shared.words[shared.poolWord(0, NR_OVERSHOOT)] = 0;
    shared.words[shared.poolWord(0, CONNECTIONS)] = 1; // the one whose item is in progress
    expect(slotWanted(shared, 0)).toBe(false);
    shared.words[shared.poolWord(0, CONNECTIONS)] = 3;
    expect(slotWanted(shared, 0)).toBe(true);
    grantSlot(shared, 0, 1);
    expect(slotWanted(shared, 0)).toBe(false); // it has a holder
  });

  it('begin with a kick of the lowest idle id', () => {
    shared = fresh(3);
    kick(shared, 0);
    expect(slotHolder(loadSlot(shared, 0))).toBe(1);
    expect(firstIdle(shared)).toBe(2);
    expect(countStates(shared)[WorkerState.Idle]).toBe(2);
  });

  it('do not happen when no worker is idle', () => {
    shared = fresh(0);
    expect(kick(shared, 0)).toBe('no-idle');
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
  });
});
