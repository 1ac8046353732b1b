/**
 * Goal: a worker that a sleeper wakes on its own processor does not stay bound to it, whatever happens in between: another
 * thread wakes it, the sleeper dies, the operator changes the process's processors, the system refuses the calls.
 * Method: kicks on pure shared memory, with the two system calls replaced by a table of masks and races forced by
 * interleave.ts; and a real server under load, whose threads' processors /proc shows.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { goIdle, kick, noteAwake, settleGrant } from '../src/memory/kick.ts';
import { type SharedState, STATE, stateIn, TID, WorkerState } from '../src/memory/layout.ts';
import { grantSlot } from '../src/memory/run-slot.ts';
import { AffineWake } from '../workers/affine-wake.ts';
import { startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { interrupt } from './support/interleave.ts';
import { roundTrip } from './support/managed-server.ts';
import { fresh, state } from './support/slot-memory.ts';
import { until } from './support/wait.ts';

const SLEEPERS_CPU = 3;
const system = vi.hoisted(() => ({
  masks: new Map<number, string>(),
  allowed: '0-7',
  refuses: false,
  calls: 0,
}));

vi.mock('../src/sys/affinity.ts', () => {
  const word = new Int32Array(1);
  const set = (tid: number, mask: { cpus: string }) => {
    Atomics.load(word, 0); // so that another thread can come between
    system.calls++;
    if (!system.refuses) system.masks.set(tid, mask.cpus);
    return !system.refuses;
  };
  return {
    maskOf: (cpu: number) => ({ cpus: String(cpu) }),
    currentCpu: () => SLEEPERS_CPU,
    affinityOf: (_tid: number, mask: { cpus: string }) => {
      mask.cpus = system.allowed;
      return system.refuses ? null : mask;
    },
    setAffinity: set,
  };
});

const tidOf = (id: number) => 1000 + id;
const maskOfWorker = (id: number) => system.masks.get(tidOf(id));

/** Two idle workers; worker 8 is about to sleep. */
function scenario(): { s: SharedState; sleeper: AffineWake } {
  const s = fresh(2);
  for (const id of [1, 2]) s.words[s.workerWord(id, TID)] = tidOf(id);
  system.masks.clear();
  const sleeper = new AffineWake(s, 8);
  return { s, sleeper };
}

/** What worker `id` does first when it is awake (workers/kworker.ts). Its thread is the caller: 0. */
function awakes(s: SharedState, id: number): void {
  const own = new AffineWake(s, id);
  system.masks.delete(0);
  own.freeOwn();
  const freed = system.masks.get(0);
  if (freed !== undefined) system.masks.set(tidOf(id), freed);
  noteAwake(s, id);
}

beforeEach(() => {
  Object.assign(system, { allowed: '0-7', refuses: false, calls: 0 });
});

describe('the worker that a sleeper wakes', () => {
  it('wakes on its processor, and is free at once', () => {
    const { s, sleeper } = scenario();
    const atWake: unknown[] = [];
    vi.spyOn(Atomics, 'notify').mockImplementation(() => atWake.push(maskOfWorker(1)));
    kick(s, 0, sleeper);
    vi.restoreAllMocks();
    expect(atWake).toEqual([String(SLEEPERS_CPU)]);
    expect(maskOfWorker(1)).toBe('0-7');
    expect(maskOfWorker(2)).toBeUndefined();
    system.calls = 0;
    awakes(s, 1);
    expect(system.calls).toBe(1); // that of a new AffineWake: it has nothing to free
  });

  it('is free when another thread wakes it first, at any moment', () => {
    const seen = new Set<number>();
    interrupt(() => {
      const { s, sleeper } = scenario();
      const grant = grantSlot(s, 0, 1);
      const wake = () => {
        const onDuty = stateIn(WorkerState.OnDuty, 1);
        const word = s.workerWord(1, STATE);
        if (Atomics.compareExchange(s.words, word, WorkerState.Idle, onDuty) === WorkerState.Idle)
          awakes(s, 1);
      };
      return {
        run: () => settleGrant(s, 0, grant, sleeper),
        other: wake,
        check: () => {
          seen.add(state(s, 1));
          if (state(s, 1) === stateIn(WorkerState.OnDuty, 0)) awakes(s, 1);
          expect(maskOfWorker(1) ?? '0-7').toBe('0-7');
        },
      };
    });
    expect(seen.size).toBe(2); // woken by either
  });

  it('stays bound when the sleeper dies before the wake, until the next one', () => {
    const { s, sleeper } = scenario();
    sleeper.bind(1);
    kick(s, 0);
    expect(maskOfWorker(1)).toBe('3');
    awakes(s, 1);
    expect(maskOfWorker(1)).toBe('0-7');
  });

  it('does not stay bound when two sleepers bind it and one of them dies, at any moment', () => {
    interrupt(() => {
      const { s, sleeper } = scenario();
      const dying = new AffineWake(s, 7);
      sleeper.bind(1);
      return {
        run: () => dying.bind(1),
        other: () => sleeper.unbind(1),
        check: () => {
          awakes(s, 1);
          expect(maskOfWorker(1)).toBe('0-7');
        },
      };
    });
  });

  it('gets what main may use now, not what it could use once', () => {
    const { s, sleeper } = scenario();
    system.allowed = '2-3';
    kick(s, 0, sleeper);
    expect(maskOfWorker(1)).toBe('2-3');
  });

  it('is not bound where the system refuses, or its number is unknown', () => {
    const { s, sleeper } = scenario();
    s.words[s.workerWord(1, TID)] = 0;
    system.calls = 0;
    expect(kick(s, 0, sleeper)).toBe('kicked');
    expect(system.calls).toBe(0);
    system.refuses = true;
    const refused = new AffineWake(s, 8);
    system.calls = 0;
    goIdle(s, 1, 0);
    refused.bind(2);
    expect(system.calls).toBe(0);
  });
});

describe('a server whose items sleep', () => {
  const allowedOf = (path: string) => /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(path, 'utf8'))?.[1];
  const allowedOfThreads = (pid: number) =>
    readdirSync(`/proc/${pid}/task`).map((tid) => allowedOf(`/proc/${pid}/task/${tid}/status`));

  it('leaves no thread bound, and respects taskset while it runs', async () => {
    const { child, port } = await startBin(['--cpus', '2', '--service', 'sleep:2ms']);
    const { pid } = child;
    const clients = await Promise.all(Array.from({ length: 10 }, () => connectTo(port)));
    const load = async () => {
      for (let i = 0; i < 20; i++) await roundTrip(clients);
    };
    await load();
    const all = allowedOf(`/proc/${pid}/status`);
    await until(() => allowedOfThreads(pid).every((list) => list === all), 'every thread to be free');
    const first = /^\d+/.exec(all ?? '')?.[0] ?? 'none';
    execFileSync('taskset', ['-acp', first, String(pid)]);
    await load();
    await until(() => allowedOfThreads(pid).every((list) => list === first), 'every thread to be on one');
  });
});
