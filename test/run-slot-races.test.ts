/**
 * Goal: no race between two transitions of the run slot leaves it with no holder, a wrong one, or two.
 * Method: pure shared memory, no threads. Races are forced with test/support/interleave.ts: the second thread's steps
 * run before each atomic operation of the first.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { claimWorkerId, countStates, goIdle, kick, repairGrant, settleGrant } from '../src/memory/kick.ts';
import {
  CONNECTIONS,
  ITEM_FD,
  MAX_ACTIVE,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  RUN_SLOT,
  type SharedState,
  STATE,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import {
  beginItem,
  blockUnslotted,
  endItem,
  endUnslotted,
  grantSlot,
  isSeized,
  leaveSlot,
  loadSlot,
  mayBeginItem,
  regrantSlot,
  releaseSeized,
  SLOT_FREE,
  seizeSlot,
  slotHolder,
  uncountUnslotted,
  wakeUnslotted,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import type { CpuPools } from '../src/pool/cpu-pools.ts';
import { inspectExited } from '../src/pool/roster.ts';
import { takeOver, takeOverSeized } from '../src/pool/take-over.ts';
import { interrupt } from './support/interleave.ts';
import { count, expectHeld, FD, fresh, state, workerLooks } from './support/slot-memory.ts';

/** Worker `id` ends its item outside the slot, and goes idle unless it takes the slot. */
function endsUnslotted(s: SharedState, id: number): void {
  if (endUnslotted(s, 0, id) === SLOT_FREE) goIdle(s, id, 0);
}

describe('races, forced', () => {
  it('going idle against a new connection: no wake-up is lost', () => {
    interrupt(() => {
      const s = fresh(1, 0);
      s.words[s.workerWord(1, STATE)] = stateIn(WorkerState.OnDuty, 0);
      return {
        run: () => goIdle(s, 1, 0),
        other: () => {
          Atomics.add(s.words, s.poolWord(0, CONNECTIONS), 1);
          kick(s, 0);
        },
        check: () => expectHeld(s),
      };
    });
  });

  it('a new connection against going idle: no wake-up is lost', () => {
    interrupt(() => {
      const s = fresh(1, 0);
      s.words[s.workerWord(1, STATE)] = stateIn(WorkerState.OnDuty, 0);
      return {
        run: () => {
          Atomics.add(s.words, s.poolWord(0, CONNECTIONS), 1);
          kick(s, 0);
        },
        other: () => goIdle(s, 1, 0),
        check: () => expectHeld(s),
      };
    });
  });

  it('two kicks of one pool put one worker on duty', () => {
    interrupt(() => {
      const s = fresh(2);
      return {
        run: () => kick(s, 0),
        other: () => kick(s, 0),
        check: () => {
          expectHeld(s);
          expect(countStates(s)[WorkerState.OnDuty]).toBe(1);
        },
      };
    });
  });

  it('kicks of two pools never share a worker; the second pool waits for one', () => {
    interrupt(() => {
      const s = fresh(1, 3, 2);
      return {
        run: () => kick(s, 0),
        other: () => kick(s, 1),
        check: () => {
          const held = [0, 1].filter((pool) => loadSlot(s, pool) !== SLOT_FREE);
          expect(held).toHaveLength(1);
          expectHeld(s, held[0]);
          claimWorkerId(s, 102);
          goIdle(s, 2, 0); // the next worker to start takes the other pool
          expectHeld(s, 0);
          expectHeld(s, 1);
        },
      };
    });
  });

  it('kick against culling: a retired worker is never left with the slot', () => {
    interrupt(() => {
      const s = fresh(2);
      return {
        run: () => kick(s, 0),
        other: () => {
          Atomics.compareExchange(s.words, s.workerWord(1, STATE), WorkerState.Idle, WorkerState.Retired);
        },
        check: () => expectHeld(s),
      };
    });
  });

  it('a settle that comes late does not strand the worker', () => {
    // The kicker has granted the slot and is slow; the repair puts the worker on duty, which works, yields, goes
    // idle and is kicked again; only then does the second half of the first kick run.
    interrupt(() => {
      const s = fresh(1);
      const grant = grantSlot(s, 0, 1);
      return {
        run: () => settleGrant(s, 0, grant),
        other: () => {
          repairGrant(s, 0);
          yieldSlot(s, 0, grant);
          goIdle(s, 1, 0);
        },
        check: () => {
          workerLooks(s, 1);
          expectHeld(s);
        },
      };
    });
  });

  it('a late settle that sends a worker to a slot it does not hold ends with the slot held', () => {
    interrupt(() => {
      const s = fresh(1);
      // Another kicker found worker 1 idle; then a late settle of an older grant set worker 1 to OnDuty. It checks the
      // slot while that kicker grants it the slot and, seeing OnDuty, assumes that worker 1 has been notified.
      s.words[s.workerWord(1, STATE)] = stateIn(WorkerState.OnDuty, 0);
      return {
        run: () => workerLooks(s, 1),
        other: () => {
          const grant = grantSlot(s, 0, 1);
          if (grant !== SLOT_FREE) settleGrant(s, 0, grant);
        },
        check: () => expectHeld(s),
      };
    });
  });

  it('a grant to a worker that a late settle has just woken is not lost', () => {
    interrupt(() => {
      const s = fresh(1);
      return {
        run: () => kick(s, 0),
        other: () => {
          const word = s.workerWord(1, STATE);
          Atomics.compareExchange(s.words, word, WorkerState.Idle, stateIn(WorkerState.OnDuty, 0));
          workerLooks(s, 1);
        },
        check: () => {
          workerLooks(s, 1);
          expectHeld(s);
        },
      };
    });
  });

  it('a worker that lost the slot between items and was granted it again discards its stale events', () => {
    const s = fresh(2);
    kick(s, 0);
    const grant = loadSlot(s, 0); // worker 1 holds a batch of events
    // A late kicker of an older grant, which saw worker 1 in an item, passes the slot to worker 2.
    const passed = regrantSlot(s, 0, grant, 2) as number;
    settleGrant(s, 0, passed);
    expect(beginItem(s, 0, grant, FD)).toBe(false);
    beginItem(s, 0, passed, FD);
    leaveSlot(s, 0, 2, FD, WorkerState.Blocked); // worker 2 sleeps in the connection
    const again = grantSlot(s, 0, 1); // a kicker that saw worker 1 idle long ago
    expect(slotHolder(again)).toBe(1);
    expect(beginItem(s, 0, grant, FD)).toBe(false); // else two workers would be in it
    expect(loadSlot(s, 0)).toBe(again);
    goIdle(s, 1, 0); // as after every loss of the slot; it finds the new grant
    expectHeld(s);
  });

  it('main finishes a half-done kick of a dead thread', () => {
    const s = fresh(2);
    grantSlot(s, 0, 1); // and the kicker dies
    repairGrant(s, 0);
    expectHeld(s);
    s.words[s.workerWord(1, STATE)] = WorkerState.Retired; // the worker was culled
    repairGrant(s, 0);
    expect(slotHolder(loadSlot(s, 0))).toBe(2);
    expectHeld(s);
  });

  it('the monitor seizes the slot while the worker ends its item: it is held, and nothing stays counted', () => {
    interrupt(() => {
      const s = fresh(2);
      let kept: boolean | null = null;
      kick(s, 0);
      const grant = loadSlot(s, 0);
      beginItem(s, 0, grant, FD);
      return {
        run: () => {
          kept = endItem(s, 0, grant, FD);
          if (!kept && !isSeized(s, 0, FD)) endsUnslotted(s, 1);
        },
        other: () => {
          if (!seizeSlot(s, 0, 1, FD)) return;
          releaseSeized(s, 0, 1, WorkerState.CpuIntensive);
          kick(s, 0);
        },
        check: () => {
          expectHeld(s);
          expect(count(s, NR_UNSLOTTED)).toBe(0);
          expect(count(s, NR_OVERSHOOT)).toBe(0);
          expect(slotHolder(loadSlot(s, 0))).toBe(kept ? 1 : 2);
        },
      };
    });
  });

  it('the monitor seizes the slot while the worker leaves it to sleep: the item is counted once', () => {
    interrupt(() => {
      const s = fresh(2, 2); // one in the item and one pending, which double counting would hide
      kick(s, 0);
      beginItem(s, 0, loadSlot(s, 0), FD);
      return {
        run: () => {
          leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
          kick(s, 0);
        },
        other: () => {
          if (!seizeSlot(s, 0, 1, FD)) return;
          releaseSeized(s, 0, 1, WorkerState.CpuIntensive);
          kick(s, 0);
        },
        check: () => {
          expect(count(s, NR_UNSLOTTED)).toBe(1);
          expect(slotHolder(loadSlot(s, 0))).toBe(2);
          expectHeld(s);
          wakeUnslotted(s, 0, 1, WorkerState.Blocked);
          endsUnslotted(s, 1);
          expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([0, 0]);
        },
      };
    });
  });

  it('the holder yields to an overshooting worker while that one ends: one of them keeps the slot', () => {
    const scenario = () => {
      const s = fresh(2);
      beginItem(s, 0, grantSlot(s, 0, 1), FD);
      leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
      kick(s, 0);
      wakeUnslotted(s, 0, 1, WorkerState.Blocked);
      const holder = () => {
        if (mayBeginItem(s, 0)) return;
        yieldSlot(s, 0, loadSlot(s, 0));
        goIdle(s, 2, 0);
      };
      const finisher = () => {
        endsUnslotted(s, 1);
      };
      const check = () => {
        expectHeld(s);
        expect([count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)]).toEqual([0, 0]);
      };
      return { holder, finisher, check };
    };
    interrupt(() => {
      const { holder, finisher, check } = scenario();
      return { run: holder, other: finisher, check };
    });
    interrupt(() => {
      const { holder, finisher, check } = scenario();
      return { run: finisher, other: holder, check };
    });
  });

  it('at max_active an ending item and a yielding holder do not leave a wanted slot free', () => {
    const scenario = () => {
      const s = fresh(2, 5);
      s.words[MAX_ACTIVE] = 1;
      beginItem(s, 0, grantSlot(s, 0, 1), FD);
      s.words[s.workerWord(2, STATE)] = stateIn(WorkerState.OnDuty, 0);
      leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
      grantSlot(s, 0, 2);
      const holder = () => {
        if (mayBeginItem(s, 0)) return;
        yieldSlot(s, 0, loadSlot(s, 0));
        goIdle(s, 2, 0);
      };
      const ender = () => {
        wakeUnslotted(s, 0, 1, WorkerState.Blocked);
        endsUnslotted(s, 1);
      };
      return { holder, ender, check: () => expectHeld(s) };
    };
    interrupt(() => {
      const { holder, ender, check } = scenario();
      return { run: holder, other: ender, check };
    });
    interrupt(() => {
      const { holder, ender, check } = scenario();
      return { run: ender, other: holder, check };
    });
  });
});

describe('noticing, forced', () => {
  /** Worker 1 is in an item; the monitor has seen it asleep. Workers 2 and 3 are idle. */
  function inItem(): SharedState {
    const s = fresh(3);
    kick(s, 0);
    beginItem(s, 0, loadSlot(s, 0), FD);
    s.words[s.workerWord(1, ITEM_FD)] = FD;
    return s;
  }

  /** The monitor takes the slot from the sleeper. */
  function notices(s: SharedState): void {
    if (!seizeSlot(s, 0, 1, FD)) return;
    releaseSeized(s, 0, 1, WorkerState.Noticed);
    kick(s, 0);
  }

  /** A worker that has been noticed, and the slot passed on. */
  function noticed(): SharedState {
    const s = inItem();
    notices(s);
    return s;
  }

  /** The end of worker 1's item, as in workers/duty.ts. False while the slot is seized: it would wait. */
  function ends(s: SharedState, grant: number): boolean {
    if (endItem(s, 0, grant, FD)) yieldSlot(s, 0, grant);
    else if (isSeized(s, 0, FD)) return false;
    else endUnslotted(s, 0, 1);
    s.words[s.workerWord(1, ITEM_FD)] = 0;
    goIdle(s, 1, 0);
    return true;
  }

  /** A sleep that worker 1 declares, as in Duty.sleepOutsideSlot; it is the slot's holder as far as it knows. */
  function declares(s: SharedState): void {
    const left = leaveSlot(s, 0, 1, FD, WorkerState.Blocked);
    kick(s, 0);
    if (!left) blockUnslotted(s, 0, 1);
  }

  function wakes(s: SharedState): void {
    if (!wakeUnslotted(s, 0, 1, WorkerState.Blocked)) wakeUnslotted(s, 0, 1, WorkerState.Noticed);
  }

  const counts = (s: SharedState) => [count(s, NR_UNSLOTTED), count(s, NR_OVERSHOOT)];
  const monitorWakes = (s: SharedState) => wakeUnslotted(s, 0, 1, WorkerState.Noticed);

  it('noticed while it ends its item: the slot is held, and nothing stays counted', () => {
    interrupt(() => {
      const s = inItem();
      const grant = grantOf(s);
      let hasEnded = true;
      return {
        run: () => {
          hasEnded = ends(s, grant);
        },
        other: () => notices(s),
        check: () => {
          if (!hasEnded) ends(s, grant);
          expect(counts(s)).toEqual([0, 0]);
          expectHeld(s);
        },
      };
    });
    interrupt(() => {
      const s = inItem();
      const grant = grantOf(s);
      let hasEnded = true;
      return {
        run: () => notices(s),
        other: () => {
          hasEnded = ends(s, grant);
        },
        check: () => {
          if (!hasEnded) ends(s, grant);
          expect(counts(s)).toEqual([0, 0]);
          expectHeld(s);
        },
      };
    });
  });

  it('found awake while it ends its item: nothing stays counted', () => {
    interrupt(() => {
      const s = noticed();
      return {
        run: () => endsUnslotted(s, 1),
        other: () => monitorWakes(s),
        check: () => expect(counts(s)).toEqual([0, 0]),
      };
    });
    interrupt(() => {
      const s = noticed();
      return {
        run: () => monitorWakes(s),
        other: () => endsUnslotted(s, 1),
        check: () => expect(counts(s)).toEqual([0, 0]),
      };
    });
  });

  it('noticed while it wakes from a declared sleep: it counts once, as one of the two', () => {
    const overshooting = () => {
      const s = inItem();
      declares(s);
      return s;
    };
    const monitor = (s: SharedState) => uncountUnslotted(s, 0, 1, WorkerState.Noticed);
    const check = (s: SharedState) => {
      const counted = state(s, 1) === stateIn(WorkerState.Finishing, 0) ? 1 : 0;
      expect(counts(s)).toEqual([1, counted]);
      endsUnslotted(s, 1);
      expect(counts(s)).toEqual([0, 0]);
    };
    interrupt(() => {
      const s = overshooting();
      return { run: () => wakes(s), other: () => monitor(s), check: () => check(s) };
    });
    interrupt(() => {
      const s = overshooting();
      return { run: () => monitor(s), other: () => wakes(s), check: () => check(s) };
    });
  });

  it('noticed, or found awake, while it declares a sleep: it does not count until it wakes', () => {
    const check = (s: SharedState) => {
      expect(counts(s)).toEqual([1, 0]);
      expect(slotHolder(loadSlot(s, 0))).toBe(2);
      wakes(s);
      expect(counts(s)).toEqual([1, 1]);
      endsUnslotted(s, 1);
      expect(counts(s)).toEqual([0, 0]);
    };
    for (const [begin, monitor] of [
      [inItem, notices],
      [noticed, monitorWakes],
    ] as const) {
      interrupt(() => {
        const s = begin();
        return { run: () => declares(s), other: () => monitor(s), check: () => check(s) };
      });
      interrupt(() => {
        const s = begin();
        return { run: () => monitor(s), other: () => declares(s), check: () => check(s) };
      });
    }
  });

  it('noticed and culled: a retired worker is neither counted nor found awake', () => {
    interrupt(() => {
      const s = noticed();
      return {
        run: () => {
          endsUnslotted(s, 1);
          Atomics.compareExchange(s.words, s.workerWord(1, STATE), WorkerState.Idle, WorkerState.Retired);
        },
        other: () => monitorWakes(s),
        check: () => {
          expect(state(s, 1)).toBe(WorkerState.Retired);
          expect(counts(s)).toEqual([0, 0]);
        },
      };
    });
  });

  describe('and a death', () => {
    let inWorklist: Set<number>;
    let pools: CpuPools;

    beforeEach(() => {
      inWorklist = new Set([FD]);
      const worklist = {
        delete: (fd: number) => inWorklist.delete(fd),
        has: (fd: number) => inWorklist.has(fd),
      };
      pools = { worklist: () => worklist } as unknown as CpuPools;
    });

    /** Main handles the end of worker 1's thread. Returns the lost descriptor; null: it must try again. */
    function mainHandles(s: SharedState): number | null {
      const exited = inspectExited(s, 101);
      return exited === null ? null : takeOver(s, pools, exited);
    }

    /** As in the monitor, with the removal from the worklist. */
    function seizes(s: SharedState): void {
      if (!seizeSlot(s, 0, 1, FD)) return;
      inWorklist.delete(FD);
      releaseSeized(s, 0, 1, WorkerState.Noticed);
      kick(s, 0);
    }

    function expectLost(s: SharedState, lost: number | null): void {
      expect(lost).toBe(FD);
      expect(inWorklist).toEqual(new Set());
      kick(s, 0);
      expectHeld(s);
      expect(counts(s)).toEqual([0, 0]);
      expect(state(s, 1)).toBe(WorkerState.Free);
    }

    it('noticed and dies: its connection is lost once, and nothing stays counted', () => {
      for (const monitor of [seizes, monitorWakes]) {
        for (const begin of [inItem, monitor === seizes ? inItem : inItemNoticed]) {
          interrupt(() => {
            inWorklist = new Set([FD]);
            const s = begin();
            let lost: number | null = null;
            return {
              run: () => {
                lost = mainHandles(s);
              },
              other: () => monitor(s),
              check: () => expectLost(s, lost ?? mainHandles(s)),
            };
          });
          interrupt(() => {
            inWorklist = new Set([FD]);
            const s = begin();
            let lost: number | null = null;
            return {
              run: () => monitor(s),
              other: () => {
                lost = mainHandles(s);
              },
              check: () => expectLost(s, lost ?? mainHandles(s)),
            };
          });
        }
      }
    });

    function inItemNoticed(): SharedState {
      const s = inItem();
      seizes(s);
      return s;
    }

    it('the monitor dies having seized the slot: main releases it, and the worker ends its item', () => {
      const s = inItem();
      seizeSlot(s, 0, 1, FD);
      expect(isSeized(s, 0, FD)).toBe(true);
      takeOverSeized(s, pools);
      expect(inWorklist).toEqual(new Set());
      kick(s, 0);
      expect(slotHolder(loadSlot(s, 0))).toBe(2);
      expectHeld(s);
      expect(counts(s)).toEqual([1, 0]);
      endsUnslotted(s, 1);
      expect(counts(s)).toEqual([0, 0]);
      takeOverSeized(s, pools); // nothing is seized: changes nothing
      expectHeld(s);
    });

    it('the worker and the monitor that had seized its slot die: main handles one after the other', () => {
      const s = inItem();
      seizeSlot(s, 0, 1, FD);
      expect(mainHandles(s)).toBe(null);
      takeOverSeized(s, pools);
      expectLost(s, mainHandles(s));
    });
  });
});

/** The grant that worker 1 began its item with: a new one, as the number of a grant does not matter here. */
function grantOf(s: SharedState): number {
  const item = loadSlot(s, 0);
  s.words[s.poolWord(0, RUN_SLOT)] = SLOT_FREE;
  const grant = grantSlot(s, 0, 1);
  s.words[s.poolWord(0, RUN_SLOT)] = item;
  return grant;
}
