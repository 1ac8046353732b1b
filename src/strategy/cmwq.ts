/**
 * cmwq: concurrency-managed, like workqueues since Linux 2.6.36 and kecho's later version.
 *
 * Mechanism: connections live in CPU pools. Of a pool's workers exactly one runs at a time, the holder of the run slot,
 * and processes the pool's worklist. When it sleeps in an item, an idle worker takes over, so no more threads run than
 * are needed.
 * Strength: thousands of connections on cpus + 1 workers; no hand-over between threads unless an item sleeps.
 * Weakness: the items of a pool run one after another; a long one delays the others until the watchdog notices it.
 * Where the imitation stops: the kernel's scheduler sees every sleep; here the sleeping code must report it.
 *
 * Main thread only. Joins the parts: CPU pools, kworkers, rescuer, watchdog, threads. The rules are in predicates.ts,
 * the transitions in src/memory/run-slot.ts.
 */

import { RateLimit } from '../log/rate-limit.ts';
import { mayTerminate } from '../memory/ending.ts';
import { kick, repairGrant } from '../memory/kick.ts';
import { CONN_ID, poolOf, runsHandlers, STATE, stateOf, WorkerState } from '../memory/layout.ts';
import { CpuPools } from '../pool/cpu-pools.ts';
import { Deaths } from '../pool/deaths.ts';
import { Kworkers } from '../pool/kworkers.ts';
import { Readiness } from '../pool/readiness.ts';
import { Rescuer } from '../pool/rescuer.ts';
import { hasDied, inspectExited, threadOfWorker } from '../pool/roster.ts';
import { takeOutOfCount, takeOver } from '../pool/take-over.ts';
import { syscallOfWorker } from '../pool/thread-activity.ts';
import type { KworkerThreads, ThreadEnd, ThreadsOptions } from '../pool/threads.ts';
import { Watchdog } from '../pool/watchdog.ts';
import { Fifo } from '../queue/fifo.ts';
import type { Worklist } from '../queue/worklist.ts';
import type { Clock } from '../sys/clock.ts';
import { SysError } from '../sys/libc.ts';
import { CreationFailures } from './creation-failures.ts';
import {
  type Connection,
  NO_THREAD_MS,
  type RefusalReason,
  type Strategy,
  type StrategyContext,
  type StrategyStats,
} from './strategy.ts';

/** Between two log lines with the same warning. */
const WARN_INTERVAL_MS = 10_000;

/** Between two events of a frequent kind, which would otherwise displace all others from the recent ones. */
const NOTE_INTERVAL_MS = 1000;

/** What cmwq runs on: this process or a simulation. */
export interface CmwqHost {
  clock: Clock;
  makeThreads: (options: ThreadsOptions) => KworkerThreads;
  makeWorklist: () => Worklist;
}

/** What cmwq needs of its context. */
export type CmwqContext = Omit<StrategyContext, 'options' | 'limits' | 'refuse'> & {
  options: Pick<
    StrategyContext['options'],
    'cpus' | 'cpuIntensiveThreshMs' | 'hangTimeoutMs' | 'hangKill' | 'idleTimeoutMs'
  >;
  limits: Pick<StrategyContext['limits'], 'maxWorkers'>;
};

export class Cmwq implements Strategy {
  private readonly context: CmwqContext;
  private readonly pools: CpuPools;
  private readonly threads: KworkerThreads;
  private readonly kworkers: Kworkers;
  private readonly rescuer: Rescuer;
  private readonly watchdog: Watchdog;
  private readonly readiness: Readiness;
  private readonly deaths: Deaths;
  private readonly failures: CreationFailures;
  /** Since when no thread has been up; null while one is. */
  private noThreadSinceMs: number | null = null;
  private worklistError = '';
  private readonly worklistWarning = new RateLimit(WARN_INTERVAL_MS, (times) =>
    this.context.warn('connections could not be added to a worklist', { code: this.worklistError, times }),
  );
  private lastTaken = { worker: 0, pool: 0 };
  private readonly slotsTaken = new RateLimit(NOTE_INTERVAL_MS, (times) =>
    this.context.note('slotTaken', { ...this.lastTaken, times }),
  );
  private cpuIntensive = 0;
  private hung = 0;
  private stopped = false;

  constructor(context: CmwqContext, { clock, makeThreads, makeWorklist }: CmwqHost) {
    this.context = context;
    const { shared, limits, options, warn, note } = context;
    this.deaths = new Deaths(context);
    this.failures = new CreationFailures(context);
    this.pools = new CpuPools(shared, makeWorklist);
    this.threads = makeThreads({
      module: 'kworker',
      buffers: shared.buffers,
      keepIdle: false,
      queue: new Fifo<object>(),
      onMade: (thread) => note('threadMade', { thread }),
      onUp: () => this.readiness.look(),
      onExit: (threadId, end) => this.threadEnded(threadId, end),
      onMessage: context.onMessage,
    });
    this.kworkers = new Kworkers({
      shared,
      threads: this.threads,
      clock,
      maxWorkers: limits.maxWorkers,
      idleTimeoutMs: options.idleTimeoutMs,
      onCulled: (worker) => note('workerCulled', { worker }),
      onCreateFailed: (error) => this.createFailed(error),
      onLimit: () => {
        const { maxWorkers } = limits;
        warn('worker limit reached; items wait (raise --max-workers)', { maxWorkers });
      },
    });
    this.rescuer = new Rescuer({
      shared,
      threads: this.threads,
      clock,
      isNeeded: () => this.kworkers.isNeeded(),
      onCreateFailed: (error) => this.createFailed(error),
      onMayday: () => note('mayday', {}),
    });
    this.watchdog = new Watchdog({
      shared,
      clock,
      // Without handlers an item neither computes nor sleeps: it only takes long when its thread gets no processor,
      // and then another thread gets none either.
      cpuIntensiveThreshMs: runsHandlers(shared.config) ? options.cpuIntensiveThreshMs : 0,
      hangTimeoutMs: options.hangTimeoutMs,
      onCpuIntensive: (id, fd, state) => this.ranTooLong(id, fd, state),
      onHang: (id, fd, started, forMs) => this.itemHangs(id, fd, started, forMs),
    });
    this.readiness = new Readiness(
      () => this.kworkers.ready > options.cpus && this.rescuer.isUp && this.canServe,
      clock,
    );
  }

  /** Starts one worker per CPU pool, one in reserve, and the rescuer. */
  async start(): Promise<void> {
    this.kworkers.start(this.context.options.cpus + 1);
    this.rescuer.start();
    await this.readiness.wait();
    this.kworkers.startCulling();
  }

  get canServe(): boolean {
    return this.threads.size > this.threads.starting;
  }

  dispatch(connection: Connection): RefusalReason | null {
    if (this.hasLongHadNoThread()) return 'noThread';
    try {
      connection.pool = this.pools.place(connection.fd);
      if (kick(this.context.shared, connection.pool) !== 'not-wanted') this.manage();
      return null;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.worklistError = error.code;
      this.worklistWarning.record();
      return 'descriptors';
    }
  }

  private hasLongHadNoThread(): boolean {
    if (this.canServe || this.noThreadSinceMs === null) return false;
    return this.context.nowMs() - this.noThreadSinceMs >= NO_THREAD_MS;
  }

  release({ pool }: Connection): void {
    this.pools.remove(pool);
  }

  onTick(nowMs: number): void {
    this.noThreadSinceMs = this.canServe ? null : (this.noThreadSinceMs ?? nowMs);
  }

  onBell(): void {
    this.manage();
    this.readiness.look();
    this.watchdog.look();
  }

  stats(): StrategyStats {
    return {
      threads: {
        alive: this.threads.size,
        created: this.threads.made,
        culled: this.kworkers.culled,
        createFailed: this.failures.count,
        died: { ...this.deaths.counts },
      },
      management: { cpuIntensive: this.cpuIntensive, mayday: this.rescuer.maydays, hung: this.hung },
      queued: 0,
      cpuPools: this.pools.snapshot(),
    };
  }

  terminateWorker(workerId: number): boolean {
    return this.threads.terminate(threadOfWorker(this.context.shared, workerId));
  }

  wakeAll(): void {
    const { shared } = this.context;
    this.pools.wakeAll();
    for (let id = 1; id <= shared.config.workers; id++)
      Atomics.notify(shared.words, shared.workerWord(id, STATE));
    this.rescuer.stop();
  }

  async stop(timeoutMs: number): Promise<boolean> {
    this.stopped = true;
    this.readiness.fail(new Error('stopped'));
    this.kworkers.stop();
    this.watchdog.stop();
    this.rescuer.stop();
    this.failures.close();
    this.worklistWarning.close();
    this.slotsTaken.close();
    const allEnded = await this.threads.close(timeoutMs);
    // A thread that has not ended may still wait on its worklist, so the descriptors must stay open.
    if (allEnded) this.pools.close();
    return allEnded;
  }

  /** The workers may have changed: keeps the reserve, and calls the rescuer if needed. */
  private manage(): void {
    this.kworkers.ensureReserve();
    this.rescuer.look();
  }

  /** A thread ended before it took a task; Piscina does not tell which task it would have taken. */
  private startFailed(error: Error): void {
    this.kworkers.abortStarting(error);
    this.rescuer.abortStarting(error);
  }

  private createFailed(error: unknown): void {
    this.readiness.fail(error);
    this.failures.record(error);
  }

  /** Takes the item's worker out of the concurrency count, so that another worker of the pool can run. */
  private ranTooLong(id: number, fd: number, state: number): void {
    const { shared } = this.context;
    const pool = poolOf(state);
    if (!takeOutOfCount(shared, this.pools, id, fd, state)) return;
    this.cpuIntensive++;
    this.lastTaken = { worker: id, pool };
    this.slotsTaken.record();
    if (kick(shared, pool) !== 'not-wanted') this.manage();
  }

  private itemHangs(id: number, fd: number, started: number, forMs: number): void {
    const { shared, options, warn, note } = this.context;
    const connection = shared.connDoubles[shared.connDouble(fd, CONN_ID)];
    const syscall = syscallOfWorker(shared, id);
    const killed = options.hangKill && mayTerminate(shared, id, started) && this.terminateWorker(id);
    this.hung++;
    note('hang', { worker: id, killed });
    warn('an item hangs', { worker: id, connection, forMs: Math.round(forMs), in: syscall, killed });
  }

  private threadEnded(threadId: number, { error, ordered, wasUp }: ThreadEnd): void {
    const { shared } = this.context;
    const exited = inspectExited(shared, threadId);
    if (this.stopped) return;
    if (exited === null) {
      this.startFailed(error ?? new Error('a thread ended before it came up'));
      return;
    }
    const { workerId, state, wasRescuer } = exited;
    const hadBegun = stateOf(state) !== WorkerState.Starting;
    const died = hasDied(state, error, ordered);
    // Else Piscina ended it in order: a retired worker's thread had taken its task.
    if (!hadBegun && (died || !wasUp)) this.startFailed(error ?? new Error('a thread ended before its task'));
    const lost = takeOver(shared, this.pools, exited);
    const connectionLost = lost !== 0 && this.context.connectionLost(lost);
    if ((wasUp || ordered) && died) {
      this.deaths.record(workerId, error, connectionLost);
      // The rescuer replaces itself; a task that had not begun settles with an error, and creation is tried again.
      if (hadBegun && !wasRescuer) this.kworkers.workerDied();
    }
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      repairGrant(shared, pool);
      kick(shared, pool);
    }
    this.manage();
  }
}
