/**
 * A Piscina task per connection: what kthread and workqueue have in common.
 *
 * Main thread only. A connection that no thread has taken yet waits in the FIFO. The thread serves it to its
 * end and reports it like any other (completions.ts); the task's promise only frees the thread. When the
 * thread dies instead, its connection alone is lost, once the thread is gone for certain.
 */

import { Deaths } from '../pool/deaths.ts';
import { Readiness } from '../pool/readiness.ts';
import {
  examine,
  freeWorker,
  isInItem,
  type Remains,
  threadOfWorker,
  workerOfThread,
  workerStates,
} from '../pool/roster.ts';
import { Threads, type WorkerModule } from '../pool/threads.ts';
import { Fifo } from '../queue/fifo.ts';
import { CONN_ID, STATE } from '../shared/layout.ts';
import { monotonicMs } from '../sys/clock.ts';
import { CREATE_COOLDOWN_MS } from './predicates.ts';
import type { RefusalReason, Strategy, StrategyContext, StrategyStats } from './strategy.ts';

/** How long after a death or a failed start another thread is made: twice as long each time, up to the cooldown. */
const RETRY_MIN_MS = 10;
/** A connection that has waited for so long waits for another to end, not for news of one that has. */
const WAITS_MS = 500;

/** A connection that no thread has begun with. */
interface Waiting {
  fd: number;
  id: number;
  sinceMs: number;
}

/** Whether an age has reached its limit; 0 = no limit. */
function isOver(ageMs: number, limitMs: number): boolean {
  return limitMs > 0 && ageMs >= limitMs;
}

export class ServingThreads implements Strategy {
  private readonly context: StrategyContext;
  private readonly threads: Threads;
  private readonly min: number;
  private readonly max: number;
  private readonly readiness: Readiness;
  private readonly deaths: Deaths;
  private createFailed = 0;
  private readonly queue = new Fifo<object>();
  /** Connections dispatched and not released: descriptor -> connection id, since descriptors are reused. */
  private readonly dispatched = new Map<number, number>();
  /** Of these, the ones whose task failed before a thread began with them. */
  private readonly stranded: Waiting[] = [];
  /** The connections of the tasks in the queue. */
  private readonly waiting = new WeakMap<object, Waiting>();
  /** Deaths and failed starts since a connection ended in order. */
  private failures = 0;
  private retryTimer: NodeJS.Timeout | null = null;
  private waitingTold = false;
  private stopped = false;

  /** `min` threads are kept, at most `max` are made; they load `module`. */
  constructor(context: StrategyContext, module: WorkerModule, min: number, max: number) {
    this.context = context;
    this.deaths = new Deaths(context);
    this.min = min;
    this.max = max;
    this.readiness = new Readiness(() => workerStates(context.shared).idle >= min);
    this.threads = new Threads({
      module,
      buffers: context.shared.buffers,
      max,
      keepIdle: min > 0,
      queue: this.queue,
      isLoaded: (threadId) => workerOfThread(context.shared, threadId) !== 0,
      onMade: (thread) => context.note('threadMade', { thread }),
      onExit: (threadId, error) => this.threadEnded(threadId, error),
      onError: (error) => this.startFailed(error),
      onMessage: context.onMessage,
    });
  }

  start(): Promise<void> {
    this.makeThreads(this.min);
    return this.readiness.wait();
  }

  dispatch(fd: number): RefusalReason | null {
    const { shared, options } = this.context;
    if (this.dispatched.size >= this.max + options.maxQueue) return 'queueFull';
    const id = shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
    this.dispatched.set(fd, id);
    this.run({ fd, id, sinceMs: monotonicMs() });
    return null;
  }

  /** Returns the task that waits in the queue, null when a thread has taken it. */
  private run(connection: Waiting): object | null {
    const { queue } = this;
    const before = queue.last;
    this.threads.run('serve', connection.fd).catch((error: unknown) => this.taskFailed(connection, error));
    const queued = queue.last;
    if (queued === null || queued === before) return null;
    this.waiting.set(queued, connection);
    return queued;
  }

  /**
   * Once: who connects then gets no answer, and must not take the server for broken. The queue alone says little:
   * a client sees its end, and connects again, before main hears of it, and Piscina hears later still.
   */
  private tellOfWaiting(waitedMs: number): void {
    if (this.waitingTold || waitedMs < WAITS_MS || this.dispatched.size <= this.max) return;
    this.waitingTold = true;
    this.context.warn('connections wait: every thread has one', { threads: this.threads.size });
  }

  /**
   * Refuses who has waited too long: those at the front of the queue, which is in the order of waiting. Main has taken
   * the reports of all that have ended just before. A task `nothing` that has come to the front is dropped: its thread
   * was made with it, and it would hide who is behind it.
   */
  onTick(nowMs: number): void {
    const { options, refuse } = this.context;
    for (let first = this.queue.first; first !== null; first = this.queue.first) {
      const connection = this.waiting.get(first);
      if (connection !== undefined) {
        if (this.threads.waiting === 0) return; // threads are starting for all that wait
        const waitedMs = nowMs - connection.sinceMs;
        this.tellOfWaiting(waitedMs);
        if (!isOver(waitedMs, options.maxQueueAgeMs)) return;
      }
      this.threads.dropFirst();
      if (connection === undefined) continue;
      this.dispatched.delete(connection.fd);
      refuse(connection.fd, 'queueAge');
    }
  }

  /** A thread could not start, or ended before it took a task. Piscina tries no other by itself. */
  private startFailed(error: unknown): void {
    this.createFailed++;
    this.readiness.fail(error);
    this.context.note('creationFailed', {});
    this.context.warn('a thread could not start', { err: error });
    this.retryLater();
  }

  private retryLater(): void {
    if (this.retryTimer !== null || this.stopped) return;
    const delayMs = Math.min(CREATE_COOLDOWN_MS, RETRY_MIN_MS * 2 ** Math.min(20, this.failures++));
    this.retryTimer = setTimeout(() => {
      this.retryTimer = null;
      this.retry();
    }, delayMs);
  }

  /** Gives the next threads to stranded connections, before those that came later, and makes the missing threads. */
  private retry(): void {
    const stranded = this.stranded.splice(0).filter(({ fd, id }) => this.dispatched.get(fd) === id);
    const queued = stranded.map((connection) => this.run(connection)).filter((task) => task !== null);
    this.queue.moveToFront(queued);
    const { size, waiting } = this.threads;
    this.makeThreads(Math.max(this.min - size, Math.min(waiting, this.max - size)));
  }

  /** By tasks that do nothing: as many as to give one to each idle thread, which Piscina prefers, and `count` more. */
  private makeThreads(count: number): void {
    const tasks = count > 0 ? count + this.threads.idle : 0;
    for (let i = 0; i < tasks; i++) {
      this.threads.run('nothing').catch((error: unknown) => {
        if (!this.stopped) this.startFailed(error);
      });
    }
  }

  release(fd: number): void {
    this.failures = 0;
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
        died: { ...this.deaths.counts },
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
  private taskFailed(connection: Waiting, error: unknown): void {
    const settled = this.dispatched.get(connection.fd) !== connection.id;
    if (this.stopped || settled || isInItem(this.context.shared, connection.fd)) return;
    this.stranded.push(connection);
    this.startFailed(error);
  }

  private threadEnded(threadId: number, error: Error | null): void {
    const remains = examine(this.context.shared, threadId);
    if (this.stopped) return;
    if (remains !== null) this.inherit(remains, error);
    // Whoever waited for this thread, or the kept ones, need another.
    if (this.threads.waiting > 0 || this.threads.size < this.min) this.retryLater();
  }

  private inherit(remains: Remains, error: Error | null): void {
    const { shared, connectionLost } = this.context;
    freeWorker(shared, remains.workerId);
    if (error === null && remains.itemFd === 0) return;
    this.deaths.happened(remains.workerId, error, remains.itemFd !== 0);
    if (remains.itemFd !== 0) connectionLost(remains.itemFd);
  }
}
