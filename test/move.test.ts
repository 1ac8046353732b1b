/**
 * Goal: a connection that moves to another CPU pool is lost at no point, begun by one worker at a time and counted in one
 * pool, whatever the monitor, the workers of both pools and main do meanwhile, and wherever its worker dies.
 * Method: pure shared memory, no threads; worklists are sets. Races are forced with test/support/interleave.ts.
 */
import { describe, expect, it } from 'vitest';
import { goIdle, kick } from '../src/memory/kick.ts';
import {
  CONNECTIONS,
  ITEM_FD,
  MOVED_IN,
  MOVED_OUT,
  NR_UNSLOTTED,
  type SharedState,
  STATE,
  stateIn,
  WorkerState,
} from '../src/memory/layout.ts';
import {
  countMoved,
  countPlaced,
  countRemoved,
  countReturned,
  placeOf,
  poolInPlace,
} from '../src/memory/move.ts';
import {
  beginItem,
  endItem,
  endUnslotted,
  isSeized,
  leaveSlot,
  loadSlot,
  releaseSeized,
  SLOT_FREE,
  seizeSlot,
  slotHolder,
  wakeUnslotted,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import { CpuPools } from '../src/pool/cpu-pools.ts';
import { inspectExited } from '../src/pool/roster.ts';
import { takeOver } from '../src/pool/take-over.ts';
import type { Worklist } from '../src/queue/worklist.ts';
import { processClock } from '../src/sys/clock.ts';
import { interrupt, withHook } from './support/interleave.ts';
import { expectHeld, FD, fresh, workerLooks } from './support/slot-memory.ts';

/** Worker A moves FD from pool P to pool Q; B is on duty for Q, and may move it on to R. */
const [A, B, C] = [1, 2, 3];
const [P, Q, R] = [0, 1, 2];
const ALL = [P, Q, R];
/** Connections of each pool, with FD in P. */
const EACH = 3;

class Stage {
  readonly s: SharedState = fresh(6, EACH, ALL.length);
  readonly lists = ALL.map(() => new Set<number>());
  readonly pools: CpuPools;
  private readonly grants = new Map<number, number>();

  constructor() {
    let made = 0;
    this.pools = new CpuPools(
      this.s,
      () => {
        const list = this.lists[made++] as Set<number>; // one each
        return {
          epollFd: -1,
          wakeFd: -1,
          add: (fd) => list.add(fd),
          delete: (fd) => list.delete(fd),
          has: (fd) => list.has(fd),
          wake() {},
          close() {},
        } satisfies Worklist as unknown as Worklist;
      },
      processClock,
    );
    this.s.words[this.s.poolWord(P, CONNECTIONS)] = EACH - 1;
    countPlaced(this.s, FD, P);
    this.list(P).add(FD);
    for (const pool of ALL) kick(this.s, pool);
    this.begins(A, P);
  }

  list(pool: number): Set<number> {
    return this.lists[pool] as Set<number>; // one each
  }

  count(pool: number, word: number): number {
    return this.s.words[this.s.poolWord(pool, word)] as number;
  }

  /** A worker takes FD from its pool's worklist and begins its item. False: it has lost the slot, or FD is not there. */
  begins(id: number, pool: number): boolean {
    const { s } = this;
    const grant = loadSlot(s, pool);
    if (!this.list(pool).has(FD) || slotHolder(grant) !== id || !beginItem(s, pool, grant, FD)) return false;
    this.grants.set(id, grant);
    Atomics.store(s.words, s.workerWord(id, ITEM_FD), FD);
    return true;
  }

  /** The steps of Duty.move, between each two of which the worker may die. */
  steps(id: number, from: number, to: number): (() => void)[] {
    const { s } = this;
    return [
      () => this.list(from).delete(FD),
      () => {
        if (!endItem(s, from, this.grants.get(id) as number, FD)) endUnslotted(s, from, id);
      },
      () => countMoved(s, FD, from, to),
      () => {
        for (const list of this.lists) expect(list.has(FD)).toBe(false);
        this.list(to).add(FD);
      },
      () => Atomics.store(s.words, s.workerWord(id, ITEM_FD), 0),
      () => kick(s, to),
    ];
  }

  /** Stops before the end of the item while the slot is seized: there the worker would wait. Returns the rest. */
  moves(id: number, from: number, to: number): (() => void)[] {
    const [remove, ...rest] = this.steps(id, from, to) as [() => void, ...(() => void)[]];
    remove();
    while (rest.length > 0 && !isSeized(this.s, from, FD)) rest.shift()?.();
    return rest;
  }

  /** B begins FD, and moves it on, ends its item, or sleeps in it. */
  goesOn(how: 'moves' | 'ends' | 'sleeps'): void {
    const { s } = this;
    if (!this.begins(B, Q)) return;
    if (how === 'moves') this.moves(B, Q, R);
    else if (how === 'ends') {
      endItem(s, Q, this.grants.get(B) as number, FD);
      Atomics.store(s.words, s.workerWord(B, ITEM_FD), 0);
    } else {
      this.list(Q).delete(FD);
      leaveSlot(s, Q, B, FD, WorkerState.Blocked);
      kick(s, Q);
    }
  }

  /** B begins FD, and sleeps or is about to move it; what it returns puts FD back, since nothing else was ready. */
  leavesList(isInSlot: boolean): () => void {
    const { s } = this;
    if (!this.begins(B, Q)) return () => {};
    this.list(Q).delete(FD);
    if (!isInSlot) leaveSlot(s, Q, B, FD, WorkerState.Blocked);
    return () => {
      if (isInSlot) endItem(s, Q, this.grants.get(B) as number, FD);
      countReturned(s, FD);
      this.list(Q).add(FD);
      Atomics.store(s.words, s.workerWord(B, ITEM_FD), 0);
      if (!isInSlot) endUnslotted(s, Q, B);
    };
  }

  /** Main handles the end of A's thread, and closes the connection that it has lost. Returns its descriptor. */
  mainHandles(): number | null {
    const exited = inspectExited(this.s, 100 + A);
    const lost = exited === null ? 0 : takeOver(this.s, this.pools, exited);
    if (lost !== null && lost !== 0) countRemoved(this.s, lost);
    for (const pool of ALL) kick(this.s, pool);
    return lost;
  }

  /** FD is in the worklist of this pool only, which counts it. */
  expectIn(pool: number, connections = ALL.length * EACH): void {
    const { s, lists } = this;
    expect(lists.map((list) => list.has(FD))).toEqual(ALL.map((one) => one === pool));
    expect(poolInPlace(placeOf(s, FD))).toBe(pool);
    this.expectCounts(connections);
  }

  expectCounts(connections: number): void {
    const sum = ALL.reduce((all, pool) => all + this.count(pool, CONNECTIONS), 0);
    expect(sum).toBe(connections);
    for (const pool of ALL) expect(this.count(pool, NR_UNSLOTTED)).toBe(0);
  }
}

describe('a connection that moves', () => {
  it('is then in the worklist and the count of the other CPU pool, whose slot is held', () => {
    const stage = new Stage();
    expect(stage.moves(A, P, Q)).toEqual([]);
    stage.expectIn(Q);
    expect(ALL.map((pool) => stage.count(pool, CONNECTIONS))).toEqual([2, 4, 3]);
    expect([stage.count(P, MOVED_OUT), stage.count(Q, MOVED_IN)]).toEqual([1, 1]);
    expectHeld(stage.s, P);
    expectHeld(stage.s, Q);
  });

  it('may move twice in a row, and is released from the last CPU pool', () => {
    const stage = new Stage();
    stage.moves(A, P, Q);
    stage.goesOn('moves');
    stage.expectIn(R);
    countRemoved(stage.s, FD);
    expect(ALL.map((pool) => stage.count(pool, CONNECTIONS))).toEqual([2, 3, 3]);
  });

  it('has been counted before a worker can move it: main still places it', () => {
    interrupt(() => {
      const stage = new Stage();
      const other = 8;
      const moved = () => {
        if (!stage.list(P).delete(other)) return;
        countMoved(stage.s, other, P, Q);
        stage.list(Q).add(other);
      };
      stage.s.words[stage.s.poolWord(P, CONNECTIONS)] = 1; // the fewest
      return {
        run: () => {
          kick(stage.s, stage.pools.place(other));
        },
        other: moved,
        check: () => {
          moved();
          expect(poolInPlace(placeOf(stage.s, other))).toBe(Q);
          expect(ALL.map((pool) => stage.count(pool, CONNECTIONS))).toEqual([1, 4, 3]);
        },
      };
    });
  });

  it('moves after a sleep outside the slot: the item no longer counts where it began', () => {
    const stage = new Stage();
    const { s } = stage;
    stage.list(P).delete(FD);
    leaveSlot(s, P, A, FD, WorkerState.Blocked);
    kick(s, P);
    wakeUnslotted(s, P, A, WorkerState.Blocked);
    stage.moves(A, P, Q);
    stage.expectIn(Q);
    expectHeld(s, P);
    expect(slotHolder(loadSlot(s, P))).not.toBe(A);
  });
});

describe('moves, forced', () => {
  /** The monitor takes the slot from A. */
  function seizes(stage: Stage): void {
    const { s } = stage;
    if (!seizeSlot(s, P, A, FD)) return;
    stage.list(P).delete(FD);
    releaseSeized(s, P, A, WorkerState.Noticed);
    kick(s, P);
  }

  it('against the seizure of the slot: it moves once, and nothing stays counted', () => {
    const check = (stage: Stage, rest: (() => void)[]) => {
      for (const step of rest) step();
      stage.expectIn(Q);
      expectHeld(stage.s, Q);
      if (slotHolder(loadSlot(stage.s, P)) === SLOT_FREE) goIdle(stage.s, A, 0);
      expectHeld(stage.s, P);
    };
    interrupt(() => {
      const stage = new Stage();
      let rest: (() => void)[] = [];
      return {
        run: () => {
          rest = stage.moves(A, P, Q);
        },
        other: () => seizes(stage),
        check: () => check(stage, rest),
      };
    });
    interrupt(() => {
      const stage = new Stage();
      let rest: (() => void)[] = [];
      return {
        run: () => seizes(stage),
        other: () => {
          rest = stage.moves(A, P, Q);
        },
        check: () => check(stage, rest),
      };
    });
  });

  it('against a worker of the other CPU pool that goes idle: no wake-up is lost', () => {
    const scenario = () => {
      const stage = new Stage();
      const { s } = stage;
      s.words[s.poolWord(Q, CONNECTIONS)] = 0;
      const holder = () => {
        const word = loadSlot(s, Q);
        if (slotHolder(word) !== B || Atomics.load(s.words, s.poolWord(Q, CONNECTIONS)) > 0) return;
        yieldSlot(s, Q, word);
        goIdle(s, B, 0);
      };
      return { stage, holder, check: () => expectHeld(s, Q) };
    };
    interrupt(() => {
      const { stage, holder, check } = scenario();
      return { run: () => void stage.moves(A, P, Q), other: holder, check };
    });
    interrupt(() => {
      const { stage, holder, check } = scenario();
      return { run: holder, other: () => void stage.moves(A, P, Q), check };
    });
  });

  it('against a late kicker that has passed the slot on between the items: nothing is begun twice', () => {
    const stage = new Stage();
    const { s } = stage;
    const [remove, end, ...rest] = stage.steps(A, P, Q) as [() => void, () => void, ...(() => void)[]];
    remove();
    end();
    yieldSlot(s, P, loadSlot(s, P)); // the late kicker
    s.words[s.workerWord(A, STATE)] = stateIn(WorkerState.OnDuty, P);
    kick(s, P);
    const next = slotHolder(loadSlot(s, P));
    expect(next).not.toBe(A);
    expect(stage.begins(next, P)).toBe(false); // FD is in no worklist
    for (const step of rest) step();
    workerLooks(s, A);
    stage.expectIn(Q);
    expect(stage.begins(B, Q)).toBe(true);
  });

  it('with a death after each step: lost before it is in the other worklist, served after', () => {
    const { length } = new Stage().steps(A, P, Q);
    for (const isOut of [false, true]) {
      for (let died = 0; died <= length; died++) {
        const stage = new Stage();
        const { s } = stage;
        if (isOut) seizes(stage);
        for (const step of stage.steps(A, P, Q).slice(0, died)) step();
        const lost = stage.mainHandles();
        const isThere = died >= 4;
        expect(lost, `step ${died}`).toBe(isThere ? 0 : FD);
        if (isThere) stage.expectIn(Q);
        else stage.expectCounts(ALL.length * EACH - 1);
        expectHeld(s, P);
        expectHeld(s, Q);
      }
    }
  });

  it.each(['moves', 'ends', 'sleeps'] as const)(
    'with a death after the move while the next worker %s: it is not lost',
    (how) => {
      const scenario = () => {
        const stage = new Stage();
        for (const step of stage.steps(A, P, Q).slice(0, 4)) step(); // A dies with ITEM_FD = FD
        return stage;
      };
      interrupt(() => {
        const stage = scenario();
        let lost: number | null = null;
        return {
          run: () => {
            lost = stage.mainHandles();
          },
          other: () => stage.goesOn(how),
          check: (cutAt) => expect(lost, `before operation ${cutAt}`).toBe(0),
        };
      });
      interrupt(() => {
        const stage = scenario();
        let lost: number | null = null;
        return {
          run: () => stage.goesOn(how),
          other: () => {
            lost = stage.mainHandles();
          },
          check: (cutAt) => expect(lost, `before operation ${cutAt}`).toBe(0),
        };
      });
    },
  );

  it('with a death after the move while it moves on and back: main does not mistake the one for the other', () => {
    let operations = 1;
    for (let on = 0; on < operations; on++) {
      for (let back = on; back < operations; back++) {
        const stage = new Stage();
        for (const step of stage.steps(A, P, Q).slice(0, 4)) step();
        let lost: number | null = null;
        operations = withHook(
          (n) => {
            if (n === on) stage.goesOn('moves');
            if (n === back && stage.begins(C, R)) stage.moves(C, R, Q);
          },
          () => {
            lost = stage.mainHandles();
          },
        );
        expect(lost, `before operations ${on} and ${back}`).toBe(0);
      }
    }
    expect(operations).toBeGreaterThan(10);
  });

  it.each([true, false])(
    'with a death after the move while it leaves the worklist and returns to it, in the slot: %s',
    (isInSlot) => {
      let operations = 1;
      for (let out = 0; out < operations; out++) {
        for (let back = out; back < operations; back++) {
          const stage = new Stage();
          for (const step of stage.steps(A, P, Q).slice(0, 4)) step();
          let returns = () => {};
          let lost: number | null = null;
          operations = withHook(
            (n) => {
              if (n === out) returns = stage.leavesList(isInSlot);
              if (n === back) returns();
            },
            () => {
              lost = stage.mainHandles();
            },
          );
          expect(lost, `before operations ${out} and ${back}`).toBe(0);
        }
      }
      expect(operations).toBeGreaterThan(10);
    },
  );

  it('with the deaths of both workers: one of them costs it', () => {
    const stage = new Stage();
    const { s } = stage;
    for (const step of stage.steps(A, P, Q).slice(0, 4)) step();
    stage.begins(B, Q);
    for (const step of stage.steps(B, Q, R).slice(0, 3)) step(); // both die: FD is in no worklist
    expect(stage.mainHandles()).toBe(0); // B, whose item it is, is still there
    const exited = inspectExited(s, 100 + B);
    expect(exited && takeOver(s, stage.pools, exited)).toBe(FD);
    countRemoved(s, FD);
    expect(ALL.map((pool) => stage.count(pool, CONNECTIONS))).toEqual([2, 3, 3]);
    expect(slotHolder(loadSlot(s, R))).toBe(C);
  });
});
