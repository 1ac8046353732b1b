/**
 * cmwq: concurrency-managed, like workqueues since Linux 2.6.36 and kecho's later version.
 *
 * Mechanism: connections live in CPU pools. Of a pool's workers exactly one runs at a time, the holder of the run slot,
 * and processes the pool's worklist. When it sleeps in an item, an idle worker takes over, so no more threads run than
 * are needed.
 * Strength: thousands of connections on cpus + 1 workers; no hand-over between threads unless an item sleeps.
 * Weakness: the items of a pool run one after another; a long one delays the others until the monitor notices it.
 * Where the imitation stops: the kernel's scheduler sees every sleep at once; here the sleeping code declares it, or the
 * monitor notices it within some milliseconds.
 *
 * Main thread only. Joins the parts: CPU pools, kworkers, rescuer, monitor, threads. The rules are in predicates.ts,
 * the transitions in src/memory/run-slot.ts.
 */

import { RateLimit } from '../log/rate-limit.ts';
import { kick, repairGrant } from '../memory/kick.ts';
import { runsHandlers, STATE } from '../memory/layout.ts';
import { CpuPools } from '../pool/cpu-pools.ts';
import { Deaths } from '../pool/deaths.ts';
import { Kworkers } from '../pool/kworkers.ts';
import { MonitorThread } from '../pool/monitor-thread.ts';
import { Readiness } from '../pool/readiness.ts';
import { Rescuer } from '../pool/rescuer.ts';
import { hasDied, inspectExited, threadOfWorker } from '../pool/roster.ts';
import { takeOver, takeOverSeized } from '../pool/take-over.ts';
import type { KworkerThreads, ThreadEnd, ThreadsOptions } from '../pool/threads.ts';
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

/** Before main handles a worker's end again, in which the monitor was seizing its slot. */
const SEIZED_RETRY_MS = 1;

/** The monitor's counts without one. */
const NO_ITEMS_FOUND = { noticed: 0, cpuIntensive: 0, hung: 0 };

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
  private readonly clock: Clock;
  private readonly pools: CpuPools;
  private readonly threads: KworkerThreads;
  private readonly kworkers: Kworkers;
  private readonly rescuer: Rescuer;
  /** Null if items only echo: then none sleeps, computes or hangs. */
  private readonly monitor: MonitorThread | null;
  private readonly readiness: Readiness;
  private readonly deaths: Deaths;
  private readonly failures: CreationFailures;
  /** Since when no thread has been up; null while one is. */
  private noThreadSinceMs: number | null = null;
  private worklistError = '';
  private readonly worklistWarning = new RateLimit(WARN_INTERVAL_MS, (times) =>
    this.context.warn('connections could not be added to a worklist', { code: this.worklistError, times }),
  );
  private stopped = false;

  constructor(context: CmwqContext, { clock, makeThreads, makeWorklist }: CmwqHost) {
    this.context = context;
    this.clock = clock;
    const { shared, limits, options, warn, note } = context;
    this.deaths = new Deaths(context);
    this.failures = new CreationFailures(context);
    this.pools = new CpuPools(shared, makeWorklist, clock);
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
      onCreateFailed: (error) => {
        this.createFailed(error);
        this.rescuer.creationFailed();
      },
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
      startTimeMs: () => this.kworkers.startTimeMs,
      onCreateFailed: (error) => this.createFailed(error),
      onMayday: () => note('mayday', {}),
    });
    this.monitor = runsHandlers(shared.config) ? this.makeMonitor(makeThreads) : null;
    this.readiness = new Readiness(() => this.isReady(), clock);
  }

  private makeMonitor(makeThreads: CmwqHost['makeThreads']): MonitorThread {
    const { shared, options, warn, note } = this.context;
    const { cpuIntensiveThreshMs, hangTimeoutMs, hangKill } = options;
    return new MonitorThread({
      shared,
      clock: this.clock,
      makeThreads,
      limits: { cpuIntensiveThreshMs, hangTimeoutMs },
      hangKill,
      terminateWorker: (id) => this.terminateWorker(id),
      warn,
      note,
      onUp: () => this.readiness.look(),
      onCreateFailed: (error) => {
        this.failures.record(error);
        this.readiness.look();
      },
      onDied: (error) => this.monitorDied(error),
    });
  }

  private isReady(): boolean {
    const { cpus } = this.context.options;
    const monitorIsSettled = this.monitor?.isSettled ?? true;
    return this.kworkers.ready > cpus && this.rescuer.isUp && monitorIsSettled && this.canServe;
  }

  /** Starts one worker per CPU pool, one in reserve, the rescuer and the monitor. */
  async start(): Promise<void> {
    this.kworkers.start(this.context.options.cpus + 1);
    this.rescuer.start();
    this.monitor?.start();
    await this.readiness.wait();
    this.kworkers.startCulling();
  }

  get canServe(): boolean {
    return this.threads.size > this.threads.starting;
  }

  dispatch(connection: Connection): RefusalReason | null {
    if (this.hasLongHadNoThread()) return 'noThread';
    try {
      const pool = this.pools.place(connection.fd);
      if (kick(this.context.shared, pool) !== 'not-wanted') this.manage();
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

  release({ fd }: Connection): void {
    this.pools.remove(fd);
  }

  onTick(nowMs: number): void {
    this.noThreadSinceMs = this.canServe ? null : (this.noThreadSinceMs ?? nowMs);
  }

  onBell(): void {
    this.manage();
    this.readiness.look();
  }

  stats(): StrategyStats {
    const cpuPools = this.pools.snapshot();
    const counts = this.monitor?.counts ?? NO_ITEMS_FOUND;
    const moved = cpuPools.reduce((sum, { movedIn }) => sum + movedIn, 0);
    return {
      threads: {
        alive: this.threads.size + (this.monitor?.threads.size ?? 0),
        created: this.threads.made + (this.monitor?.threads.made ?? 0),
        culled: this.kworkers.culled,
        createFailed: this.failures.count,
        died: { ...this.deaths.counts },
      },
      management: { ...counts, mayday: this.rescuer.maydays, moved },
      queued: 0,
      cpuPools,
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
    this.monitor?.wake();
  }

  async stop(timeoutMs: number): Promise<boolean> {
    this.stopped = true;
    this.readiness.fail(new Error('stopped'));
    this.kworkers.stop();
    this.monitor?.stop();
    this.rescuer.stop();
    this.failures.close();
    this.worklistWarning.close();
    const all = [this.threads, ...(this.monitor === null ? [] : [this.monitor.threads])];
    const ended = await Promise.all(all.map((threads) => threads.close(timeoutMs)));
    const allEnded = !ended.includes(false);
    // A thread that has not ended may still wait on its worklist, so the descriptors must stay open.
    if (allEnded) this.pools.close();
    return allEnded;
  }

  /** The workers may have changed: keeps the reserve, and calls the rescuer if needed. */
  private manage(): void {
    this.kworkers.ensureReserve();
    this.rescuer.look();
  }

  /** A thread ended before it took a task. Which one does not matter: the other threads take those that are left. */
  private startFailed(error: Error): void {
    if (!this.kworkers.abortStarting(error)) this.rescuer.abortStarting(error);
  }

  private createFailed(error: unknown): void {
    this.readiness.fail(error);
    this.failures.record(error);
  }

  private threadEnded(threadId: number, { error, ordered, wasUp }: ThreadEnd): void {
    const { shared } = this.context;
    const exited = inspectExited(shared, threadId);
    if (this.stopped) return;
    if (exited === null) {
      this.startFailed(error ?? new Error('a thread ended before it came up'));
      return;
    }
    const { workerId, state, wasRescuer, hadBegun } = exited;
    const died = hasDied(state, error, ordered);
    // Else Piscina ended it in order: a retired worker's thread had taken its task.
    if (!hadBegun && (died || !wasUp)) this.startFailed(error ?? new Error('a thread ended before its task'));
    const lost = takeOver(shared, this.pools, exited);
    if (lost === null) {
      this.clock.after(SEIZED_RETRY_MS, () => this.threadEnded(threadId, { error, ordered, wasUp }));
      return;
    }
    const connectionLost = lost !== 0 && this.context.connectionLost(lost);
    if ((wasUp || ordered) && died) {
      this.deaths.record(workerId, error, connectionLost);
      // The rescuer replaces itself; a task that had not begun settles with an error, and creation is tried again.
      if (hadBegun && !wasRescuer) this.kworkers.workerDied();
    }
    this.repairKicks();
  }

  private monitorDied(error: Error | null): void {
    takeOverSeized(this.context.shared, this.pools);
    this.deaths.record('monitor', error, false);
    this.repairKicks();
  }

  /** A thread has died, perhaps in the middle of a kick. */
  private repairKicks(): void {
    const { shared } = this.context;
    for (let pool = 0; pool < shared.config.cpus; pool++) {
      repairGrant(shared, pool);
      kick(shared, pool);
    }
    this.manage();
  }
}
