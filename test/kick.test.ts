/**
 * Goal: a kick, its second half, its repair and going idle end as documented, also in the cases that only a death or a
 * race reaches: what they return, which worker they wake, and what they leave alone.
 * Method: pure shared memory, no threads; `interleave.ts` interrupts them with another thread's steps.
 */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  claimWorkerId,
  countStates,
  firstIdle,
  goIdle,
  type Kick,
  kick,
  noteAwake,
  repairGrant,
  setIdle,
  settleGrant,
} from '../src/memory/kick.ts';
import {
  BELL,
  CONNECTIONS,
  IDLE_BITS,
  MAX_ACTIVE,
  NO_IDLE,
  RESCUER_ID,
  SharedState,
  STATE,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import {
  beginItem,
  grantSlot,
  isGrantTo,
  itemWord,
  loadSlot,
  SLOT_FREE,
  seizeSlot,
  slotHolder,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import { interrupt } from './support/interleave.ts';

const FD = 7;
const ON_DUTY = stateIn(WorkerState.OnDuty, 0);
let shared: SharedState;

/** Workers 1..n idle, one CPU pool with a connection to serve. */
function fresh(workers: number): SharedState {
  const s = SharedState.create({ cpus: 1, workers: 8, fdLimit: 64, spills: 2 });
  s.words[MAX_ACTIVE] = 1024;
  s.words[s.poolWord(0, CONNECTIONS)] = 1;
  for (let id = 1; id <= workers; id++) {
    claimWorkerId(s, 100 + id);
    setIdle(s, id);
  }
  return s;
}

function setState(s: SharedState, id: number, state: number): void {
  s.words[s.workerWord(id, STATE)] = state;
}

function stateWord(s: SharedState, id: number): number {
  return s.words[s.workerWord(id, STATE)] as number;
}

/** The ids whose STATE words Atomics.notify is called for, until the test ends. */
function recordWaking(s: SharedState): number[] {
  const woken: number[] = [];
  const original = Atomics.notify;
  Atomics.notify = (...args: [Int32Array | BigInt64Array, number, number?]) => {
    for (let id = 1; id <= s.config.workers; id++) if (args[1] === s.workerWord(id, STATE)) woken.push(id);
    return original(...(args as Parameters<typeof original>));
  };
  onTestFinished(() => {
    Atomics.notify = original;
  });
  return woken;
}

beforeEach(() => {
  shared = fresh(2);
});

describe('kick', () => {
  it('wakes the worker that it puts on duty, and returns "kicked"', () => {
    const woken = recordWaking(shared);
    expect(kick(shared, 0)).toBe('kicked');
    expect(woken).toEqual([1]);
    expect(stateWord(shared, 1)).toBe(ON_DUTY);
  });

  it('does nothing for a slot that is not wanted', () => {
    const woken = recordWaking(shared);
    shared.words[shared.poolWord(0, CONNECTIONS)] = 0;
    expect(kick(shared, 0)).toBe('not-wanted');
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
    expect(woken).toEqual([]);
  });

  it('leaves the slot to a faster kicker', () => {
    const answers: Kick[] = [];
    interrupt(() => {
      const s = fresh(2);
      return {
        run: () => answers.push(kick(s, 0)),
        other: () => {
          grantSlot(s, 0, 2);
        },
        check: () => expect(loadSlot(s, 0)).not.toBe(SLOT_FREE),
      };
    });
    expect(new Set(answers)).toEqual(new Set(['kicked', 'not-wanted']));
  });

  it('returns "no-idle" when the only idle worker retires at the same time', () => {
    const answers: Kick[] = [];
    interrupt(() => {
      const s = fresh(1);
      return {
        run: () => answers.push(kick(s, 0)),
        other: () => {
          Atomics.compareExchange(s.words, s.workerWord(1, STATE), WorkerState.Idle, WorkerState.Retired);
        },
        check: () => {
          const kicked = answers.at(-1) === 'kicked';
          expect(stateWord(s, 1)).toBe(kicked ? ON_DUTY : WorkerState.Retired);
          expect(slotHolder(loadSlot(s, 0))).toBe(kicked ? 1 : 0);
        },
      };
    });
    expect(new Set(answers)).toEqual(new Set(['kicked', 'no-idle']));
  });
});

describe('settleGrant', () => {
  it('passes the slot of a retired worker to another, and wakes only that one', () => {
    const woken = recordWaking(shared);
    const grant = grantSlot(shared, 0, 1);
    setState(shared, 1, WorkerState.Retired);
    expect(settleGrant(shared, 0, grant)).toBe(true);
    expect(isGrantTo(loadSlot(shared, 0), 2)).toBe(true);
    expect(stateWord(shared, 2)).toBe(ON_DUTY);
    expect(woken).toEqual([2]);
  });

  it('frees the slot when no worker is idle, and asks for another check', () => {
    const grant = grantSlot(shared, 0, 1);
    for (const id of [1, 2]) setState(shared, id, WorkerState.Retired);
    expect(settleGrant(shared, 0, grant)).toBe(false);
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
  });

  it('asks for another check when another thread has settled the grant', () => {
    const s = fresh(2);
    const earlier = grantSlot(s, 0, 1);
    yieldSlot(s, 0, earlier);
    beginItem(s, 0, grantSlot(s, 0, 2), FD);
    setState(s, 2, ON_DUTY);
    setState(s, 1, WorkerState.Retired); // granted before; worker 2 has the slot now
    expect(settleGrant(s, 0, earlier)).toBe(false);
    expect(loadSlot(s, 0)).toBe(itemWord(2, FD));
  });
});

describe('a worker that goes idle', () => {
  it.each([0, 1, 2, 3, 4])('kicks CPU pool id modulo cpus first: worker %i + 1', (n) => {
    const s = SharedState.create({ cpus: 3, workers: 8, fdLimit: 64, spills: 2 });
    s.words[MAX_ACTIVE] = 1024;
    for (let pool = 0; pool < 3; pool++) s.words[s.poolWord(pool, CONNECTIONS)] = 1;
    for (let id = 1; id <= n + 1; id++) claimWorkerId(s, 100 + id);
    goIdle(s, n + 1, 0);
    const held = [0, 1, 2].filter((pool) => slotHolder(loadSlot(s, pool)) === n + 1);
    expect(held).toEqual([(n + 1) % 3]);
  });
});

describe('the last worker to go idle, granted the slot of its last duty', () => {
  it('is kicked for another CPU pool meanwhile: it serves one of the two, and the next one looks at the other', () => {
    interrupt(() => {
      const s = SharedState.create({ cpus: 2, workers: 8, fdLimit: 64, spills: 2 });
      s.words[MAX_ACTIVE] = 1024;
      for (const pool of [0, 1]) s.words[s.poolWord(pool, CONNECTIONS)] = 1;
      claimWorkerId(s, 101);
      setState(s, 1, ON_DUTY);
      grantSlot(s, 0, 1); // by a kicker that had seen it idle before
      return {
        run: () => goIdle(s, 1, 0),
        other: () => kick(s, 1),
        check: () => {
          const held = [0, 1].filter((pool) => slotHolder(loadSlot(s, pool)) === 1);
          expect(held).toHaveLength(1);
          expect(stateWord(s, 1)).toBe(stateIn(WorkerState.OnDuty, held[0] as number)); // just checked
          expect(s.words[NO_IDLE]).toBe(1);
        },
      };
    });
  });
});

describe('idle workers', () => {
  function withWorkers(workers: number): SharedState {
    const s = SharedState.create({ cpus: 1, workers, fdLimit: 64, spills: 2 });
    for (let id = 1; id <= workers; id++) claimWorkerId(s, 100 + id);
    return s;
  }

  it.each([1, 31, 32, 33, 64, 2045, 2046])('are found at id %i, once each, and not once awake', (id) => {
    const s = withWorkers(id);
    expect(firstIdle(s)).toBe(0);
    const before = s.words.slice();
    setIdle(s, id);
    const changed = [...s.words.keys()].filter((i) => s.words[i] !== before[i]);
    expect(changed).toEqual([IDLE_BITS + Math.floor(id / 32), s.workerWord(id, STATE)]);
    expect(firstIdle(s)).toBe(id);
    setState(s, id, ON_DUTY); // kicked, not yet awake
    expect(firstIdle(s)).toBe(0);
    noteAwake(s, id);
    setState(s, id, WorkerState.Idle); // never without its bit
    expect(firstIdle(s)).toBe(0);
  });

  it('are taken from the lowest id, past the ones that are already woken', () => {
    const s = withWorkers(70);
    for (const id of [69, 5, 40, 3]) setIdle(s, id);
    const found = [3, 5, 40, 69].map(() => {
      const id = firstIdle(s);
      setState(s, id, ON_DUTY);
      return id;
    });
    expect(found).toEqual([3, 5, 40, 69]);
    expect(firstIdle(s)).toBe(0);
  });

  it('of a thread that died are not found, and its successor is', () => {
    const s = withWorkers(2);
    setIdle(s, 2);
    setState(s, 2, WorkerState.Free); // its bit stays
    expect(firstIdle(s)).toBe(0);
    setState(s, 2, WorkerState.Starting);
    expect(firstIdle(s)).toBe(0);
    goIdle(s, 2, 0);
    expect(firstIdle(s)).toBe(2);
  });
});

describe('a kick that finds no idle worker', () => {
  /** Two CPU pools, both with work; worker 1 is about to go idle from a duty for pool 0, which another worker holds. */
  function twoPools(): SharedState {
    const s = SharedState.create({ cpus: 2, workers: 8, fdLimit: 64, spills: 2 });
    s.words[MAX_ACTIVE] = 1024;
    for (let pool = 0; pool < 2; pool++) s.words[s.poolWord(pool, CONNECTIONS)] = 1;
    for (const id of [1, 2]) {
      claimWorkerId(s, 100 + id);
      setState(s, id, ON_DUTY);
    }
    grantSlot(s, 0, 2);
    return s;
  }

  function expectPool1Held(s: SharedState): void {
    expect(slotHolder(loadSlot(s, 1))).toBe(1);
    expect(stateWord(s, 1)).toBe(stateIn(WorkerState.OnDuty, 1));
  }

  it('against a worker that goes idle: the CPU pool gets it', () => {
    interrupt(() => {
      const s = twoPools();
      return { run: () => kick(s, 1), other: () => goIdle(s, 1, 0), check: () => expectPool1Held(s) };
    });
  });

  it('and a worker that goes idle against it: the same', () => {
    interrupt(() => {
      const s = twoPools();
      return { run: () => goIdle(s, 1, 0), other: () => kick(s, 1), check: () => expectPool1Held(s) };
    });
  });

  it('is all that makes a worker look at other CPU pools, and ring main', () => {
    const s = twoPools();
    s.words[BELL] = 1;
    goIdle(s, 1, 0);
    expect(loadSlot(s, 1)).toBe(SLOT_FREE); // nothing has kicked it
    expect(s.words[BELL]).toBe(1);
    setState(s, 1, ON_DUTY);
    expect(kick(s, 1)).toBe('no-idle');
    goIdle(s, 1, 0);
    expectPool1Held(s);
    expect(s.words[BELL]).toBe(0);
    expect(s.words[NO_IDLE]).toBe(0);
  });
});

describe('repairGrant', () => {
  it('leaves a free slot free', () => {
    repairGrant(shared, 0);
    expect(loadSlot(shared, 0)).toBe(SLOT_FREE);
    expect(firstIdle(shared)).toBe(1);
  });

  it('leaves the holder in its item', () => {
    beginItem(shared, 0, grantSlot(shared, 0, 1), FD);
    setState(shared, 1, WorkerState.Retired); // asked to exit, but still in the item
    repairGrant(shared, 0);
    expect(loadSlot(shared, 0)).toBe(itemWord(1, FD));
    expect(stateWord(shared, 2)).toBe(WorkerState.Idle);
  });

  it('leaves a slot that main has seized', () => {
    beginItem(shared, 0, grantSlot(shared, 0, 1), FD);
    seizeSlot(shared, 0, 1, FD);
    const seized = loadSlot(shared, 0);
    repairGrant(shared, 0);
    expect(loadSlot(shared, 0)).toBe(seized);
  });

  it('finds a worker that goes idle while it frees the slot', () => {
    interrupt(() => {
      const s = fresh(2);
      grantSlot(s, 0, 1);
      setState(s, 1, WorkerState.Retired);
      setState(s, 2, ON_DUTY);
      return {
        run: () => repairGrant(s, 0),
        other: () => goIdle(s, 2, 0),
        check: () => {
          expect(slotHolder(loadSlot(s, 0))).toBe(2);
          expect(stateWord(s, 2)).toBe(ON_DUTY);
        },
      };
    });
  });
});

describe('worker ids', () => {
  it('are claimed from the lowest, once each, and begin as Starting', () => {
    const s = fresh(0);
    const ids = Array.from({ length: 9 }, (_, n) => claimWorkerId(s, 500 + n));
    expect(ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
    for (let id = 1; id <= 8; id++) expect(stateWord(s, id)).toBe(WorkerState.Starting);
    expect(countStates(s)[WorkerState.Starting]).toBe(8);
  });

  it('are counted by state, without the rescuer', () => {
    shared.words[RESCUER_ID] = 2;
    expect(countStates(shared)[WorkerState.Idle]).toBe(1);
    setState(shared, 1, stateIn(WorkerState.Blocked, 0));
    expect(countStates(shared)[WorkerState.Idle]).toBe(0);
    expect(countStates(shared)[WorkerState.Blocked]).toBe(1);
  });
});
