/**
 * A worker on duty: it holds the run slot of a CPU pool and runs the pool's work items, one after another.
 *
 * It owns its event list; the pool's descriptors and the connections are borrowed. It keeps the order of epoll's ready
 * list and drops the rest of a batch when it loses the slot: level-triggered readiness is reported again to the next
 * holder.
 *
 * The life of an item, and what must hold at each step, is in src/memory/run-slot.ts.
 */
import { Balance, STAYS } from '../src/memory/balance.ts';
import { type Outcome, packOutcome, pushDone, ring } from '../src/memory/completions.ts';
import { waitWhileEnding } from '../src/memory/ending.ts';
import { firstIdle, kick, type WakeNear } from '../src/memory/kick.ts';
import {
  addTo,
  CloseReason,
  CM_WAKEUP,
  COMPLETED,
  CONN_ID,
  CONNECTIONS,
  EPOLL_FD,
  ITEM_FD,
  ITEM_ID,
  runsHandlers,
  type SharedState,
  STARTED,
  STOP,
  WAKE_FD,
  WorkerState,
} from '../src/memory/layout.ts';
import { wakeMonitor } from '../src/memory/monitor.ts';
import { countMoved, countReturned } from '../src/memory/move.ts';
import {
  beginItem,
  blockUnslotted,
  endItem,
  endUnslotted,
  isGrantTo,
  isSeized,
  leaveSlot,
  loadSlot,
  mayBeginItem,
  SLOT_FREE,
  wakeUnslotted,
  yieldSlot,
} from '../src/memory/run-slot.ts';
import { awaitsRoom } from '../src/memory/spill.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { endConnection, resetOrShutDown } from '../src/sys/connection.ts';
import {
  EPOLLIN,
  EPOLLOUT,
  EventList,
  epollAdd,
  epollCountReady,
  epollDelete,
  epollHasReady,
  epollModify,
  epollWait,
} from '../src/sys/epoll.ts';
import { SysError } from '../src/sys/libc.ts';
import { noteDispatched } from './dispatched.ts';
import type { Echo } from './echo.ts';

/** Longest single wait, so that a terminated thread ends: see epollWait. */
export const WAIT_SLICE_MS = 1000;
/** What a worker has of the slot after an item. */
const KEPT = 0; // holds it: next event of the batch
const RETAKEN = 1; // lost it and holds it again: the batch is stale, other workers may have run its items
const LOST = 2; // another worker holds it, or it is free
type After = typeof KEPT | typeof RETAKEN | typeof LOST;

/**
 * Events taken at a time. epoll moves reported items to the end of its ready list, so items dropped when the slot is
 * lost lose their turn. Where handlers may sleep, taking one at a time keeps the order (measured with a fourth of the
 * items sleeping: Jain's fairness index 0.998 instead of 0.906, at the same rate).
 */
const BATCH = 64;
const BATCH_WITH_HANDLERS = 1;

export class Duty {
  private readonly shared: SharedState;
  private readonly id: number;
  private readonly echo: Echo;
  private readonly near: WakeNear;
  /** Whether a connection's items leave the concurrency count at their start. */
  private readonly isCpuIntensive: ((fd: number) => boolean) | null;
  private readonly events: EventList;
  /** Null where connections stay in their CPU pools. */
  private readonly balance: Balance | null;
  private readonly itemFd: number;
  private readonly itemId: number;
  private readonly started: number;
  private readonly completed: number;
  private readonly cmWakeup: number;
  // The duty: the pool, this worker's grant of its slot, the pool's descriptors.
  private pool = 0;
  private grant = SLOT_FREE;
  private epfd = -1;
  private wakeFd = -1;
  // The item: its descriptor, 0 = none, and whether this worker runs it as the slot's holder.
  private fd = 0;
  private inSlot = false;

  constructor(
    shared: SharedState,
    id: number,
    echo: Echo,
    near: WakeNear,
    isCpuIntensive: ((fd: number) => boolean) | null,
  ) {
    this.shared = shared;
    this.id = id;
    this.echo = echo;
    this.near = near;
    this.isCpuIntensive = isCpuIntensive;
    const batch = runsHandlers(shared.config) ? BATCH_WITH_HANDLERS : BATCH;
    this.events = new EventList(batch);
    this.balance = Balance.for({
      shared,
      id,
      batch,
      nowMs: monotonicMs,
      ready: (pool) => epollCountReady(this.epollFd(pool)),
    });
    this.itemFd = shared.workerWord(id, ITEM_FD);
    this.itemId = shared.workerDouble(id, ITEM_ID);
    this.started = shared.workerDouble(id, STARTED);
    this.completed = shared.workerDouble(id, COMPLETED);
    this.cmWakeup = shared.workerDouble(id, CM_WAKEUP);
  }

  /** Runs the items of `pool` until the slot is lost or given up, or the server stops. */
  run(pool: number): void {
    if (!this.enter(pool)) return;
    while (this.runBatch(WAIT_SLICE_MS));
  }

  /**
   * For the rescuer: runs what is ready, waiting at most `timeoutMs` for the first item, until a worker is idle. At most
   * an item for each connection, by number, since other CPU pools may wait.
   */
  rescue(pool: number, timeoutMs: number): void {
    const { shared } = this;
    if (!this.enter(pool)) return;
    const connections = Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
    let batches = Math.ceil(connections / this.events.capacity);
    for (let waitMs = timeoutMs; this.runBatch(waitMs); waitMs = 0) {
      if (--batches > 0 && firstIdle(shared) === 0 && epollHasReady(this.epfd)) continue;
      this.giveUp();
      return;
    }
  }

  private enter(pool: number): boolean {
    const { shared, id } = this;
    const word = loadSlot(shared, pool);
    if (!isGrantTo(word, id)) return false; // late kick: the slot has been granted again
    this.pool = pool;
    this.grant = word;
    this.epfd = this.epollFd(pool);
    this.wakeFd = shared.words[shared.poolWord(pool, WAKE_FD)] as number;
    return true;
  }

  /** False: this worker no longer holds the slot. */
  private runBatch(timeoutMs: number): boolean {
    const { shared, pool, events } = this;
    const n = epollWait(this.epfd, events, timeoutMs);
    const quiet = n === 0 && Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS)) === 0;
    // The worker of a pool without connections goes idle, so that a quiet server shrinks to two workers.
    if (quiet || Atomics.load(shared.words, STOP) === 1) return this.giveUp();
    for (let i = 0; i < n; i++) {
      const fd = events.fd(i);
      if (fd === this.wakeFd) continue;
      const after = this.runItem(fd, i === n - 1 ? n : 0);
      if (after === LOST) return false;
      if (after === RETAKEN) break;
    }
    return true;
  }

  private giveUp(): false {
    yieldSlot(this.shared, this.pool, this.grant);
    return false;
  }

  /** Runs one work item. `n`: the number of events, if it is the last of its batch, else 0. */
  private runItem(fd: number, n: number): After {
    const { shared, pool } = this;
    if (!mayBeginItem(shared, pool)) {
      this.giveUp();
      return LOST;
    }
    if (!beginItem(shared, pool, this.grant, fd)) return LOST;
    this.noteBegin(fd);
    wakeMonitor(shared);
    if (this.isCpuIntensive?.(fd)) this.leave(WorkerState.CpuIntensive);
    const waited = awaitsRoom(shared, fd);
    const outcome = this.echo.turn(fd);
    if (outcome !== 0) {
      epollDelete(this.epfd, fd);
      if (outcome === CloseReason.SpillLimit || outcome === CloseReason.HandlerError) resetOrShutDown(fd);
      else endConnection(fd, outcome === CloseReason.Eof);
    } else if (this.inSlot && awaitsRoom(shared, fd) !== waited) {
      epollModify(this.epfd, fd, waited ? EPOLLIN : EPOLLOUT);
    }
    this.fd = 0;
    const after = outcome === 0 ? this.endOrMove(fd, n) : this.endClosed(fd, outcome);
    waitWhileEnding(shared, this.id);
    return after;
  }

  private noteBegin(fd: number): void {
    const { shared } = this;
    this.fd = fd;
    this.inSlot = true;
    shared.doubles[this.itemId] = shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
    addTo(shared.doubles, this.started, 1); // before ITEM_FD: see ending.ts
    Atomics.store(shared.words, this.itemFd, fd);
    noteDispatched(shared, this.id, fd);
  }

  private noteEnd(): void {
    Atomics.store(this.shared.words, this.itemFd, 0);
    addTo(this.shared.doubles, this.completed, 1);
  }

  private endOrMove(fd: number, n: number): After {
    const { pool, balance } = this;
    const to = balance === null || (n === 0 && this.inSlot) ? STAYS : balance.target(pool, n);
    return to === STAYS ? this.endOpen(fd) : this.move(fd, to);
  }

  /** The connection stays open. While ITEM_FD names it, main counts it as lost if this worker dies. */
  private endOpen(fd: number): After {
    const { shared, pool } = this;
    if (this.inSlot && endItem(shared, pool, this.grant, fd)) {
      this.noteEnd();
      return KEPT;
    }
    this.waitWhileSeized(fd);
    const failed = this.putInto(pool, fd);
    if (failed !== 0) return this.endFailed(fd, failed, this.leaveUnslotted());
    this.noteEnd();
    return this.leaveUnslotted();
  }

  /** The connection stays open, in CPU pool `to` if this one may give it away. For the order see src/memory/move.ts. */
  private move(fd: number, to: number): After {
    const { shared, pool } = this;
    if (this.inSlot) epollDelete(this.epfd, fd);
    const next = this.balance?.mayGive(pool) ? to : pool;
    const after = this.endOutside(fd);
    const failed = this.putInto(next, fd);
    if (failed !== 0) return this.endFailed(fd, failed, after);
    this.noteEnd();
    if (kick(shared, next) !== 'not-wanted') ring(shared);
    return after;
  }

  private epollFd(pool: number): number {
    return this.shared.words[this.shared.poolWord(pool, EPOLL_FD)] as number;
  }

  /** Puts a connection into a worklist. Returns an errno, 0 = done: ENOMEM and ENOSPC cost only this connection. */
  private putInto(pool: number, fd: number): number {
    const { shared } = this;
    if (pool === this.pool) countReturned(shared, fd);
    else countMoved(shared, fd, this.pool, pool);
    try {
      epollAdd(this.epollFd(pool), fd, awaitsRoom(shared, fd) ? EPOLLOUT : EPOLLIN);
      return 0;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return error.errno;
    }
  }

  private leaveUnslotted(): After {
    this.grant = endUnslotted(this.shared, this.pool, this.id);
    return this.grant === SLOT_FREE ? LOST : RETAKEN;
  }

  /** Hands an ended connection to main, only after the slot no longer names it: see completions.ts. */
  private endClosed(fd: number, outcome: Outcome): After {
    return this.handBack(fd, outcome, this.endOutside(fd));
  }

  private endFailed(fd: number, errno: number, after: After): After {
    resetOrShutDown(fd);
    return this.handBack(fd, packOutcome(CloseReason.Error, errno), after);
  }

  /** Ends the item of a connection that is not in the pool's worklist and will not be. */
  private endOutside(fd: number): After {
    if (this.inSlot && endItem(this.shared, this.pool, this.grant, fd)) return KEPT;
    this.waitWhileSeized(fd);
    return this.leaveUnslotted();
  }

  private handBack(fd: number, outcome: Outcome, after: After): After {
    pushDone(this.shared, fd, outcome);
    this.noteEnd();
    ring(this.shared);
    return after;
  }

  /** Waits while the monitor has taken the slot but not yet removed the fd from the worklist: microseconds. */
  private waitWhileSeized(fd: number): void {
    while (isSeized(this.shared, this.pool, fd)) pause();
  }

  /** Gives up the slot within an item and kicks another worker to take it. False: the monitor had taken it. */
  private leave(as: typeof WorkerState.Blocked | typeof WorkerState.CpuIntensive): boolean {
    const { shared, pool, id, fd } = this;
    epollDelete(this.epfd, fd);
    // On failure the monitor was faster. It kicked too, but possibly while leaveSlot had counted this item twice and
    // there seemed to be no room: so kick in any case.
    const left = leaveSlot(shared, pool, id, fd, as);
    this.inSlot = false;
    this.kickNext(left && as === WorkerState.Blocked);
    return left;
  }

  private kickNext(forSleep: boolean): void {
    const { shared } = this;
    const kicked = kick(shared, this.pool, forSleep ? this.near : null);
    if (kicked === 'kicked' && forSleep) addTo(shared.doubles, this.cmWakeup, 1);
    // Main must know when no idle worker is left in reserve.
    if (kicked === 'no-idle' || firstIdle(shared) === 0) ring(shared);
  }

  /**
   * Runs `sleep`, which blocks the thread, without holding up the CPU pool: first gives up the run slot and kicks an
   * idle worker (wq_worker_sleeping()). After waking it counts as running again even if another worker runs; the
   * surplus drains because no item begins meanwhile (wq_worker_running()). Outside an item it just sleeps.
   */
  sleepOutsideSlot<T>(sleep: () => T): T {
    const { shared, pool, id } = this;
    if (this.fd === 0) return sleep();
    const left = this.inSlot && this.leave(WorkerState.Blocked);
    if (!left && blockUnslotted(shared, pool, id)) this.kickNext(true);
    try {
      return sleep();
    } finally {
      // Noticed: the monitor was seizing the slot when this worker declared its sleep.
      if (!wakeUnslotted(shared, pool, id, WorkerState.Blocked))
        wakeUnslotted(shared, pool, id, WorkerState.Noticed);
      wakeMonitor(shared);
    }
  }
}

const pauseWord = new Int32Array(new SharedArrayBuffer(4)); // never notified

function pause(): void {
  Atomics.wait(pauseWord, 0, 0, 0.05);
}
