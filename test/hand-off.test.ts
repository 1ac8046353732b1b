/**
 * Goal: a recording of a hand-off has its steps in order, of one item that slept, and of no other.
 * Method: pure shared memory that the production transitions change, with a look after each; times are the test's. One
 * real server, whose recorded steps are checked for what must hold on any machine.
 */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type HandOff, HandOffRecorder } from '../src/admin/hand-off.ts';
import { setIdle } from '../src/memory/kick.ts';
import {
  addTo,
  COMPLETED,
  ITEM_FD,
  ITEM_ID,
  type SharedState,
  STATE,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import {
  beginItem,
  endItem,
  endUnslotted,
  grantSlot,
  leaveSlot,
  loadSlot,
  wakeUnslotted,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import { ask, startAdmin } from './support/admin.ts';
import { Load } from './support/load.ts';
import { startServer } from './support/server.ts';
import { fresh } from './support/slot-memory.ts';
import { until } from './support/wait.ts';

const POOL = 1;
const [A, B] = [1, 2];
const [FD_A, FD_B] = [20, 30];

let shared: SharedState;
let recorder: HandOffRecorder;
let nowUs: number;

/** Looks 10 us after the last time. */
function look(): boolean {
  nowUs += 10;
  return recorder.look(nowUs);
}

function onDuty(id: number): void {
  Atomics.store(shared.words, shared.workerWord(id, STATE), stateIn(WorkerState.OnDuty, POOL));
  grantSlot(shared, POOL, id);
}

function begin(id: number, fd: number): void {
  shared.doubles[shared.workerDouble(id, ITEM_ID)] = 100 + fd;
  beginItem(shared, POOL, loadSlot(shared, POOL), fd);
  Atomics.store(shared.words, shared.workerWord(id, ITEM_FD), fd);
}

function noteEnd(id: number): void {
  Atomics.store(shared.words, shared.workerWord(id, ITEM_FD), 0);
  addTo(shared.doubles, shared.workerDouble(id, COMPLETED), 1);
}

beforeEach(() => {
  shared = fresh(2, 3, 2);
  recorder = new HandOffRecorder(shared);
  nowUs = 1000;
  setIdle(shared, B);
  onDuty(A);
  look();
  begin(A, FD_A);
  look();
});

const steps = () =>
  recorder.handOff?.steps.map(({ kind, atUs, nrRunning, slot, sleeperState, nextState }) =>
    [kind, atUs, nrRunning, slot, sleeperState, nextState].join(' '),
  );

describe('a recording', () => {
  it('has every step, with its time, nr_running, the slot and both workers', () => {
    leaveSlot(shared, POOL, A, FD_A, WorkerState.Blocked);
    look();
    onDuty(B);
    look();
    expect(recorder.isWaiting).toBe(false);
    begin(B, FD_B);
    look();
    expect(recorder.isWaiting).toBe(true);
    nowUs += 5000;
    wakeUnslotted(shared, POOL, A, WorkerState.Blocked);
    look();
    noteEnd(A);
    expect(look()).toBe(false); // its worker is still on its way out
    endUnslotted(shared, POOL, A);
    setIdle(shared, A);
    expect(look()).toBe(true);
    expect(recorder.isWhole).toBe(true);
    expect(recorder.handOff).toMatchObject({ pool: POOL, sleeper: A, next: B, connection: 120 });
    expect(steps()).toEqual([
      'begins 0 1 1 running idle',
      'sleeps 10 0 0 blocked idle',
      'onDuty 20 0 2 blocked onDuty',
      'nextBegins 30 1 2 blocked running',
      'wakes 5040 2 2 finishing running',
      'ends 5060 1 2 idle running',
    ]);
  });

  it('has steps at one time if no look was between them', () => {
    leaveSlot(shared, POOL, A, FD_A, WorkerState.Blocked);
    onDuty(B);
    begin(B, FD_B);
    look();
    wakeUnslotted(shared, POOL, A, WorkerState.Blocked);
    noteEnd(A);
    endUnslotted(shared, POOL, A);
    setIdle(shared, A);
    expect(look()).toBe(true);
    expect(steps()?.map((text) => text.split(' ').slice(0, 2).join(' '))).toEqual([
      'begins 0',
      'sleeps 10',
      'onDuty 10',
      'nextBegins 10',
      'wakes 20',
      'ends 20',
    ]);
  });

  it('is not of an item that ends with the slot, nor of one that was in progress at the first look', () => {
    recorder = new HandOffRecorder(shared); // A is in its item
    leaveSlot(shared, POOL, A, FD_A, WorkerState.Blocked);
    look();
    onDuty(B);
    begin(B, FD_B);
    look();
    endItem(shared, POOL, loadSlot(shared, POOL), FD_B);
    noteEnd(B);
    yieldSlot(shared, POOL, loadSlot(shared, POOL));
    setIdle(shared, B);
    expect(look()).toBe(false);
    expect(recorder.handOff).toBeNull();
  });

  it('is not of an item that computes for too long', () => {
    leaveSlot(shared, POOL, A, FD_A, WorkerState.CpuIntensive);
    onDuty(B);
    look();
    expect(recorder.handOff).toBeNull();
  });

  it('is not of a sleep during which no worker takes the slot', () => {
    leaveSlot(shared, POOL, A, FD_A, WorkerState.Blocked);
    look();
    wakeUnslotted(shared, POOL, A, WorkerState.Blocked);
    noteEnd(A);
    endUnslotted(shared, POOL, A);
    expect(look()).toBe(false);
    expect(recorder.handOff).toBeNull();
  });
});

describe('GET /hand-off.json', () => {
  const handOffOf = async (url: string) =>
    JSON.parse((await ask(url, '/hand-off.json')).body) as HandOff | null;

  it('answers with a hand-off of the server', async () => {
    const { server, port } = await startServer({ cpus: 1, service: ['burn:2ms,sleep:20ms,burn:2ms'] });
    const { url } = await startAdmin(server);
    const load = new Load(port, 4);
    onTestFinished(() => load.stop());
    await load.progress(1);
    const found: HandOff[] = [];
    await until(async () => {
      const handOff = await handOffOf(url);
      if (handOff !== null) found.push(handOff);
      return handOff !== null;
    }, 'a hand-off');
    const { sleeper, next, steps } = found[0] as HandOff; // until() has waited for it
    expect(next).not.toBe(sleeper);
    expect(steps.slice(0, 3).map(({ kind }) => kind)).toEqual(['begins', 'sleeps', 'onDuty']);
    const times = steps.map(({ atUs }) => atUs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('answers null for a server without run slots, and refuses pages of other sites', async () => {
    const { server } = await startServer({ strategy: 'workqueue', workers: 1 });
    const { url } = await startAdmin(server);
    expect(await handOffOf(url)).toBeNull();
    const headers = { 'sec-fetch-site': 'cross-site' };
    expect((await ask(url, '/hand-off.json', { headers })).status).toBe(403);
  });
});
