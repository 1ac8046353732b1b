/**
 * The rescuer: a thread created at the start that runs items when a worker is needed and cannot be created in time
 * (send_mayday() and rescuer_thread() in kernel/workqueue.c).
 *
 * Main thread only. Owns the rescuer's thread and the mayday timer. A mayday sets one word, MAYDAY; the rescuer itself
 * looks for CPU pools without a worker. The kernel's first mayday comes MAYDAY_INITIAL_TIMEOUT, 10 ms, after a worker is
 * needed, a thousand times as long as it takes to create one. Here a thread takes longer than that (measured: 20 to 35 ms
 * on a quiet machine), so the first mayday comes after twice the time that creating a worker usually takes, or
 * MAYDAY_INITIAL_TIMEOUT after a creation has failed; further ones every MAYDAY_INTERVAL until none is needed.
 */
import { MAYDAY, RESCUER_ID, type SharedState } from '../memory/layout.ts';
import { MAYDAY_INITIAL_TIMEOUT_MS, MAYDAY_INTERVAL_MS } from '../memory/predicates.ts';
import type { Clock } from '../sys/clock.ts';
import { StandingThread } from './standing-thread.ts';
import type { KworkerThreads } from './threads.ts';

export interface RescuerOptions {
  shared: SharedState;
  threads: KworkerThreads;
  clock: Clock;
  /** Whether a CPU pool needs a worker and none is idle. */
  isNeeded: () => boolean;
  /** How long creating a worker usually takes; null when unknown. */
  startTimeMs: () => number | null;
  /** The rescuer could not be created. */
  onCreateFailed: (error: unknown) => void;
  onMayday: () => void;
}

export class Rescuer {
  private readonly options: RescuerOptions;
  private readonly thread: StandingThread;
  /** Cancels the mayday timer; null while it is not running. */
  private cancelMayday: (() => void) | null = null;
  private maydayCount = 0;
  private stopped = false;

  constructor(options: RescuerOptions) {
    this.options = options;
    const { threads, clock, onCreateFailed } = options;
    this.thread = new StandingThread({ threads, clock, task: 'rescuer', onCreateFailed });
  }

  get maydays(): number {
    return this.maydayCount;
  }

  get isUp(): boolean {
    return Atomics.load(this.options.shared.words, RESCUER_ID) !== 0;
  }

  /** Creates the rescuer, and another one whenever it dies. */
  start(): void {
    this.thread.start();
  }

  /** A thread ended before it took a task. */
  abortStarting(error: Error): void {
    this.thread.abortStarting(error);
  }

  /** The bell rang: the rescuer may have come up, and workers may be needed or no longer. */
  look(): void {
    if (this.isUp) this.thread.cameUp();
    if (!this.options.isNeeded()) {
      this.cancelMayday?.();
      this.cancelMayday = null;
    } else if (this.cancelMayday === null && !this.stopped) this.maydayAfter(this.initialTimeoutMs());
  }

  /** A worker could not be created: there is nothing to wait for. */
  creationFailed(): void {
    if (this.cancelMayday === null) return;
    this.cancelMayday();
    this.maydayAfter(MAYDAY_INITIAL_TIMEOUT_MS);
  }

  private initialTimeoutMs(): number {
    return Math.max(MAYDAY_INITIAL_TIMEOUT_MS, 2 * (this.options.startTimeMs() ?? 0));
  }

  private maydayAfter(ms: number): void {
    this.cancelMayday = this.options.clock.after(ms, () => this.mayday());
  }

  private mayday(): void {
    const { shared, isNeeded, onMayday } = this.options;
    this.cancelMayday = null;
    if (!isNeeded()) return;
    this.maydayAfter(MAYDAY_INTERVAL_MS);
    this.maydayCount++;
    onMayday();
    Atomics.store(shared.words, MAYDAY, 1);
    Atomics.notify(shared.words, MAYDAY);
  }

  stop(): void {
    this.stopped = true;
    this.cancelMayday?.();
    this.thread.stop();
    Atomics.notify(this.options.shared.words, MAYDAY);
  }
}
