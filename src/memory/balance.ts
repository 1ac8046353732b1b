/**
 * When a connection moves to another CPU pool, and to which: a pool that always has more ready than it can run gives one to
 * a pool that has nothing to do. This is the policy; the move is in move.ts.
 *
 * Used by the workers on duty. It reads words and ready lists of CPU pools and writes the watch of its own pool. What it
 * reads may be stale, and two workers may write the watch at a time: then a connection moves needlessly, or later, and
 * nothing breaks.
 *
 * At the end of a batch, with something still ready, a worker begins to watch a pool that has nothing to do, and looks at
 * both again at the ends of further batches. If for WATCH_MS something has always been ready here, and the other pool was at
 * work in at most half of the looks, a connection moves there, and the watch ends. A single look proves nothing: batches,
 * threads that wait for a processor and clients that send in bursts make any pool look idle for a moment.
 *
 * So that connections do not move to and fro, a pool that has taken one over gives none away for STAYS_MS, and the other
 * pools that watched it begin anew. While no pool has more than it can run, or all are at work, nothing moves.
 */
import { firstIdle } from './kick.ts';
import { type SharedState, TAKEN_MS, WATCHED, WATCHED_LOOKS, WATCHED_SINCE_MS } from './layout.ts';
import { loadSlot, mayBeginItem, SLOT_FREE, slotItem, slotWanted } from './run-slot.ts';

interface Pace {
  /** A watch begins only after a batch of so many events. */
  fromEvents: number;
  /** Batches between two tries to begin one, and between two looks of one: each costs up to three system calls. */
  perTry: number;
  perLook: number;
}

const PACE: Pace = { fromEvents: 4, perTry: 16, perLook: 4 };
/** Where items are taken one at a time: they do more than echo, so they take longer. */
const PACE_OF_SINGLES: Pace = { fromEvents: 0, perTry: 4, perLook: 1 };
/** CPU pools of which one may be watched, in one try; there may be 256. */
const POOLS_PER_TRY = 3;
export const WATCH_MS = 10;
/** A watched pool takes a connection if it is at work in at most one look of so many. */
const LOOKS_PER_WORK = 2;
export const STAYS_MS = 100;
/** WATCHED_LOOKS: all looks in the low bits, those that found the pool at work above. */
const ONE_WORK = 1 << 16;

/** No CPU pool: the connection stays. */
export const STAYS = -1;

export interface BalanceOptions {
  shared: SharedState;
  /** Worker id. */
  id: number;
  /** Events that the worker takes at a time. */
  batch: number;
  /** The monotonic clock. */
  nowMs: () => number;
  /** Whether an item of the CPU pool could be begun. */
  hasReady: (pool: number) => boolean;
}

export class Balance {
  private readonly options: BalanceOptions;
  private readonly pace: Pace;
  /** The pool that the next try begins with. */
  private next: number;
  private batches = 0;

  private constructor(options: BalanceOptions) {
    this.options = options;
    this.pace = options.batch === 1 ? PACE_OF_SINGLES : PACE;
    this.next = options.id % options.shared.config.cpus;
  }

  /** Null where connections stay in their CPU pools. */
  static for(options: BalanceOptions): Balance | null {
    const { cpus, affinityScope } = options.shared.config;
    return cpus > 1 && affinityScope !== 'cpu' ? new Balance(options) : null;
  }

  /**
   * Called in the last item of a batch of `n` events of `pool`, or in one that has left the slot, at its end: where its
   * connection goes, another CPU pool or STAYS.
   */
  target(pool: number, n: number): number {
    const watched = this.word(pool, WATCHED);
    const { fromEvents, perTry, perLook } = this.pace;
    if (++this.batches % (watched === 0 ? perTry : perLook) !== 0) return STAYS;
    if (watched !== 0) return this.look(pool, watched - 1);
    if (n >= fromEvents) this.beginWatch(pool);
    return STAYS;
  }

  /**
   * Asked once more when the connection is out of the worklist: false if nothing else is ready, so that it stays. Else
   * pools would move a single busy connection to and fro.
   */
  mayGive(pool: number): boolean {
    return this.options.hasReady(pool);
  }

  private word(pool: number, word: number): number {
    const { shared } = this.options;
    return shared.words[shared.poolWord(pool, word)] as number;
  }

  private set(pool: number, word: number, value: number): void {
    const { shared } = this.options;
    shared.words[shared.poolWord(pool, word)] = value;
  }

  /** Begins to watch a pool that has nothing to do, if this one may give connections away. */
  private beginWatch(pool: number): void {
    const { shared, hasReady, nowMs } = this.options;
    for (let i = Math.min(POOLS_PER_TRY, shared.config.cpus); i > 0; i--) {
      const other = this.next;
      this.next = (other + 1) % shared.config.cpus;
      if (other === pool || !this.isQuiet(other)) continue;
      const now = nowMs() | 0;
      if (this.hasTakenIn(pool, STAYS_MS, now) || !hasReady(pool)) return;
      this.set(pool, WATCHED_SINCE_MS, now);
      this.set(pool, WATCHED_LOOKS, 1);
      this.set(pool, WATCHED, other + 1);
      return;
    }
  }

  /** One more look at both pools. Returns the target. */
  private look(pool: number, other: number): number {
    const now = this.options.nowMs() | 0;
    const forMs = (now - this.word(pool, WATCHED_SINCE_MS)) | 0;
    const looks = this.word(pool, WATCHED_LOOKS) + 1 + (this.isQuiet(other) ? 0 : ONE_WORK);
    this.set(pool, WATCHED_LOOKS, looks);
    const hasReady = this.options.hasReady(pool);
    if (hasReady && forMs < WATCH_MS) return STAYS;
    this.set(pool, WATCHED, 0);
    const atWork = Math.floor(looks / ONE_WORK);
    if (!hasReady || atWork * LOOKS_PER_WORK > looks % ONE_WORK) return STAYS;
    if (this.hasTakenIn(other, forMs + 1, now)) return STAYS;
    this.set(other, TAKEN_MS, now);
    return other;
  }

  /** Whether the pool has taken a connection over in the last `ms` before `now`. The clock of the words wraps around. */
  private hasTakenIn(pool: number, ms: number, now: number): boolean {
    const agoMs = (now - this.word(pool, TAKEN_MS)) | 0;
    return agoMs >= 0 && agoMs < ms;
  }

  /** Whether no item of the pool runs or is ready, and a worker of it waits for one or would come at once. */
  private isQuiet(pool: number): boolean {
    const { shared, hasReady } = this.options;
    const word = loadSlot(shared, pool);
    if (slotItem(word) !== 0 || !mayBeginItem(shared, pool) || hasReady(pool)) return false;
    return word !== SLOT_FREE || (!slotWanted(shared, pool) && firstIdle(shared) !== 0);
  }
}
