/**
 * When a connection moves to another CPU pool, and to which: a pool with more to do gives one to a pool with less, so that
 * no processor is idle while work waits, and a client is served as often as another in a fuller pool. This is the policy;
 * the move is in move.ts.
 *
 * Used by the workers on duty. It reads words and ready lists of CPU pools and writes the watch of its own pool. What it
 * reads may be stale, and two workers may write the watch at a time: then a connection moves needlessly, or later, and
 * nothing breaks.
 *
 * What a pool has to do is its ready items and those that run. At the end of a batch, with something still ready, a worker
 * begins to watch a pool that has at least two items less, and looks at both again at the ends of further batches. If for
 * WATCH_MS something has always been ready here, and the other pool has had clearly less on average, a connection moves
 * there, and the watch ends. A single look proves nothing: batches, threads that wait for a processor and clients that
 * send in bursts make any pool look idle for a moment.
 *
 * So that connections do not move to and fro, a pool that has taken one over gives none away for STAYS_MS, and the other
 * pools that watched it begin anew. While no pool has more than it can run, or all have about as much, nothing moves.
 */
import { firstIdle } from './kick.ts';
import { type SharedState, TAKEN_MS, WATCHED, WATCHED_SINCE_MS, WATCHED_SURPLUS } from './layout.ts';
import { loadSlot, mayBeginItem, nrRunning, SLOT_FREE, slotWanted } from './run-slot.ts';

interface Pace {
  /** A watch begins only after a batch of so many events. */
  fromEvents: number;
  /** Batches between two tries to begin one, and between two looks of one: each counts the ready lists of two pools or more. */
  perTry: number;
  perLook: number;
}

const PACE: Pace = { fromEvents: 4, perTry: 16, perLook: 4 };
/** Where items are taken one at a time: they do more than echo, so they take longer. */
const PACE_OF_SINGLES: Pace = { fromEvents: 0, perTry: 4, perLook: 1 };
/** CPU pools of which one may be watched, in one try; there may be 256. */
const POOLS_PER_TRY = 3;
export const WATCH_MS = 10;
/** Between two looks of a worker: they take some 60 ns for each ready item. */
const LOOK_MS = 1;
export const STAYS_MS = 100;
/** A watch begins when the other pool has so many items less. */
const LESS_TO_WATCH = 2;
/**
 * A watched pool takes a connection if it has had so many quarters of an item less on average: a pool with two items gives
 * one to a pool that is at work in at most half of the looks. And so many for each item that it has.
 */
const LESS_TO_MOVE = 6;
const LESS_PER_ITEM = 1;

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
  /** How many items of the CPU pool could be begun, or as many as can be counted quickly. */
  ready: (pool: number) => number;
}

export class Balance {
  private readonly options: BalanceOptions;
  private readonly pace: Pace;
  /** The pool that the next try begins with. */
  private next: number;
  private batches = 0;
  private lastLookMs = Number.NEGATIVE_INFINITY;

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
    if (watched === 0 && n < fromEvents) return STAYS;
    const nowMs = this.options.nowMs();
    if (nowMs - this.lastLookMs < LOOK_MS) return STAYS;
    this.lastLookMs = nowMs;
    const now = nowMs | 0;
    if (watched !== 0) return this.look(pool, watched - 1, now);
    this.beginWatch(pool, now);
    return STAYS;
  }

  /**
   * Asked once more when the connection is out of the worklist: false if nothing else is ready, so that it stays. Else
   * pools would move a single busy connection to and fro.
   */
  mayGive(pool: number): boolean {
    return this.options.ready(pool) > 0;
  }

  private word(pool: number, word: number): number {
    const { shared } = this.options;
    return shared.words[shared.poolWord(pool, word)] as number;
  }

  private set(pool: number, word: number, value: number): void {
    const { shared } = this.options;
    shared.words[shared.poolWord(pool, word)] = value;
  }

  /** Begins to watch a pool that has less to do, if this one may give connections away. */
  private beginWatch(pool: number, now: number): void {
    const { shared, ready } = this.options;
    if (this.hasTakenIn(pool, STAYS_MS, now)) return;
    const others = ready(pool);
    if (others === 0) return;
    let best = pool;
    let least = others + 1;
    for (let i = Math.min(POOLS_PER_TRY, shared.config.cpus); i > 0; i--) {
      const other = this.next;
      this.next = (other + 1) % shared.config.cpus;
      const load = other === pool ? least : this.load(other);
      if (load >= least) continue;
      best = other;
      least = load;
    }
    if (others + 1 - least < LESS_TO_WATCH) return;
    this.set(pool, WATCHED_SINCE_MS, now);
    this.set(pool, WATCHED_SURPLUS, surplus(others + 1, least));
    this.set(pool, WATCHED, best + 1);
  }

  /** One more look at both pools. Returns the target. */
  private look(pool: number, other: number, now: number): number {
    const forMs = (now - this.word(pool, WATCHED_SINCE_MS)) | 0;
    const others = this.options.ready(pool);
    const sum = this.word(pool, WATCHED_SURPLUS) + surplus(others + 1, this.load(other));
    this.set(pool, WATCHED_SURPLUS, sum);
    if (others > 0 && forMs < WATCH_MS) return STAYS;
    this.set(pool, WATCHED, 0);
    if (others === 0 || sum < 0 || this.hasTakenIn(other, forMs + 1, now)) return STAYS;
    this.set(other, TAKEN_MS, now);
    return other;
  }

  /** Whether the pool has taken a connection over in the last `ms` before `now`. The clock of the words wraps around. */
  private hasTakenIn(pool: number, ms: number, now: number): boolean {
    const agoMs = (now - this.word(pool, TAKEN_MS)) | 0;
    return agoMs >= 0 && agoMs < ms;
  }

  /** What another pool has to do; more than any, if none of its workers would begin an item now. */
  private load(pool: number): number {
    const { shared, ready } = this.options;
    if (!mayBeginItem(shared, pool) || !this.hasWorker(pool)) return Number.POSITIVE_INFINITY;
    return nrRunning(shared, pool) + ready(pool);
  }

  private hasWorker(pool: number): boolean {
    const { shared } = this.options;
    if (loadSlot(shared, pool) !== SLOT_FREE) return true;
    return !slotWanted(shared, pool) && firstIdle(shared) !== 0;
  }
}

/** How clearly one pool has more to do than the other, in quarters of an item; below 0: not enough for a move. */
function surplus(load: number, otherLoad: number): number {
  const other = Math.min(load, otherLoad);
  return 4 * (load - other) - Math.max(LESS_TO_MOVE, LESS_PER_ITEM * other);
}
