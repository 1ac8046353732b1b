/**
 * cmwq: concurrency managed, as workqueues have been since Linux 2.6.36 and kecho in its later version.
 *
 * Mechanism: connections live in CPU pools; of a pool's workers exactly one runs at a time, the holder of
 * the run slot, and it works off the pool's worklist. As few threads as possible run, and as many as are
 * needed: when the running one sleeps in an item, an idle one takes over.
 * Strength: thousands of connections on cpus + 1 threads; no hand-over between threads while nobody sleeps.
 * Weakness: items of one pool run one after another, so a long one delays the others until it is noticed.
 * Where the imitation stops: the kernel learns of every sleep from its scheduler; here the sleeping code says so.
 *
 * Main thread only. This file joins the parts: CPU pools, kworkers, threads. The rules are in predicates.ts.
 */
import { CpuPools } from '../pool/cpu-pools.ts';
import { Kworkers } from '../pool/kworkers.ts';
import { Readiness } from '../pool/readiness.ts';
import { examine, freeWorker, workerStates } from '../pool/roster.ts';
import { Threads } from '../pool/threads.ts';
import { Fifo } from '../queue/fifo.ts';
import { STATE } from '../shared/layout.ts';
import { SysError } from '../sys/libc.ts';
import type { RefusalReason, Strategy, StrategyContext, StrategyStats } from './strategy.ts';

class Cmwq implements Strategy {
  private readonly context: StrategyContext;
  private readonly pools: CpuPools;
  private readonly threads: Threads;
  private readonly kworkers: Kworkers;
  private died = 0;
  private readonly readiness = new Readiness(() => this.kworkers.ready > this.context.options.cpus);

  constructor(context: StrategyContext) {
    this.context = context;
    const { shared, limits, options } = context;
    this.pools = new CpuPools(shared);
    this.threads = new Threads({
      buffers: shared.buffers,
      min: 0,
      max: limits.maxWorkers,
      queue: new Fifo<object>(),
      onExit: (threadId, error) => this.threadEnded(threadId, error),
      onError: (error) => this.workerFailed(error),
      onMessage: context.onMessage,
    });
    this.kworkers = new Kworkers({
      shared,
      threads: this.threads,
      maxWorkers: limits.maxWorkers,
      idleTimeoutMs: options.idleTimeoutMs,
      onTaskError: (error) => this.workerFailed(error),
      onLimit: () =>
        context.warn(
          'no more workers: items wait for a free one; a larger --max-workers would let them run',
          {
            maxWorkers: limits.maxWorkers,
          },
        ),
    });
  }

  /** One worker per CPU pool and one in reserve. */
  start(): Promise<void> {
    this.kworkers.start(this.context.options.cpus + 1);
    return this.readiness.wait();
  }

  dispatch(fd: number): RefusalReason | null {
    try {
      if (this.pools.place(fd) !== 'not-wanted') this.kworkers.ensureReserve();
      return null;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.context.warn('a connection could not be added to a worklist', { code: error.code });
      return 'descriptors';
    }
  }

  release(fd: number): void {
    this.pools.remove(fd);
  }

  onBell(): void {
    this.readiness.look();
    this.kworkers.ensureReserve();
  }

  stats(): StrategyStats {
    return {
      threads: {
        alive: this.threads.size,
        created: this.threads.made,
        culled: this.kworkers.culled,
        died: this.died,
      },
      queued: 0,
      cpuPools: this.pools.snapshot(),
    };
  }

  wakeAll(): void {
    const { shared } = this.context;
    this.pools.wakeAll();
    for (let id = 1; id <= shared.config.workers; id++)
      Atomics.notify(shared.words, shared.workerWord(id, STATE));
  }

  async stop(timeoutMs: number): Promise<boolean> {
    this.kworkers.stop();
    const gone = await this.threads.close(timeoutMs);
    // A thread that would not end may still wait on its worklist; then the descriptors must stay.
    if (gone) this.pools.close();
    return gone;
  }

  private workerFailed(error: unknown): void {
    this.readiness.fail(error);
    this.context.warn('a worker failed', { err: error, workers: workerStates(this.context.shared) });
  }

  private threadEnded(threadId: number, error: Error | null): void {
    const { shared } = this.context;
    const remains = examine(shared, threadId);
    if (remains === null) return;
    if (error !== null) this.died++;
    freeWorker(shared, remains.workerId);
  }
}

export function createCmwq(context: StrategyContext): Strategy {
  return new Cmwq(context);
}
