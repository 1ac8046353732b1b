/**
 * When a connection moves to another CPU pool, and to which: a pool that has more ready than it runs gives connections to
 * one that has nothing ready. The policy; the move itself is in move.ts.
 *
 * Used by the workers on duty. It only reads the words of other pools, and writes the watch of its own. Both may be stale
 * at once: then a connection moves needlessly or later, which breaks nothing.
 *
 * A batch of BACKLOG events is a backlog. Where items are taken one at a time, the holder takes two while it watches a
 * pool, and two are a backlog. The watched pool is quiet when no item of it runs and none has begun since the batch
 * before. Then the next connection whose item ends in this pool moves, whichever worker ends it: one for two batches.
 *
 * Pools do not play ball: one that has begun an item meanwhile is not quiet, and one that has just taken a connection over
 * gives none away for STAYS_ITEMS. While no pool has a backlog, or all have, nothing moves.
 */
import { firstIdle } from './kick.ts';
import {
  CONNECTIONS,
  ITEMS,
  KEEPS_UNTIL,
  NR_UNSLOTTED,
  type SharedState,
  WATCHED,
  WATCHED_ITEMS,
} from './layout.ts';
import { STAYS_ITEMS } from './move.ts';
import { loadSlot, mayBeginItem, SLOT_FREE, slotItem } from './run-slot.ts';

/** Ready connections that are a backlog. */
const BACKLOG = 4;
/** The same where items are taken one at a time; then every so many batches begin a watch. */
const BACKLOG_OF_SINGLES = 2;
const SINGLES_PER_LOOK = 4;
/** CPU pools that a look goes through, since there may be 256. */
const POOLS_PER_LOOK = 3;
/** In WATCHED, beside the pool's number from 1: the next connection moves there. */
const MOVES = 1 << 16;

/** No CPU pool: the connection stays. */
export const STAYS = -1;

export class Balance {
  private readonly shared: SharedState;
  private readonly batch: number;
  private readonly backlog: number;
  /** Where the next look begins. */
  private next: number;
  private singles = 0;

  private constructor(shared: SharedState, id: number, batch: number) {
    this.shared = shared;
    this.batch = batch;
    this.backlog = batch === 1 ? BACKLOG_OF_SINGLES : BACKLOG;
    this.next = id % shared.config.cpus;
  }

  /** For a worker that takes `batch` events at a time; null where connections do not move. */
  static for(shared: SharedState, id: number, batch: number): Balance | null {
    const { cpus, affinityScope } = shared.config;
    return cpus > 1 && affinityScope !== 'cpu' ? new Balance(shared, id, batch) : null;
  }

  /** How many events the holder of `pool` takes at most. */
  ask(pool: number): number {
    if (this.batch > 1) return this.batch;
    return this.watched(pool) === 0 ? 1 : BACKLOG_OF_SINGLES;
  }

  /** The holder of `pool` has taken `n` events. */
  taken(pool: number, n: number): void {
    const watched = this.watched(pool);
    const hasBacklog = n >= this.backlog;
    if (watched !== 0) this.watch(pool, hasBacklog && this.isStillQuiet(pool, watched) ? watched | MOVES : 0);
    else if (hasBacklog || (this.batch === 1 && ++this.singles % SINGLES_PER_LOOK === 0)) this.look(pool);
  }

  /** Where the connection goes whose item ends in `pool`: another CPU pool, or STAYS. */
  target(pool: number): number {
    const watched = this.watched(pool);
    if (watched < MOVES) return STAYS;
    this.watch(pool, 0);
    return this.isStillQuiet(pool, watched) ? watched - MOVES - 1 : STAYS;
  }

  private watched(pool: number): number {
    return this.shared.words[this.shared.poolWord(pool, WATCHED)] as number;
  }

  private watch(pool: number, watched: number): void {
    this.shared.words[this.shared.poolWord(pool, WATCHED)] = watched;
  }

  private itemsOf(pool: number): number {
    return Atomics.load(this.shared.words, this.shared.poolWord(pool, ITEMS));
  }

  /** Begins to watch a quiet pool, if this one may give connections away. */
  private look(pool: number): void {
    const { shared } = this;
    if (this.hasJustTaken(pool)) return;
    for (let i = 0; i < POOLS_PER_LOOK; i++) {
      const other = this.next;
      this.next = (other + 1) % shared.config.cpus;
      if (other === pool) continue;
      const items = this.itemsOf(other);
      if (!this.isQuiet(other)) continue;
      shared.words[shared.poolWord(pool, WATCHED_ITEMS)] = items;
      this.watch(pool, other + 1);
      return;
    }
  }

  private hasJustTaken(pool: number): boolean {
    const { shared } = this;
    const rest = ((shared.words[shared.poolWord(pool, KEEPS_UNTIL)] as number) - this.itemsOf(pool)) | 0;
    return rest > 0 && rest <= STAYS_ITEMS; // the words wrap around
  }

  private isStillQuiet(pool: number, watched: number): boolean {
    const { shared } = this;
    const other = (watched & (MOVES - 1)) - 1;
    return this.isQuiet(other) && this.itemsOf(other) === shared.words[shared.poolWord(pool, WATCHED_ITEMS)];
  }

  /** Whether no item of the pool runs, and a worker of it waits for one or would come at once. */
  private isQuiet(pool: number): boolean {
    const { shared } = this;
    const word = loadSlot(shared, pool);
    if (slotItem(word) !== 0 || !mayBeginItem(shared, pool)) return false;
    if (word !== SLOT_FREE) return true;
    const connections = Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
    const isWanted = connections > Atomics.load(shared.words, shared.poolWord(pool, NR_UNSLOTTED));
    return !isWanted && firstIdle(shared) !== 0;
  }
}
