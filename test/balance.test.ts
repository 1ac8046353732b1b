/**
 * Goal: connections move from a CPU pool that always has more ready than it can run to one that has clearly less to do, not
 * for a moment's imbalance, and not to and fro.
 * Method: the policy on shared memory, with ready lists and clock set by the test. That loads become even, and the moves
 * stop, is in cmwq.sim.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { Balance, STAYS, STAYS_MS, WATCH_MS } from '../src/memory/balance.ts';
import { kick } from '../src/memory/kick.ts';
import {
  MAX_ACTIVE,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  SharedState,
  STATE,
  WorkerState,
} from '../src/memory/layout.ts';
import { beginItem, endItem, loadSlot, releaseDead } from '../src/memory/run-slot.ts';
import { fresh } from './support/slot-memory.ts';

const BATCH = 64;
/** Here a batch takes a millisecond: the 16th begins a watch, and every fourth looks. */
const BATCHES_PER_TRY = 16;
const AFTER_WATCH = { to: 1, afterMs: BATCHES_PER_TRY - 1 + 12 };

class Situation {
  readonly shared: SharedState;
  nowMs = 5000;
  readonly ready = new Map([[0, 1]]);
  private readonly made = new Map<number, Balance>();

  /** Pool 0 has a backlog; a worker of each other pool waits for an item. */
  constructor(cpus = 2) {
    this.shared = fresh(cpus + 1, 3, cpus);
    for (let pool = 0; pool < cpus; pool++) kick(this.shared, pool);
  }

  balance(batch = BATCH): Balance {
    const { shared } = this;
    const options = { shared, id: 1, batch, nowMs: () => this.nowMs };
    const made = this.made.get(batch) ?? Balance.for({ ...options, ready: (pool) => this.look(pool) });
    if (made === null) throw new Error('connections do not move');
    this.made.set(batch, made);
    return made;
  }

  onLook = (): void => {};

  private look(pool: number): number {
    this.onLook();
    return this.ready.get(pool) ?? 0;
  }

  set(pool: number, word: number, value: number): void {
    this.shared.words[this.shared.poolWord(pool, word)] = value;
  }

  /** The holder of the other pool's slot is in an item from now on, or no longer. */
  works(pool: number, isAtWork: boolean): void {
    const { shared } = this;
    const word = loadSlot(shared, pool);
    if (isAtWork) this.grants.set(pool, word);
    const grant = this.grants.get(pool) as number;
    expect(isAtWork ? beginItem(shared, pool, word, 9) : endItem(shared, pool, grant, 9)).toBe(true);
  }

  private readonly grants = new Map<number, number>();

  /** Batches of `from` for so long, one a millisecond. Returns where the first connection moves, and when. */
  run(ms: number, from = 0, n = 5, batch = BATCH): { to: number; afterMs: number } {
    for (let afterMs = 0; afterMs < ms; afterMs++, this.nowMs++) {
      const to = this.balance(batch).target(from, n);
      if (to !== STAYS) return { to, afterMs };
    }
    return { to: STAYS, afterMs: ms };
  }
}

describe('a connection of a pool with a backlog', () => {
  it('moves to a pool that has nothing to do, after the watch', () => {
    expect(new Situation().run(100)).toEqual(AFTER_WATCH);
  });

  it('moves also where items are taken one at a time', () => {
    expect(new Situation().run(100, 0, 1, 1)).toEqual({ to: 1, afterMs: 3 + WATCH_MS });
  });

  it('stays when the batches are short', () => {
    expect(new Situation().run(100, 0, 3).to).toBe(STAYS);
  });

  it('stays when once nothing is ready', () => {
    const situation = new Situation();
    expect(situation.run(AFTER_WATCH.afterMs).to).toBe(STAYS);
    situation.ready.delete(0);
    expect(situation.run(1).to).toBe(STAYS);
    situation.ready.set(0, 1);
    expect(situation.run(WATCH_MS).to).toBe(STAYS);
    expect(situation.run(100).to).toBe(1);
  });

  it('stays when the other pool is mostly at work, and moves when it seldom is', () => {
    const run = (period: number, atWork: number) => {
      const situation = new Situation();
      let moves = 0;
      for (let ms = 0; ms < 200; ms++) {
        if (ms % period === 1) situation.works(1, true);
        if (ms % period === 1 + atWork) situation.works(1, false);
        if (situation.run(1).to === 1) moves++;
      }
      return moves;
    };
    expect(run(10, 8)).toBe(0);
    expect(run(10, 2)).toBeGreaterThan(3);
  });

  it('moves to a pool that is always at work, if that has less ready', () => {
    const moves = (ready: number, readyThere: number) => {
      const situation = new Situation();
      situation.works(1, true);
      situation.ready.set(0, ready).set(1, readyThere);
      return situation.run(100).to === 1;
    };
    expect([moves(8, 0), moves(8, 4)]).toEqual([true, true]);
    expect([moves(1, 0), moves(8, 7), moves(4, 4), moves(4, 8)]).toEqual([false, false, false, false]);
    // Relative to how much there is: of many, a few more are no reason.
    expect([moves(50, 42), moves(50, 30)]).toEqual([false, true]);
  });

  it('moves to the pool with the least of those that were looked at', () => {
    const situation = new Situation(4);
    situation.ready.set(0, 9).set(1, 2).set(2, 1).set(3, 3);
    expect(situation.run(100).to).toBe(2);
  });

  it('is looked for once in a millisecond at most', () => {
    const situation = new Situation();
    let looks = 0;
    situation.onLook = () => void looks++;
    for (let batch = 0; batch < 1000; batch++) situation.balance().target(0, 5);
    expect(looks).toBe(2); // once at each pool
  });

  it.each<[string, (situation: Situation) => void]>([
    ['has something ready: its worker waits for a processor', (of) => of.ready.set(1, 1)],
    ['has an item that runs outside the slot', (of) => of.set(1, NR_OVERSHOOT, 1)],
    ['may begin no further item', (of) => of.set(1, NR_UNSLOTTED, of.shared.words[MAX_ACTIVE] as number)],
    ['waits for a worker', (of) => releaseDead(of.shared, 1, loadSlot(of.shared, 1))],
  ])('stays when the other pool %s', (_, arrange) => {
    const situation = new Situation();
    arrange(situation);
    expect(situation.run(100).to).toBe(STAYS);
  });

  it('moves to a pool whose items all sleep, if a worker is idle', () => {
    for (const hasIdle of [true, false]) {
      const situation = new Situation();
      const { shared } = situation;
      releaseDead(shared, 1, loadSlot(shared, 1));
      situation.set(1, NR_UNSLOTTED, 3);
      for (let id = 1; id <= 3 && !hasIdle; id++)
        shared.words[shared.workerWord(id, STATE)] = WorkerState.Blocked;
      expect(situation.run(100).to).toBe(hasIdle ? 1 : STAYS);
    }
  });

  it('stays when it was alone: its pool would only give its work away', () => {
    const situation = new Situation();
    expect(situation.balance().mayGive(0)).toBe(true);
    situation.ready.delete(0);
    expect(situation.balance().mayGive(0)).toBe(false);
  });

  it('moves to the only quiet pool of some', () => {
    const situation = new Situation(7);
    for (const pool of [1, 2, 3, 4, 6]) situation.works(pool, true);
    expect(situation.run(100).to).toBe(5);
  });
});

describe('a pool that has taken a connection over', () => {
  it('gives none away for a while', () => {
    const situation = new Situation();
    expect(situation.run(100).to).toBe(1);
    situation.ready.delete(0);
    situation.ready.set(1, 1);
    const { to, afterMs } = situation.run(1000, 1);
    expect(to).toBe(0);
    expect(afterMs).toBeGreaterThanOrEqual(STAYS_MS);
    expect(afterMs).toBeLessThan(STAYS_MS + WATCH_MS + 2 * BATCHES_PER_TRY);
  });

  it('does so also when the clock of the words wraps around', () => {
    const situation = new Situation();
    situation.nowMs = 2 ** 31 - WATCH_MS;
    expect(situation.run(100)).toEqual(AFTER_WATCH);
    situation.ready.delete(0);
    situation.ready.set(1, 1);
    const { to, afterMs } = situation.run(1000, 1);
    expect(to).toBe(0);
    expect(afterMs).toBeGreaterThanOrEqual(STAYS_MS);
  });
});

describe('connections never move', () => {
  const { config } = new Situation().shared;
  it.each([
    ['in a server with one CPU pool', { ...config, cpus: 1 }],
    ['with the affinity scope cpu', { ...config, affinityScope: 'cpu' as const }],
  ])('%s', (_, changed) => {
    const shared = SharedState.create(changed);
    expect(Balance.for({ shared, id: 1, batch: BATCH, nowMs: () => 0, ready: () => 1 })).toBeNull();
  });
});
