/**
 * The simulated main thread: src/strategy/cmwq.ts with what it needs of server.ts and cpu-pools.ts, in their
 * order and under their names. It runs one job after another; workers may cut in at every atomic operation.
 */

import { takeDone } from '../../src/memory/completions.ts';
import { kick, repairGrant } from '../../src/memory/kick.ts';
import { BELL, CONN_ID, CONNECTIONS, poolOf, stateOf, WorkerState } from '../../src/memory/layout.ts';
import {
  loadSlot,
  releaseDead,
  releaseSeized,
  seizeSlot,
  slotHolder,
  slotItem,
  uncountDead,
  uncountUnslotted,
} from '../../src/memory/run-slot.ts';
import { examine, freeWorker, isInItem, type Remains } from '../../src/pool/roster.ts';
import { SimKworkers } from './kworkers.ts';
import { FOREVER, STEP, type Steps } from './scheduler.ts';
import type { Sim } from './sim.ts';
import { SimWatchdog } from './watchdog.ts';

export class SimMain {
  cpuIntensive = 0;
  /** Connections that deaths have cost. */
  lost = 0;
  readonly kworkers: SimKworkers;
  private readonly sim: Sim;
  private readonly watchdog: SimWatchdog;
  private readonly jobs: (() => void)[] = [];
  private readonly poolByFd: Int16Array;
  /** Descriptors that can be had: the one closed last is used first. */
  private readonly freeFds: number[] = [];
  private lastId = 0;

  constructor(sim: Sim) {
    const { shared, scheduler, random, options } = sim;
    const post = (job: () => void) => this.post(job);
    this.sim = sim;
    this.poolByFd = new Int16Array(shared.config.fdLimit).fill(-1);
    for (let fd = shared.config.fdLimit - 1; fd >= 3; fd--) this.freeFds.push(fd);
    this.kworkers = new SimKworkers({
      ...options,
      shared,
      scheduler,
      random,
      post,
      spawn: (rescuer, ended) => sim.spawnWorker(rescuer, ended),
    });
    this.watchdog = new SimWatchdog({
      shared,
      scheduler,
      post,
      threshMs: options.threshMs,
      tooLong: (id, fd, state) => this.tooLong(id, fd, state),
    });
  }

  /** Runs a job on this thread, after those that were posted before. */
  post(job: () => void): void {
    this.jobs.push(job);
    this.sim.scheduler.wake(this.sim.scheduler.waitersOf(BELL));
  }

  *run(): Steps {
    const { shared, scheduler } = this.sim;
    this.kworkers.start(this.sim.options.firstWorkers);
    for (;;) {
      const job = this.jobs.shift();
      if (job !== undefined) job();
      else if (Atomics.load(shared.words, BELL) !== 1) this.answerBell();
      else if (this.jobs.length === 0) {
        yield { kind: 'wait', on: scheduler.waitersOf(BELL), timeoutMs: FOREVER };
      }
      yield STEP;
    }
  }

  /** Bell.sleep() of completions.ts: what rings meanwhile leaves the word at 0, and is answered next. */
  private answerBell(): void {
    Atomics.store(this.sim.shared.words, BELL, 1);
    this.takeFinished();
    this.manage();
    this.watchdog.look();
  }

  private manage(): void {
    this.kworkers.ensureReserve();
    this.kworkers.look();
  }

  // ---- Connections -----------------------------------------------------------------------------

  /** Accepts a connection and places it. Returns its descriptor. */
  accept(admitted: (fd: number) => void): number {
    const { shared } = this.sim;
    const fd = this.freeFds.pop();
    if (fd === undefined) throw new Error('too few descriptors for this schedule');
    shared.conns.fill(0, shared.connWord(fd, 0), shared.connWord(fd + 1, 0));
    shared.connDoubles[shared.connDouble(fd, CONN_ID)] = ++this.lastId;
    admitted(fd);
    if (this.place(fd) !== 'not-wanted') this.manage();
    return fd;
  }

  private place(fd: number) {
    const { shared, worklists } = this.sim;
    const pool = this.fewestConnections();
    worklists.add(pool, fd);
    this.poolByFd[fd] = pool;
    Atomics.add(shared.words, shared.poolWord(pool, CONNECTIONS), 1);
    return kick(shared, pool);
  }

  /** The CPU pool of an open connection. */
  poolOf(fd: number): number {
    return this.poolByFd[fd] as number;
  }

  private fewestConnections(): number {
    const { shared } = this.sim;
    let best = 0;
    let fewest = Number.POSITIVE_INFINITY;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      const connections = Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
      if (connections >= fewest) continue;
      best = pool;
      fewest = connections;
    }
    return best;
  }

  private takeFinished(): void {
    takeDone(this.sim.shared, (fd) => this.finish(fd, 'eof'));
  }

  private finish(fd: number, how: 'eof' | 'lost'): void {
    const { shared, worklists } = this.sim;
    const pool = this.poolByFd[fd] as number;
    if (pool < 0) throw new Error(`descriptor ${fd} is closed twice`);
    this.poolByFd[fd] = -1;
    Atomics.sub(shared.words, shared.poolWord(pool, CONNECTIONS), 1);
    worklists.closed(fd);
    this.sim.closed(fd, how);
    this.freeFds.push(fd);
  }

  private connectionLost(fd: number): void {
    this.takeFinished();
    if (this.poolByFd[fd] === -1) return;
    this.lost++;
    this.finish(fd, 'lost');
  }

  // ---- Watchdog --------------------------------------------------------------------------------

  private tooLong(id: number, fd: number, state: number): void {
    const { shared, worklists, ledger } = this.sim;
    const pool = poolOf(state);
    if (stateOf(state) === WorkerState.Finishing) {
      if (!uncountUnslotted(shared, pool, id, WorkerState.CpuIntensive)) return;
      ledger?.uncounted(id, fd);
    } else {
      if (!seizeSlot(shared, pool, id, fd)) return;
      ledger?.uncounted(id, fd);
      worklists.delete(pool, fd);
      releaseSeized(shared, pool, id, fd);
    }
    this.cpuIntensive++;
    if (kick(shared, pool) !== 'not-wanted') this.manage();
  }

  // ---- Deaths ----------------------------------------------------------------------------------

  /** The thread of a worker has ended. */
  threadEnded(threadId: number, died: boolean): void {
    const { shared, ledger } = this.sim;
    const remains = examine(shared, threadId);
    if (remains !== null) {
      const lost = this.inherit(remains);
      if (died) {
        ledger?.buried(remains.workerId, lost);
        if (!remains.wasRescuer) this.kworkers.workerDied();
      }
    }
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      repairGrant(shared, pool);
      kick(shared, pool);
    }
    this.manage();
  }

  private inherit(remains: Remains): number {
    const { shared, worklists } = this.sim;
    let lost = 0;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      const word = loadSlot(shared, pool);
      if (slotHolder(word) !== remains.workerId) continue;
      lost = slotItem(word);
      if (lost !== 0) worklists.delete(pool, lost);
      releaseDead(shared, pool, word);
    }
    uncountDead(shared, remains.state);
    freeWorker(shared, remains.workerId);
    if (lost === 0 && remains.itemFd !== 0 && this.wasIn(remains.itemFd)) lost = remains.itemFd;
    if (lost !== 0) this.connectionLost(lost);
    return lost;
  }

  private wasIn(fd: number): boolean {
    const { shared, worklists } = this.sim;
    const pool = this.poolByFd[fd] as number;
    if (pool < 0 || slotItem(loadSlot(shared, pool)) === fd || isInItem(shared, fd)) return false;
    return !worklists.has(pool, fd);
  }
}
