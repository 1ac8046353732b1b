/**
 * A Piscina task per connection: what kthread and workqueue have in common.
 *
 * Main thread only. A connection that no thread has taken yet waits in the FIFO. The thread serves it to its
 * end and reports it like any other (completions.ts); the task's promise only frees the thread. When the
 * thread dies instead, its connection alone is lost, once the thread is gone for certain.
 */

import { STATE } from '../memory/layout.ts';
import { Deaths } from '../pool/deaths.ts';
import { Readiness } from '../pool/readiness.ts';
import { type ExitedWorker, freeWorker, inspectExited, isInItem, threadOfWorker } from '../pool/roster.ts';
import { ThreadSupply } from '../pool/thread-supply.ts';
import { type ThreadEnd, Threads, type WorkerModule } from '../pool/threads.ts';
import { Fifo } from '../queue/fifo.ts';
import { CreationFailures } from './creation-failures.ts';
import {
  type Connection,
  NO_THREAD_MS,
  type RefusalReason,
  type Strategy,
  type StrategyContext,
  type StrategyStats,
} from './strategy.ts';

/** A connection that has waited for so long waits for another to end, not for news of one that has. */
const WAITS_MS = 500;

/** Whether an age has reached its limit; 0 = no limit. */
function isOver(ageMs: number, limitMs: number): boolean {
  return limitMs > 0 && ageMs >= limitMs;
}

export class ServingThreads implements Strategy {
  private readonly context: StrategyContext;
  private readonly threads: Threads;
  private readonly supply: ThreadSupply;
  private readonly max: number;
  private readonly readiness: Readiness;
  private readonly deaths: Deaths;
  private readonly failures: CreationFailures;
  private readonly queue = new Fifo<object>();
  /** Connections dispatched and not handed back. */
  private lent = 0;
  /** Of these, the ones whose task failed before a thread began with them. */
  private readonly stranded: Connection[] = [];
  /** The connections of the tasks in the queue. */
  private readonly waiting = new WeakMap<object, Connection>();
  private waitingTold = false;
  private stopped = false;

  /** `min` threads are kept, at most `max` are made; they load `module`. */
  constructor(context: StrategyContext, module: WorkerModule, min: number, max: number) {
    this.context = context;
    this.deaths = new Deaths(context);
    this.failures = new CreationFailures(context);
    this.max = max;
    this.readiness = new Readiness(() => this.threads.size - this.threads.starting >= min);
    this.threads = new Threads({
      module,
      buffers: context.shared.buffers,
      keepIdle: min > 0,
      queue: this.queue,
      onMade: (thread) => context.note('threadMade', { thread }),
      onUp: () => {
        this.supply.cameUp();
        this.readiness.look();
      },
      onExit: (threadId, end) => this.threadEnded(threadId, end),
      onMessage: context.onMessage,
    });
    this.supply = new ThreadSupply({
      threads: this.threads,
      max,
      wanted: () => Math.max(this.queue.size, min - (this.threads.size - this.threads.starting)),
      nowMs: context.nowMs,
      onRetry: () => this.queueStranded(),
      onFailed: (error) => {
        this.readiness.fail(error);
        this.failures.record(error);
      },
    });
  }

  start(): Promise<void> {
    this.supply.make();
    return this.readiness.wait();
  }

  get canServe(): boolean {
    return !this.supply.isExhausted;
  }

  dispatch(connection: Connection): RefusalReason | null {
    if (this.lent >= this.max + this.context.options.maxQueue) return 'queueFull';
    this.lent++;
    connection.dispatchedMs = this.context.nowMs();
    this.run(connection);
    this.supply.make();
    return null;
  }

  /** Returns the task that waits in the queue, null when a thread has taken it. */
  private run(connection: Connection): object | null {
    const { done, queued } = this.threads.run('serve', connection.fd);
    done.catch((error: unknown) => this.taskFailed(connection, error));
    if (queued !== null) this.waiting.set(queued, connection);
    return queued;
  }

  /**
   * Once: who connects then gets no answer, and must not take the server for broken. The queue alone says little:
   * a client sees its end, and connects again, before main hears of it, and Piscina hears later still.
   */
  private tellOfWaiting(waitedMs: number): void {
    if (this.waitingTold || waitedMs < WAITS_MS || this.lent <= this.max) return;
    this.waitingTold = true;
    this.context.warn('connections wait: every thread has one', { threads: this.threads.size });
  }

  /**
   * Refuses connections that have waited too long: those at the front of the queue, which is in the order of waiting.
   * Main has taken the reports of all that have ended just before.
   */
  onTick(nowMs: number): void {
    const noThreadMs = this.supply.exhaustedForMs(nowMs);
    if (this.supply.isExhausted) this.queueStranded();
    else if (this.unprovided === 0) return;
    for (let first = this.queue.first; first !== null; first = this.queue.first) {
      const connection = this.waiting.get(first) as Connection; // every task in the queue is a connection's
      const waitedMs = nowMs - connection.dispatchedMs;
      this.tellOfWaiting(waitedMs);
      const reason = this.refusalAfter(waitedMs, noThreadMs);
      if (reason === null) return;
      this.queue.shift(); // its promise never settles now
      this.lent--;
      this.context.refuse(connection.fd, reason);
    }
  }

  /** Tasks in the queue for which no thread is starting. */
  private get unprovided(): number {
    return Math.max(0, this.queue.size - this.threads.starting);
  }

  private refusalAfter(waitedMs: number, noThreadMs: number): RefusalReason | null {
    if (isOver(waitedMs, this.context.options.maxQueueAgeMs)) return 'queueAge';
    return Math.min(waitedMs, noThreadMs) >= NO_THREAD_MS ? 'noThread' : null;
  }

  /** Connections whose task failed go before those that came later. */
  private queueStranded(): void {
    const stranded = this.stranded.splice(0).filter(({ isLent }) => isLent);
    const queued = stranded.map((connection) => this.run(connection)).filter((task) => task !== null);
    this.queue.moveToFront(queued);
  }

  release(_connection: Connection, inOrder: boolean): void {
    if (inOrder) this.supply.worked();
    this.lent--;
  }

  onBell(): void {} // threads take their tasks from Piscina

  stats(): StrategyStats {
    return {
      threads: {
        alive: this.threads.size,
        created: this.threads.made,
        culled: 0,
        createFailed: this.failures.count,
        died: { ...this.deaths.counts },
      },
      management: { cpuIntensive: 0, mayday: 0, hung: 0 },
      queued: this.unprovided + this.stranded.length,
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
    this.supply.stop();
    this.failures.close();
    return this.threads.close(timeoutMs);
  }

  /**
   * The promise may be rejected before the thread is gone or after: when it was in this connection, its exit
   * settles the matter. When no thread was, none has begun, and the connection can be given to the next one.
   */
  private taskFailed(connection: Connection, error: unknown): void {
    const { fd, isLent } = connection;
    if (this.stopped || !isLent || isInItem(this.context.shared, fd)) return;
    this.stranded.push(connection);
    this.supply.failed(error);
  }

  private threadEnded(threadId: number, { error, wasUp }: ThreadEnd): void {
    const { shared } = this.context;
    const exited = inspectExited(shared, threadId);
    if (this.stopped) return;
    if (exited !== null) freeWorker(shared, exited.workerId);
    if (!wasUp) this.supply.failed(error ?? new Error('a thread ended before it came up'));
    else if (exited !== null && this.hasDied(exited, error)) this.supply.pause();
    this.supply.make(); // those that waited for this thread need another
  }

  /** Counts it if so; then the connection that it was in is lost. */
  private hasDied({ workerId, itemFd }: ExitedWorker, error: Error | null): boolean {
    if (error === null && itemFd === 0) return false;
    const connectionLost = itemFd !== 0 && this.context.connectionLost(itemFd);
    this.deaths.happened(workerId, error, connectionLost);
    return true;
  }
}
