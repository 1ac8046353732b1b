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
import { CONN_ID, STATE } from '../shared/layout.ts';
import type { RefusalReason, Strategy, StrategyContext, StrategyStats } from './strategy.ts';

/** How long after a thread could not start another one is tried. */
const RETRY_MS = 200;

export class ServingThreads implements Strategy {
  private readonly context: StrategyContext;
  private readonly threads: Threads;
  private readonly max: number;
  private readonly readiness: Readiness;
  private readonly died = noDeaths();
  private createFailed = 0;
  /** Connections dispatched and not released: descriptor -> connection id, since descriptors are reused. */
  private readonly dispatched = new Map<number, number>();
  /** Of these, the ones whose task failed before a thread began with them. */
  private readonly stranded: number[] = [];
  private retryTimer: NodeJS.Timeout | null = null;
  private stopped = false;

  /** `min` threads are kept, at most `max` are made. */
  constructor(context: StrategyContext, min: number, max: number) {
    this.context = context;
    this.max = max;
    this.readiness = new Readiness(() => workerStates(context.shared).idle >= min);
    this.threads = new Threads({
      buffers: context.shared.buffers,
      min,
      max,
      queue: new Fifo<object>(),
      isLoaded: (threadId) => workerOfThread(context.shared, threadId) !== 0,
      onExit: (threadId, error) => this.threadEnded(threadId, error),
      onError: (error) => this.startFailed(error),
      onMessage: context.onMessage,
    });
  }

  start(): Promise<void> {
    return this.readiness.wait();
  }

  dispatch(fd: number): RefusalReason | null {
    const { shared, options } = this.context;
    if (this.dispatched.size >= this.max + options.maxQueue) return 'queueFull';
    this.dispatched.set(fd, shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number);
    this.run(fd);
    return null;
  }

  private run(fd: number): void {
    const id = this.dispatched.get(fd);
    if (id !== undefined) this.threads.run('serve', fd).catch(() => this.taskFailed(fd, id));
  }

  /** A thread could not start. Its task waits on, or has failed; Piscina tries no other by itself. */
  private startFailed(error: Error): void {
    this.createFailed++;
    this.readiness.fail(error);
    this.context.warn('a thread could not start', { err: error });
    this.retryLater();
  }

  private retryLater(): void {
    if (this.retryTimer !== null || this.stopped) return;
    this.retryTimer = setTimeout(() => {
      this.retryTimer = null;
      for (const fd of this.stranded.splice(0)) this.run(fd);
      if (this.threads.waiting > 0) this.threads.run('nothing').catch(() => {});
    }, RETRY_MS);
  }

  release(fd: number): void {
    this.dispatched.delete(fd);
  }

  onBell(): void {
    this.readiness.look();
  }

  stats(): StrategyStats {
    return {
      threads: {
        alive: this.threads.size,
        created: this.threads.made,
        culled: 0,
        createFailed: this.createFailed,
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
    this.readiness.fail(new Error('stopped'));
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    return this.threads.close(timeoutMs);
  }

  /**
   * The promise may be rejected before the thread is gone or after: when it was in this connection, its exit
   * settles the matter. When no thread was, none has begun, and the connection can be given to the next one.
   */
  private taskFailed(fd: number, id: number): void {
    const settled = this.dispatched.get(fd) !== id;
    if (this.stopped || settled || isInItem(this.context.shared, fd)) return;
    this.stranded.push(fd);
    this.retryLater();
  }

  private threadEnded(threadId: number, error: Error | null): void {
    const { shared, warn, connectionLost } = this.context;
    const remains = examine(shared, threadId);
    if (remains === null) {
      this.retryLater(); // it ended before it took its task
      return;
    }
    freeWorker(shared, remains.workerId);
    if (this.stopped || (error === null && remains.itemFd === 0)) return;
    const cause = deathCause(error);
    this.died[cause]++;
    warn('a worker died', { worker: remains.workerId, cause, err: error ?? undefined });
    if (remains.itemFd !== 0) connectionLost(remains.itemFd);
  }
}
