/**
 * A simulated worker on duty: the steps of workers/duty.ts as generators, in the same order and under the same names
 * (checked by test/cmwq.sim-worker.test.ts). The shared words, their transitions and the kicks are the real ones. Not
 * simulated: bytes, spills, STOP, the eventfd.
 */
import { STAYS } from '../../src/memory/balance.ts';
import { pushDone, ring } from '../../src/memory/completions.ts';
import { firstIdle, kick } from '../../src/memory/kick.ts';
import {
  addTo,
  CloseReason,
  CM_WAKEUP,
  COMPLETED,
  CONN_ID,
  CONNECTIONS,
  ENDING,
  ITEM_FD,
  ITEM_ID,
  STARTED,
  WorkerState,
} from '../../src/memory/layout.ts';
import { wakeMonitor } from '../../src/memory/monitor.ts';
import { countMoved, countReturned } from '../../src/memory/move.ts';
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
} from '../../src/memory/run-slot.ts';
import { FOREVER, STEP, type Steps } from './scheduler.ts';
import type { Targets, World } from './world.ts';

const WAIT_SLICE_MS = 1000;
const PAUSE_MS = 0.05;
const KEPT = 0;
const RETAKEN = 1;
const LOST = 2;
type After = typeof KEPT | typeof RETAKEN | typeof LOST;
type Unslotted = typeof WorkerState.Blocked | typeof WorkerState.CpuIntensive;

/** Where a worker is, or what it waits for. */
export type Place = 'idle' | 'worklist' | 'item' | 'ending' | 'other';

export class SimDuty {
  pool = -1;
  place: Place = 'other';
  private readonly world: World;
  private readonly id: number;
  private readonly events: number[] = [];
  private readonly balance: Targets | null;
  private grant = SLOT_FREE;
  private fd = 0;
  private inSlot = false;

  constructor(world: World, id: number) {
    this.world = world;
    this.id = id;
    this.balance = world.options.makeBalance({
      shared: world.shared,
      id,
      batch: world.options.batch,
      nowMs: () => world.scheduler.nowMs,
      ready: (pool) => world.worklists.ready(pool),
    });
  }

  private get mine() {
    const { world, pool, id } = this;
    return { world, shared: world.shared, pool, id };
  }

  *run(pool: number): Steps {
    if (!this.enter(pool)) return;
    while (yield* this.runBatch(WAIT_SLICE_MS));
  }

  *rescue(pool: number, timeoutMs: number): Steps {
    const { shared, worklists, options } = this.world;
    if (!this.enter(pool)) return;
    const connections = Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
    let batches = Math.ceil(connections / options.batch);
    for (let waitMs = timeoutMs; yield* this.runBatch(waitMs); waitMs = 0) {
      if (--batches > 0 && firstIdle(shared) === 0 && worklists.ready(pool) > 0) continue;
      this.giveUp();
      return;
    }
  }

  private enter(pool: number): boolean {
    const word = loadSlot(this.world.shared, pool);
    if (!isGrantTo(word, this.id)) return false;
    this.pool = pool;
    this.grant = word;
    this.world.handOffs++;
    return true;
  }

  private *epollWait(timeoutMs: number): Steps<number> {
    const { worklists, scheduler, options } = this.world;
    const deadlineMs = scheduler.nowMs + timeoutMs;
    for (;;) {
      const n = worklists.take(this.pool, this.events, options.batch);
      if (n > 0 || scheduler.nowMs >= deadlineMs) return n;
      this.place = 'worklist';
      const waiters = worklists.waiters(this.pool);
      if (waiters.size > 0) throw new Error(`two workers wait on worklist ${this.pool}`);
      yield { kind: 'wait', on: waiters, timeoutMs: deadlineMs - scheduler.nowMs };
      this.place = 'other';
    }
  }

  private *runBatch(timeoutMs: number): Steps<boolean> {
    const { shared } = this.world;
    const n = yield* this.epollWait(timeoutMs);
    const quiet = n === 0 && Atomics.load(shared.words, shared.poolWord(this.pool, CONNECTIONS)) === 0;
    if (quiet) return this.giveUp();
    for (let i = 0; i < n; i++) {
      if (this.world.observer !== null) yield STEP;
      const after = yield* this.runItem(this.events[i] as number, i === n - 1 ? n : 0); // i is below n
      if (after === LOST) return false;
      if (after === RETAKEN) {
        this.world.handOffs++;
        break;
      }
    }
    return true;
  }

  private giveUp(): false {
    yieldSlot(this.world.shared, this.pool, this.grant);
    return false;
  }

  private *runItem(fd: number, n: number): Steps<After> {
    const { shared, pool, world } = this.mine;
    if (!mayBeginItem(shared, pool)) {
      this.giveUp();
      return LOST;
    }
    if (!beginItem(shared, pool, this.grant, fd)) return LOST;
    this.noteBegin(fd);
    wakeMonitor(shared);
    if (world.peers.service(fd)?.cpuIntensive) this.leave(WorkerState.CpuIntensive);
    const ended = yield* this.turn(fd);
    this.place = 'other';
    if (ended) world.worklists.delete(pool, fd);
    this.fd = 0;
    const after = ended ? yield* this.endClosed(fd) : yield* this.endOrMove(fd, n);
    yield* this.waitWhileEnding();
    return after;
  }

  /** Echo.turn and runService: true when the connection has ended. */
  private *turn(fd: number): Steps<boolean> {
    const { peers, trace } = this.world;
    const received = peers.receive(fd);
    if (received !== 'request') return received === 'end';
    trace?.(fd, 'starts');
    for (const { kind, durationMs } of peers.service(fd)?.steps ?? []) {
      if (kind === 'burn') yield { kind: 'burn', ms: durationMs };
      else if (kind === 'sleep') yield* this.blocking(durationMs);
      else yield* this.sleepUndeclared(durationMs);
    }
    trace?.(fd, 'finishes');
    peers.answered(fd);
    return false;
  }

  private noteBegin(fd: number): void {
    const { shared, observer } = this.world;
    observer?.begin(this.id, this.pool, fd);
    this.place = 'item';
    this.fd = fd;
    this.inSlot = true;
    const connectionId = shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
    shared.doubles[shared.workerDouble(this.id, ITEM_ID)] = connectionId;
    addTo(shared.doubles, shared.workerDouble(this.id, STARTED), 1);
    Atomics.store(shared.words, shared.workerWord(this.id, ITEM_FD), fd);
  }

  private noteEnd(): void {
    const { shared } = this.world;
    Atomics.store(shared.words, shared.workerWord(this.id, ITEM_FD), 0);
    addTo(shared.doubles, shared.workerDouble(this.id, COMPLETED), 1);
  }

  private *endOrMove(fd: number, n: number): Steps<After> {
    const { pool, balance } = this;
    const to = balance === null || (n === 0 && this.inSlot) ? STAYS : balance.target(pool, n);
    return to === STAYS ? yield* this.endOpen(fd) : yield* this.move(fd, to);
  }

  private *endOpen(fd: number): Steps<After> {
    const { shared, pool, world } = this.mine;
    if (this.inSlot && endItem(shared, pool, this.grant, fd)) {
      world.observer?.end(fd);
      this.noteEnd();
      return KEPT;
    }
    yield* this.waitWhileSeized(fd);
    world.observer?.end(fd);
    this.putInto(pool, fd);
    this.noteEnd();
    return this.leaveUnslotted();
  }

  private putInto(pool: number, fd: number): void {
    const { shared, worklists } = this.world;
    if (pool === this.pool) countReturned(shared, fd);
    else countMoved(shared, fd, this.pool, pool);
    worklists.add(pool, fd);
  }

  private leaveUnslotted(): After {
    this.grant = endUnslotted(this.world.shared, this.pool, this.id);
    return this.grant === SLOT_FREE ? LOST : RETAKEN;
  }

  private *move(fd: number, to: number): Steps<After> {
    const { shared, pool, world } = this.mine;
    if (this.inSlot) world.worklists.delete(pool, fd);
    const next = this.balance?.mayGive(pool) ? to : pool;
    const after = yield* this.endOutside(fd);
    this.putInto(next, fd);
    this.noteEnd();
    if (kick(shared, next) !== 'not-wanted') ring(shared);
    return after;
  }

  private *endOutside(fd: number): Steps<After> {
    const { shared, pool, world } = this.mine;
    if (this.inSlot && endItem(shared, pool, this.grant, fd)) {
      world.observer?.end(fd);
      return KEPT;
    }
    yield* this.waitWhileSeized(fd);
    world.observer?.end(fd);
    return this.leaveUnslotted();
  }

  private *endClosed(fd: number): Steps<After> {
    const { shared } = this.world;
    const after = yield* this.endOutside(fd);
    pushDone(shared, fd, CloseReason.Eof);
    this.noteEnd();
    ring(shared);
    return after;
  }

  private *waitWhileSeized(fd: number): Steps {
    // The monitor may have died: main releases the slot later.
    while (isSeized(this.world.shared, this.pool, fd)) yield { kind: 'wait', on: null, timeoutMs: PAUSE_MS };
  }

  private *waitWhileEnding(): Steps {
    const { shared, scheduler } = this.world;
    const ending = shared.workerWord(this.id, ENDING);
    while (Atomics.load(shared.words, ending) === 1) {
      this.place = 'ending';
      yield { kind: 'wait', on: scheduler.waitersOf(ending), timeoutMs: FOREVER };
      this.place = 'other';
    }
  }

  private leave(as: Unslotted): boolean {
    const { shared, pool, id, world } = this.mine;
    const { fd } = this;
    world.worklists.delete(pool, fd);
    const left = leaveSlot(shared, pool, id, fd, as);
    if (left) world.observer?.left(fd, as === WorkerState.CpuIntensive);
    this.inSlot = false;
    this.kickNext(left && as === WorkerState.Blocked); // also when the monitor was first: it may have counted this item twice
    return left;
  }

  private kickNext(forSleep: boolean): void {
    const { shared } = this.world;
    const kicked = kick(shared, this.pool);
    if (kicked === 'kicked' && forSleep) {
      addTo(shared.doubles, shared.workerDouble(this.id, CM_WAKEUP), 1);
    }
    if (kicked === 'no-idle' || firstIdle(shared) === 0) ring(shared);
  }

  private *blocking(sleepMs: number): Steps {
    const { shared, pool, id, world } = this.mine;
    const { fd } = this;
    world.trace?.(fd, 'sleeps');
    world.observer?.asleep(fd, true);
    const left = this.inSlot && this.leave(WorkerState.Blocked);
    if (!left && blockUnslotted(shared, pool, id)) this.kickNext(true);
    yield { kind: 'wait', on: null, timeoutMs: sleepMs };
    world.trace?.(fd, 'wakes');
    world.observer?.awake(fd);
    if (!wakeUnslotted(shared, pool, id, WorkerState.Blocked))
      wakeUnslotted(shared, pool, id, WorkerState.Noticed);
    wakeMonitor(shared);
  }

  private *sleepUndeclared(sleepMs: number): Steps {
    const { world, fd } = this;
    world.trace?.(fd, 'sleeps');
    world.observer?.asleep(fd, false);
    yield { kind: 'wait', on: null, timeoutMs: sleepMs };
    world.trace?.(fd, 'wakes');
    world.observer?.awake(fd);
  }
}
