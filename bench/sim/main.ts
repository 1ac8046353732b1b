/**
 * The simulated main thread: what the server does around the strategy. It runs one job after another; workers may cut
 * in at every atomic operation.
 */
import { takeDone } from '../../src/memory/completions.ts';
import { BELL, CONN_ID } from '../../src/memory/layout.ts';
import { placeOf, poolInPlace } from '../../src/memory/move.ts';
import type { Connection } from '../../src/strategy/strategy.ts';
import { FOREVER, STEP, type Steps } from './scheduler.ts';
import type { World } from './world.ts';

export class SimMain {
  /** Connections lost by deaths of workers. */
  lost = 0;
  private readonly world: World;
  private readonly jobs: (() => void)[] = [];
  private readonly open = new Map<number, Connection>();
  /** Free descriptors: the one closed last is used first. */
  private readonly freeFds: number[] = [];
  private lastId = 0;
  /** Descriptor of the connection that a death has cost in the current job, 0 = none. */
  private lostFd = 0;

  constructor(world: World) {
    const { fdLimit } = world.shared.config;
    this.world = world;
    for (let fd = fdLimit - 1; fd >= 3; fd--) this.freeFds.push(fd);
  }

  /** Runs a job on this thread, after those already posted. */
  post(job: () => void): void {
    this.jobs.push(job);
    this.world.scheduler.wake(this.world.scheduler.waitersOf(BELL));
  }

  *run(): Steps {
    const { shared, scheduler } = this.world;
    for (;;) {
      const job = this.jobs.shift();
      if (job !== undefined) this.runJob(job);
      else if (Atomics.load(shared.words, BELL) !== 1) this.answerBell();
      else if (this.jobs.length === 0) {
        yield { kind: 'wait', on: scheduler.waitersOf(BELL), timeoutMs: FOREVER };
      }
      yield STEP;
    }
  }

  private runJob(job: () => void): void {
    this.lostFd = 0;
    job();
    this.world.jobDone(this.lostFd);
  }

  /** As Bell.sleep() of completions.ts: a ring meanwhile is answered next. */
  private answerBell(): void {
    Atomics.store(this.world.shared.words, BELL, 1);
    this.takeFinished();
    this.world.cmwq.onBell();
  }

  /** Accepts a connection and dispatches it. */
  accept(admitted: (fd: number) => void): void {
    const { shared, cmwq } = this.world;
    const fd = this.freeFds.pop();
    if (fd === undefined) throw new Error('too few descriptors for this schedule');
    shared.conns.fill(0, shared.connWord(fd, 0), shared.connWord(fd + 1, 0));
    shared.connDoubles[shared.connDouble(fd, CONN_ID)] = ++this.lastId;
    const connection = { fd, isLent: true, dispatchedMs: 0 };
    this.open.set(fd, connection);
    admitted(fd);
    const refused = cmwq.dispatch(connection);
    if (refused !== null) throw new Error(`descriptor ${fd} is refused: ${refused}`);
  }

  /** The worker that was in this connection's item has died. */
  connectionLost(fd: number): boolean {
    this.takeFinished();
    this.lostFd = fd;
    if (!this.open.has(fd)) return false;
    if (this.world.worklists.poolOf[fd] !== 0) throw new Error(`connection ${fd} is lost, but in a worklist`);
    this.lost++;
    this.finish(fd, 'lost');
    return true;
  }

  /** The CPU pool of an open connection. */
  poolOf(fd: number): number {
    return poolInPlace(placeOf(this.world.shared, this.connection(fd).fd));
  }

  /** The open connections. */
  get fds(): Iterable<number> {
    return this.open.keys();
  }

  private connection(fd: number): Connection {
    const connection = this.open.get(fd);
    if (connection === undefined) throw new Error(`descriptor ${fd} is not open`);
    return connection;
  }

  private takeFinished(): void {
    takeDone(this.world.shared, (fd) => this.finish(fd, 'eof'));
  }

  private finish(fd: number, how: 'eof' | 'lost'): void {
    this.world.cmwq.release(this.connection(fd), how === 'eof');
    this.open.delete(fd);
    this.world.worklists.closed(fd);
    this.world.peers.closed(fd, how);
    this.freeFds.push(fd);
  }
}
