/**
 * The threads, as Piscina manages them. The only importer of Piscina.
 *
 * Runs on the main thread. It owns the Piscina instance and through it the threads: it makes them, notices
 * their end and stops them. What a thread does meanwhile is up to the task; who it is, is in shared memory
 * (THREAD_ID), because Piscina does not say which thread took a task.
 *
 * A thread's end is reported exactly once, when the thread is gone for certain (`exit`), not when its task's
 * promise settles: until then it may still touch a descriptor.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { SharedBuffers } from '../memory/layout.ts';
import type { Fifo } from '../queue/fifo.ts';
import { afterRunning, RunningTime } from '../sys/clock.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';

/** The modules that threads load, in workers/, and the functions that these export. */
export type WorkerModule = 'kworker' | 'serve-ffi' | 'serve-fs';
export type TaskName = 'kworker' | 'rescuer' | 'serve';
/** A task that no thread is given: Piscina makes a thread for it, and it is taken out of the queue again. */
const MAKE = 'make';

/**
 * Heap limits of a thread: a worker allocates next to nothing, its buffers are outside the heap.
 */
const RESOURCE_LIMITS = {
  maxYoungGenerationSizeMb: 1,
  maxOldGenerationSizeMb: 16,
  codeRangeSizeMb: 4,
  stackSizeMb: 0.5,
};

/** A task that was given to Piscina. */
export interface RunningTask {
  /** Settles when the task ends or its thread dies; never when it is taken out of the queue. */
  readonly done: Promise<void>;
  /** The task in the queue; null when a free thread took it at once. */
  readonly queued: object | null;
}

/** A long task on a thread of its own. */
export interface StartedTask {
  /** Its worker has come up: the creation timeout is off. */
  isUp(): void;
  /** Gives up on it if no thread has taken it. */
  abort(reason: unknown): void;
}

/** What cmwq needs of threads: these, or a simulation's. */
export type KworkerThreads = Pick<Threads, 'start' | 'size' | 'starting' | 'made' | 'terminate' | 'close'>;

/** How a thread has ended. */
export interface ThreadEnd {
  /** What its `error` event said; null when it ended after its task, by `terminate` or by Piscina. */
  error: Error | null;
  /** By `terminate`. */
  ordered: boolean;
  /** Whether it had loaded. */
  wasUp: boolean;
}

export interface ThreadsOptions {
  module: WorkerModule;
  buffers: SharedBuffers;
  /** Whether a thread without a task waits for the next one, or ends. */
  keepIdle: boolean;
  /** Tasks that no thread has taken yet. */
  queue: Fifo<object>;
  /** A thread is being made. */
  onMade: (threadId: number) => void;
  /** A thread has loaded and takes tasks from now on. */
  onUp: () => void;
  onExit: (threadId: number, end: ThreadEnd) => void;
  /** A message that a worker posted. */
  onMessage: (message: unknown) => void;
}

/** What Piscina shows of a thread. */
interface ThreadView {
  id: number;
  /** Tasks that it has. */
  currentUsage: number;
}

/** The longest time that a timer takes: 24 days. */
const FOREVER_MS = 2 ** 31 - 1;
/** Loading a module always ends, however long it takes on a busy machine. */
const LOADING_MS = 60_000;
/** How often close() looks whether the threads have gone. */
const CLOSE_LOOK_MS = 2;

/** The file of a worker module: .ts from source, .js from dist. */
function fileOf(module: WorkerModule): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`../../workers/${module}.${extension}`, import.meta.url).href;
}

export class Threads {
  private readonly piscina: Piscina<unknown, void>;
  private readonly options: ThreadsOptions;
  /** Threads alive, by thread id (a Worker forgets its own at its exit). */
  private readonly alive = new Map<number, Worker>();
  private readonly known = new WeakSet<Worker>();
  /** Of these, the ones that have not loaded yet. They get no task, and must not be terminated. */
  private readonly loading = new Set<number>();
  /** Threads that `terminate` was called for and that have not ended. */
  private readonly ordered = new Set<number>();
  private madeCount = 0;

  constructor(options: ThreadsOptions) {
    this.options = options;
    this.piscina = new Piscina<unknown, void>({
      filename: fileOf(options.module),
      minThreads: 0,
      maxThreads: 1, // below 1 only later
      idleTimeout: options.keepIdle ? FOREVER_MS : 0,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled', // tasks are long: nobody waits for the next one in Atomics.wait
      recordTiming: false,
      stricterFIFO: true, // a task that found no thread goes back to the front
      trackUnmanagedFds: false,
      taskQueue: options.queue as never, // Fifo has the five members of TaskQueue; its elements are Piscina's
      loadBalancer: (task, workers) => (task.name === MAKE ? null : this.freeOf(workers)),
      resourceLimits: RESOURCE_LIMITS,
      workerData: options.buffers,
    });
    this.allowNone();
    this.piscina.on('error', () => {}); // a thread's end is reported by its exit
    this.piscina.on('workerCreate', ({ id }: ThreadView) => {
      this.loading.delete(id);
      queueMicrotask(() => options.onUp()); // after Piscina has given it a task
    });
    this.piscina.on('message', options.onMessage);
  }

  private freeOf<T extends ThreadView>(workers: T[]): T | null {
    return workers.find(({ id, currentUsage }) => currentUsage === 0 && !this.loading.has(id)) ?? null;
  }

  /** Gives a task to a free thread, or to the next one that becomes free. Makes no thread. */
  run(name: TaskName, argument?: number): RunningTask {
    const { queue } = this.options;
    const before = queue.last;
    const done = this.piscina.run(argument, { name });
    return { done, queued: queue.last === before ? null : queue.last };
  }

  /**
   * Makes one more thread; it takes the first task in the queue once it has loaded. Throws what the system says when
   * it has none to give.
   */
  make(): void {
    fillStandardStreams(); // the thread's event loop must not get one
    this.piscina.options.maxThreads = Number.POSITIVE_INFINITY;
    try {
      this.piscina.run(undefined, { name: MAKE }).catch(() => {}); // settles only when the pool is being closed
    } finally {
      this.allowNone();
      this.options.queue.pop(); // Piscina queues the task first, whether new Worker() throws or not
      this.track();
    }
  }

  /**
   * Piscina makes no thread by itself. Else, when a thread became free while a task waited that none could take, it
   * would make them from an event where nobody catches what new Worker() throws (_onWorkerAvailable in 5.3.2).
   */
  private allowNone(): void {
    this.piscina.options.maxThreads = 0;
  }

  /**
   * Runs a long task on a free thread or a new one, which must have taken it within `timeoutMs`. `settled` is called once,
   * later: with null when the task has ended, with an error when its thread died or none took it.
   */
  start(
    name: TaskName,
    timeoutMs: number,
    settled: (error: unknown) => void,
    argument?: number,
  ): StartedTask {
    const { queue } = this.options;
    const failed = Promise.withResolvers<never>();
    const { done: ended, queued } = this.run(name, argument);
    const abort = (reason: unknown) => {
      if (queued === null || !queue.has(queued)) return;
      queue.remove(queued); // its promise never settles now
      failed.reject(reason);
    };
    const off = afterRunning(timeoutMs, () => abort(new Error(`no thread within ${timeoutMs} ms`)));
    Promise.race([ended, failed.promise])
      .finally(off)
      .then(() => settled(null), settled);
    try {
      if (queued !== null) this.make();
    } catch (error) {
      abort(error);
    }
    return { isUp: off, abort };
  }

  /** Threads that are alive, starting ones included. */
  get size(): number {
    return this.alive.size;
  }

  /** Threads that have not loaded yet. */
  get starting(): number {
    return this.loading.size;
  }

  /** Threads made so far. */
  get made(): number {
    return this.madeCount;
  }

  /** Ends a thread whatever it does; it takes up to a second when it is in a system call. False: no such thread. */
  terminate(threadId: number): boolean {
    const worker = this.alive.get(threadId);
    if (worker === undefined) return false;
    this.ordered.add(threadId);
    void worker.terminate();
    return true;
  }

  /**
   * Ends all threads. Their tasks must have ended or been told to. Resolves true when all are gone, false when
   * some were not within `timeoutMs` after all had loaded: termination cannot be forced on a thread in native code.
   */
  async close(timeoutMs: number): Promise<boolean> {
    // Terminating a thread while it loads a native addon aborts the process (napi_throw without a handler).
    await this.until(() => this.loading.size === 0, LOADING_MS);
    void this.piscina.destroy();
    // Not only until Piscina is done: it forgets an idle thread when it begins to end it.
    return this.until(() => this.alive.size === 0, timeoutMs);
  }

  /** Resolves true once `condition` holds, false after `timeoutMs`. */
  private async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const time = new RunningTime(timeoutMs / 5);
    while (!condition()) {
      if (time.read() > timeoutMs) return false;
      await pause(CLOSE_LOOK_MS);
    }
    return true;
  }

  /** Watches threads that Piscina has made since the last call. */
  private track(): void {
    for (const worker of this.piscina.threads) {
      if (this.known.has(worker)) continue;
      this.known.add(worker);
      const { threadId } = worker;
      let failure: Error | null = null;
      this.alive.set(threadId, worker);
      this.loading.add(threadId);
      this.madeCount++;
      this.options.onMade(threadId);
      worker.once('error', (error: Error) => {
        failure = error;
      });
      worker.once('exit', () => {
        this.alive.delete(threadId);
        const wasUp = !this.loading.delete(threadId);
        this.options.onExit(threadId, { error: failure, ordered: this.ordered.delete(threadId), wasUp });
      });
    }
  }
}
