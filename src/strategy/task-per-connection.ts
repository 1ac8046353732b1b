/**
 * A Piscina task per connection: the common part of kthread and workqueue.
 *
 * Main thread only. Connections without a thread wait in the FIFO. A thread serves its connection to the end and
 * reports it as usual (completions.ts); the task's promise only frees the thread. When a thread dies, only its
 * connection is lost, and only once the thread has exited.
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

/** Longer than the report of an ended connection takes: a connection queued for this long waits for one to end. */
const BUSY_AFTER_MS = 500;

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
  /** Connections dispatched and not yet handed back. */
  private lent = 0;
  /** Those whose task failed before a thread began with them. */
  private readonly stranded: Connection[] = [];
  /** The connections of queued tasks. */
  private readonly waiting = new WeakMap<object, Connection>();
  private busyLogged = false;
  private stopped = false;

  /** Keeps `min` threads and creates at most `max`; they load `module`. */
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

  /** Returns the queued task, null when a thread has taken it. */
  private run(connection: Connection): object | null {
    const { done, queued } = this.threads.run('serve', connection.fd);
    done.catch((error: unknown) => this.taskFailed(connection, error));
    if (queued !== null) this.waiting.set(queued, connection);
    return queued;
  }

  /**
   * Logged once, to tell the operator why new clients get no answer. A non-empty queue alone does not show it: a client
   * sees its connection end, and reconnects, before main learns of the end, and Piscina later still.
   */
  private logWhenBusy(waitedMs: number): void {
    if (this.busyLogged || waitedMs < BUSY_AFTER_MS || this.lent <= this.max) return;
    this.busyLogged = true;
    this.context.warn('all threads are busy; connections are queued', { threads: this.threads.size });
  }

  /**
   * Refuses connections that have waited too long; the queue is ordered by waiting time. The caller has just taken all
   * reports of ended connections.
   */
  onTick(nowMs: number): void {
    const noThreadMs = this.supply.exhaustedForMs(nowMs);
    if (this.supply.isExhausted) this.queueStranded();
    else if (this.unprovided === 0) return;
    for (let first = this.queue.first; first !== null; first = this.queue.first) {
      const connection = this.waiting.get(first) as Connection; // every queued task has one
      const waitedMs = nowMs - connection.dispatchedMs;
      this.logWhenBusy(waitedMs);
      const reason = this.refusalAfter(waitedMs, noThreadMs);
      if (reason === null) return;
      this.queue.shift(); // its promise never settles
      this.lent--;
      this.context.refuse(connection.fd, reason);
    }
  }

  /** Queued tasks for which no thread is starting. */
  private get unprovided(): number {
    return Math.max(0, this.queue.size - this.threads.starting);
  }

  private refusalAfter(waitedMs: number, noThreadMs: number): RefusalReason | null {
    if (isOver(waitedMs, this.context.options.maxQueueAgeMs)) return 'queueAge';
    return Math.min(waitedMs, noThreadMs) >= NO_THREAD_MS ? 'noThread' : null;
  }

  /** Queues connections whose task failed before those that came later. */
  private queueStranded(): void {
    const stranded = this.stranded.splice(0).filter(({ isLent }) => isLent);
    const queued = stranded.map((connection) => this.run(connection)).filter((task) => task !== null);
    this.queue.moveToFront(queued);
  }

  release(_connection: Connection, orderly: boolean): void {
    if (orderly) this.supply.resetBackoff();
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
      management: { cpuIntensive: 0, noticed: 0, mayday: 0, hung: 0, moved: 0 },
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
   * The task's promise may reject before or after its thread exits. If a worker is in the connection's item,
   * `threadEnded` handles it; otherwise no thread has begun with it, and the next one can take it.
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
    this.supply.make(); // connections that waited for this thread need another
  }

  /** Whether the worker died; if so, counts the death, and its connection as lost. */
  private hasDied({ workerId, itemFd }: ExitedWorker, error: Error | null): boolean {
    if (error === null && itemFd === 0) return false;
    const connectionLost = itemFd !== 0 && this.context.connectionLost(itemFd);
    this.deaths.record(workerId, error, connectionLost);
    return true;
  }
}
