/**
 * The threads, as managed by Piscina. The only importer of Piscina.
 *
 * Main thread only. It owns the Piscina instance and through it the threads: creates them, reports their exit and stops
 * them. Which thread runs a task is in shared memory (THREAD_ID), because Piscina does not tell.
 *
 * A thread's end is reported exactly once, at its `exit` event, not when its task's promise settles: until then it may
 * still use a descriptor.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ResourceLimits, Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { HandlerSpec, SharedBuffers, WorkerData } from '../memory/layout.ts';
import type { MonitorLimits } from '../memory/monitor.ts';
import { takePost } from '../memory/posts.ts';
import type { Fifo } from '../queue/fifo.ts';
import { afterRunning, RunningTime } from '../sys/clock.ts';
import { koffiFile } from '../sys/libc.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';

/** The modules that threads load, in workers/, and the functions that these export. */
export type WorkerModule = 'kworker' | 'monitor' | 'serve-ffi' | 'serve-fs';
export type TaskName = 'kworker' | 'rescuer' | 'monitor' | 'serve' | typeof END;
/** A kworker task's number, a descriptor to serve, or the monitor's limits. */
export type TaskArgument = number | MonitorLimits;
/**
 * The function of each module that a thread looks up as it starts; any would do. Piscina would ask for a default export,
 * and for want of one load the module through the ESM loader as well (2 to 3 ms of CPU time). Modules have none: from
 * source Node makes a facade for such a module, and a thread that is terminated meanwhile aborts the process.
 */
export const FIRST_TASK: Record<WorkerModule, TaskName> = {
  kworker: 'kworker',
  monitor: 'monitor',
  'serve-ffi': 'serve',
  'serve-fs': 'serve',
};
/** A task that no thread runs: Piscina creates a thread for it, and `make` removes it from the queue. */
const MAKE = 'make';
/** The last task of a thread with a handler: Piscina only terminates threads, which would skip tearDown. */
const END = 'end';

/**
 * Heap limits of a thread: a worker allocates little, and its buffers are outside the heap. With a young generation of
 * 1 MiB a thread would collect it twice while it starts (1 to 2 ms).
 */
const RESOURCE_LIMITS = {
  maxYoungGenerationSizeMb: 4,
  maxOldGenerationSizeMb: 16,
  codeRangeSizeMb: 4,
  stackSizeMb: 0.5,
};

/** The limits of a thread; a handler is limited by V8 and its own option. */
export function resourceLimits(handler: HandlerSpec | undefined): ResourceLimits {
  if (handler === undefined) return RESOURCE_LIMITS;
  const { heapBytes } = handler;
  return heapBytes === undefined ? {} : { maxOldGenerationSizeMb: Math.ceil(heapBytes / 2 ** 20) };
}

/** A task that was given to Piscina. */
export interface RunningTask {
  /** Settles when the task ends or its thread dies; never once it is removed from the queue. */
  readonly done: Promise<void>;
  /** The task in the queue; null when a free thread took it at once. */
  readonly queued: object | null;
}

/** A long task on a thread of its own. */
export interface StartedTask {
  /** Its worker is up: cancels the creation timeout. */
  isUp(): void;
  /** Drops the task if no thread has taken it; else returns false. */
  abort(reason: unknown): boolean;
}

/** The part that cmwq needs; a simulation has its own. */
export type KworkerThreads = Pick<Threads, 'start' | 'size' | 'starting' | 'made' | 'terminate' | 'close'>;

/** How a thread has ended. */
export interface ThreadEnd {
  /** From its `error` event; null when it ended after its task, by `terminate` or by Piscina. */
  error: Error | null;
  /** Ended by `terminate`. */
  ordered: boolean;
  /** Whether it had loaded. */
  wasUp: boolean;
}

export interface ThreadsOptions {
  module: WorkerModule;
  buffers: SharedBuffers;
  /** Whether a thread without a task waits for the next one; otherwise it ends. */
  keepIdle: boolean;
  /** Tasks that no thread has taken yet. */
  queue: Fifo<object>;
  /** A thread has been created and is loading. */
  onMade: (threadId: number) => void;
  /** A thread has loaded and takes tasks. */
  onUp: () => void;
  onExit: (threadId: number, end: ThreadEnd) => void;
  /** A message that a worker posted. */
  onMessage: (message: unknown) => void;
}

/** Piscina's view of a thread. */
interface ThreadView {
  id: number;
  /** Tasks it is running. */
  currentUsage: number;
}

/** The maximum of a timer: 24 days. */
const FOREVER_MS = 2 ** 31 - 1;
/** Longest wait for threads to load; on a busy machine that takes long. */
const LOADING_MS = 60_000;
/** How often close() checks whether the threads have ended. */
const CLOSE_CHECK_MS = 2;

/** The file of a worker module: .ts from source; from dist .cjs, a bundle with its imports (`npm run build:workers`). */
export function fileOf(module: WorkerModule | 'probe'): string {
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'cjs';
  return join(import.meta.dirname, `../../workers/${module}.${extension}`);
}

export class Threads {
  private readonly piscina: Piscina<unknown, void>;
  private readonly options: ThreadsOptions;
  /** Live threads by thread id (a Worker loses its id at its exit). */
  private readonly alive = new Map<number, Worker>();
  private readonly known = new WeakSet<Worker>();
  /** Live threads that have not loaded yet. They get no task and must not be terminated. */
  private readonly loading = new Set<number>();
  /** Live threads that `terminate` was called for. */
  private readonly ordered = new Set<number>();
  private madeCount = 0;

  constructor(options: ThreadsOptions) {
    this.options = options;
    this.piscina = new Piscina<unknown, void>({
      filename: fileOf(options.module),
      name: FIRST_TASK[options.module],
      minThreads: 0,
      maxThreads: 1, // the constructor rejects 0
      idleTimeout: options.keepIdle || this.endsInOrder ? FOREVER_MS : 0,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled', // tasks are long: idle threads need not block in Atomics.wait
      recordTiming: false,
      stricterFIFO: true, // a task that finds no thread returns to the front
      taskQueue: options.queue as never, // Fifo has the five members of TaskQueue; its elements are Piscina's
      loadBalancer: (task, workers) => (task.name === MAKE ? null : this.freeOf(workers)),
      resourceLimits: resourceLimits(options.buffers.config.handler),
      workerData: { ...options.buffers, koffiFile: koffiFile() } satisfies WorkerData,
    });
    this.forbidThreads();
    this.piscina.on('error', () => {}); // `exit` reports a thread's end
    this.piscina.on('workerCreate', ({ id }: ThreadView) => {
      this.loading.delete(id);
      queueMicrotask(() => {
        options.onUp(); // after Piscina has assigned it a task
        this.endIfIdle();
      });
    });
    this.piscina.on('message', (posted: unknown) => takePost(posted, options.onMessage));
  }

  private freeOf<T extends ThreadView>(workers: T[]): T | null {
    return workers.find(({ id, currentUsage }) => currentUsage === 0 && !this.loading.has(id)) ?? null;
  }

  /** Runs a task on a free thread, or on the next one that becomes free. Creates no thread. */
  run(name: TaskName, argument?: TaskArgument): RunningTask {
    const { queue } = this.options;
    const before = queue.last;
    const done = this.piscina.run(argument, { name });
    const settled = () => this.endIfIdle();
    void done.then(settled, settled);
    return { done, queued: queue.last === before ? null : queue.last };
  }

  /**
   * Creates one more thread, which takes the first queued task once it has loaded. Throws when the system cannot create
   * one.
   */
  make(): void {
    fillStandardStreams(); // the thread's event loop must not get descriptors 0 to 2
    this.piscina.options.maxThreads = Number.POSITIVE_INFINITY;
    try {
      this.piscina.run(undefined, { name: MAKE }).catch(() => {}); // settles only when the pool is being closed
    } finally {
      this.forbidThreads();
      this.options.queue.pop(); // Piscina queues the task first, whether new Worker() throws or not
      this.track();
    }
  }

  /** Whether threads end by a task, so that the handler's tearDown runs. */
  private get endsInOrder(): boolean {
    return this.options.buffers.config.handler !== undefined;
  }

  /** Ends threads that have no task. Piscina has given them one if any was queued. */
  private endIfIdle(): void {
    if (this.endsInOrder && !this.options.keepIdle) this.endFree();
  }

  private endFree(): void {
    const { queue } = this.options;
    // Bounded, as Piscina rejects tasks once it is being destroyed.
    for (let threads = this.alive.size; threads > 0; threads--) {
      const before = queue.last;
      this.piscina.run(undefined, { name: END }).catch(() => {}); // the thread exits without an answer
      if (queue.last === before) continue;
      queue.pop(); // no thread was free
      return;
    }
  }

  /**
   * Keeps Piscina from creating threads by itself. Otherwise, when a thread became free while a task waited that none
   * could take, it would do so in _onWorkerAvailable (5.3.2), where an error of new Worker() is uncaught.
   */
  private forbidThreads(): void {
    this.piscina.options.maxThreads = 0;
  }

  /**
   * Runs a long task on a free or new thread, which must take it within `timeoutMs`. `settled` is called once, later:
   * with null when the task has ended, with an error when its thread died or none took it.
   */
  start(
    name: TaskName,
    timeoutMs: number,
    settled: (error: unknown) => void,
    argument?: TaskArgument,
  ): StartedTask {
    const { queue } = this.options;
    const failed = Promise.withResolvers<never>();
    const { done: ended, queued } = this.run(name, argument);
    const abort = (reason: unknown) => {
      if (queued === null || !queue.has(queued)) return false;
      queue.remove(queued); // its promise never settles
      failed.reject(reason);
      return true;
    };
    const cancel = afterRunning(timeoutMs, () => abort(new Error(`no thread within ${timeoutMs} ms`)));
    Promise.race([ended, failed.promise])
      .finally(cancel)
      .then(() => settled(null), settled);
    try {
      if (queued !== null) this.make();
    } catch (error) {
      abort(error);
    }
    return { isUp: cancel, abort };
  }

  /** Live threads, including loading ones. */
  get size(): number {
    return this.alive.size;
  }

  /** Threads that have not loaded yet. */
  get starting(): number {
    return this.loading.size;
  }

  /** Threads created since the start. */
  get made(): number {
    return this.madeCount;
  }

  /** Terminates a thread; takes up to a second while it is in a system call. False: no such thread. */
  terminate(threadId: number): boolean {
    const worker = this.alive.get(threadId);
    if (worker === undefined) return false;
    this.ordered.add(threadId);
    void worker.terminate();
    return true;
  }

  /**
   * Ends all threads; STOP must be set. Resolves true when all have exited, false when some have not within `timeoutMs`
   * after loading: a thread in native code cannot be forced to end.
   */
  async close(timeoutMs: number): Promise<boolean> {
    // Terminating a thread while it loads a native addon aborts the process (napi_throw without a handler).
    // Handlers load after that, and may take for ever.
    await this.until(() => this.loading.size === 0, this.endsInOrder ? timeoutMs : LOADING_MS);
    if (this.endsInOrder) await this.endInOrder(timeoutMs / 2);
    void this.piscina.destroy();
    // Piscina's promise is not enough: it drops an idle thread before that has exited.
    return this.until(() => this.alive.size === 0, timeoutMs);
  }

  /** Lets threads finish their tasks and end; no thread takes a queued task meanwhile. */
  private async endInOrder(timeoutMs: number): Promise<void> {
    const { queue } = this.options;
    const waiting: object[] = [];
    for (let task = queue.shift(); task !== null; task = queue.shift()) waiting.push(task);
    await this.until(() => {
      this.endFree();
      return this.alive.size === 0;
    }, timeoutMs);
    for (const task of waiting) queue.push(task); // Piscina rejects their promises
  }

  /** Resolves true once `condition` holds, false after `timeoutMs`. */
  private async until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const time = new RunningTime(timeoutMs / 5);
    while (!condition()) {
      if (time.read() > timeoutMs) return false;
      await pause(CLOSE_CHECK_MS);
    }
    return true;
  }

  /** Starts tracking the threads that Piscina has created since the last call. */
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
