/**
 * A Piscina task per connection: what kthread and workqueue have in common.
 *
 * Main thread only. A connection that no thread has taken yet waits in the FIFO. The thread serves it to its
 * end and reports it like any other (completions.ts); the task's promise only frees the thread. When the
 * thread dies instead, its connection alone is lost, once the thread is gone for certain.
 */
import { Readiness } from '../pool/readiness.ts';
import {
  deathCause,
  examine,
  freeWorker,
  isInItem,
  noDeaths,
  threadOfWorker,
  workerOfThread,
  workerStates,
} from '../pool/roster.ts';
import { Threads } from '../pool/threads.ts';
import { Fifo } from '../queue/fifo.ts';
import { STATE } from '../shared/layout.ts';
import type { RefusalReason, Strategy, StrategyContext, StrategyStats } from './strategy.ts';

export class ServingThreads implements Strategy {
  private readonly context: StrategyContext;
  private readonly threads: Threads;
  private readonly readiness: Readiness;
  private readonly died = noDeaths();
  private stopped = false;

  /** `min` threads are kept, at most `max` are made. */
  constructor(context: StrategyContext, min: number, max: number) {
    this.context = context;
    this.readiness = new Readiness(() => workerStates(context.shared).idle >= min);
    this.threads = new Threads({
      buffers: context.shared.buffers,
      min,
      max,
      queue: new Fifo<object>(),
      isLoaded: (threadId) => workerOfThread(context.shared, threadId) !== 0,
      onExit: (threadId, error) => this.threadEnded(threadId, error),
      onError: (error) => {
        this.readiness.fail(error);
        context.warn('a thread failed', { err: error });
      },
      onMessage: context.onMessage,
    });
  }

  start(): Promise<void> {
    return this.readiness.wait();
  }

  dispatch(fd: number): RefusalReason | null {
    if (this.threads.waiting >= this.context.options.maxQueue && this.threads.waiting > 0) return 'queueFull';
    this.threads.run('serve', fd).catch(() => this.taskFailed(fd));
    return null;
  }

  release(): void {}

  onBell(): void {
    this.readiness.look();
  }

  stats(): StrategyStats {
    return {
      threads: {
        alive: this.threads.size,
        created: this.threads.made,
        culled: 0,
        createFailed: 0,
        died: { ...this.died },
      },
      management: { cpuIntensive: 0, mayday: 0, hung: 0 },
      queued: this.threads.waiting,
      cpuPools: [],
    };
  }

  terminateWorker(workerId: number): boolean {
    return this.threads.terminate(threadOfWorker(this.context.shared, workerId));
  }

  wakeAll(): void {
    const { shared } = this.context;
    for (let id = 1; id <= shared.config.workers; id++)
      Atomics.notify(shared.words, shared.workerWord(id, STATE));
  }

  stop(timeoutMs: number): Promise<boolean> {
    this.stopped = true;
    return this.threads.close(timeoutMs);
  }

  /** The promise may be rejected before the thread is gone: then its exit settles the matter. */
  private taskFailed(fd: number): void {
    if (!isInItem(this.context.shared, fd)) this.context.connectionLost(fd);
  }

  private threadEnded(threadId: number, error: Error | null): void {
    const { shared, warn, connectionLost } = this.context;
    const remains = examine(shared, threadId);
    if (remains === null) return;
    freeWorker(shared, remains.workerId);
    if (this.stopped || (error === null && remains.itemFd === 0)) return;
    const cause = deathCause(error);
    this.died[cause]++;
    warn('a worker died', { worker: remains.workerId, cause, err: error ?? undefined });
    if (remains.itemFd !== 0) connectionLost(remains.itemFd);
  }
}
