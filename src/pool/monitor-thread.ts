/**
 * Main's side of the monitor (src/memory/monitor.ts): its thread, what it tells, and what its death leaves undone.
 *
 * Main thread only. Owns the thread, which is not a worker and has no worker id. It exists only if items can do
 * more than echo, which neither sleeps nor computes.
 */
import { RateLimit } from '../log/rate-limit.ts';
import { mayTerminate } from '../memory/ending.ts';
import { CPU_INTENSIVE, MONITOR, NOTICED, type SharedState } from '../memory/layout.ts';
import type { MonitorLimits, MonitorNews } from '../memory/monitor.ts';
import { Fifo } from '../queue/fifo.ts';
import type { Clock } from '../sys/clock.ts';
import type { DeathListener } from './deaths.ts';
import { StandingThread } from './standing-thread.ts';
import { syscallOfWorker } from './thread-activity.ts';
import type { KworkerThreads, ThreadEnd, ThreadsOptions } from './threads.ts';

/** Between two events of a frequent kind, which would otherwise displace all others from the recent ones. */
const NOTE_INTERVAL_MS = 10_000;

export interface MonitorThreadOptions extends DeathListener {
  shared: SharedState;
  clock: Clock;
  makeThreads: (options: ThreadsOptions) => KworkerThreads;
  limits: MonitorLimits;
  /** Whether the worker of an item that hangs is terminated. */
  hangKill: boolean;
  terminateWorker: (id: number) => boolean;
  onUp: () => void;
  onCreateFailed: (error: unknown) => void;
  onDied: (error: Error | null) => void;
}

export class MonitorThread {
  readonly threads: KworkerThreads;
  private readonly options: MonitorThreadOptions;
  private readonly thread: StandingThread;
  private lastTaken = { worker: 0, pool: 0 };
  private readonly slotsTaken = new RateLimit(NOTE_INTERVAL_MS, (times) =>
    this.options.note('slotTaken', { ...this.lastTaken, times }),
  );
  private hungCount = 0;
  private blindReported = false;
  private isMissing = false;
  private stopped = false;

  constructor(options: MonitorThreadOptions) {
    this.options = options;
    const { shared, clock, note, limits } = options;
    const { handler: _, ...config } = shared.config; // the monitor runs no handler, and needs no heap limit for one
    this.threads = options.makeThreads({
      module: 'monitor',
      buffers: { ...shared.buffers, config },
      keepIdle: false,
      queue: new Fifo<object>(),
      onMade: (thread) => note('threadMade', { thread }),
      onUp: () => this.cameUp(),
      onExit: (_, end) => this.ended(end),
      onMessage: (message) => this.take(message as MonitorNews),
    });
    const { threads } = this;
    this.thread = new StandingThread({
      threads,
      clock,
      task: 'monitor',
      argument: limits,
      onCreateFailed: (error) => this.createFailed(error),
    });
  }

  start(): void {
    this.thread.start();
  }

  /** Whether it is up; or it could not be created, and the server does without. */
  get isSettled(): boolean {
    return this.isMissing || this.threads.size > this.threads.starting;
  }

  get counts() {
    const { doubles } = this.options.shared;
    return {
      noticed: doubles[NOTICED] as number,
      cpuIntensive: doubles[CPU_INTENSIVE] as number,
      hung: this.hungCount,
    };
  }

  private cameUp(): void {
    this.thread.cameUp();
    this.isMissing = false;
    this.options.onUp();
  }

  private createFailed(error: unknown): void {
    if (!this.isMissing) this.options.warn('no monitor can be created; only declared sleeps are noticed', {});
    this.isMissing = true;
    this.options.onCreateFailed(error);
  }

  private ended({ error, wasUp }: ThreadEnd): void {
    if (this.stopped) return;
    if (wasUp) this.options.onDied(error);
    else this.thread.abortStarting(error ?? new Error('a thread ended before its task'));
  }

  private take(news: MonitorNews): void {
    if (this.stopped) return;
    if (news.kind === 'slotTaken') {
      this.lastTaken = { worker: news.worker, pool: news.pool };
      this.slotsTaken.record();
    } else if (news.kind === 'hang') this.itemHangs(news);
    else if (!this.blindReported) {
      this.blindReported = true;
      const what = 'other threads cannot be observed; only declared sleeps are noticed';
      this.options.warn(what, { reason: news.reason });
    }
  }

  private itemHangs({ worker, connection, started, forMs }: MonitorNews & { kind: 'hang' }): void {
    const { shared, hangKill, terminateWorker, note, warn } = this.options;
    const syscall = syscallOfWorker(shared, worker);
    const killed = hangKill && mayTerminate(shared, worker, started) && terminateWorker(worker);
    this.hungCount++;
    note('hang', { worker, ...(syscall === null ? {} : { in: syscall }), killed });
    warn('an item hangs', { worker, connection, forMs: Math.round(forMs), in: syscall, killed });
  }

  /** STOP is set: wakes the monitor to check it. */
  wake(): void {
    const { words } = this.options.shared;
    Atomics.store(words, MONITOR, 1); // before the monitor sleeps, it checks STOP after its own store
    Atomics.notify(words, MONITOR);
  }

  stop(): void {
    this.stopped = true;
    this.thread.stop();
    this.slotsTaken.close();
  }
}
