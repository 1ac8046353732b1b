/**
 * The rescuer: one thread set aside at the start, for when a worker is needed and cannot be made in time
 * (send_mayday() and rescuer_thread() in kernel/workqueue.c).
 *
 * Main thread only. It owns the rescuer's task and the mayday timer. A call is one word, MAYDAY; the rescuer
 * then looks for itself which CPU pools have no worker. The first call comes MAYDAY_INITIAL_TIMEOUT after the
 * need arose, further ones every MAYDAY_INTERVAL while it lasts.
 */
import { MAYDAY, RESCUER_ID, type SharedState } from '../memory/layout.ts';
import { CREATE_COOLDOWN_MS, MAYDAY_INITIAL_TIMEOUT_MS, MAYDAY_INTERVAL_MS } from '../memory/predicates.ts';
import type { Clock } from '../sys/clock.ts';
import type { KworkerThreads, StartedTask } from './threads.ts';

const START_TIMEOUT_MS = 15_000;

export interface RescuerOptions {
  shared: SharedState;
  threads: KworkerThreads;
  clock: Clock;
  /** Whether a CPU pool needs a worker and none is idle. */
  isNeeded: () => boolean;
  /** It could not be made. */
  onCreateFailed: (error: unknown) => void;
  onMayday: () => void;
}

export class Rescuer {
  private readonly options: RescuerOptions;
  private task: StartedTask | null = null;
  /** Whether the task's worker has come up. */
  private wasUp = false;
  /** Stops the mayday timer; null while it does not run. */
  private cancelMayday: (() => void) | null = null;
  private cancelRestart: (() => void) | null = null;
  private calls = 0;
  private stopped = false;

  constructor(options: RescuerOptions) {
    this.options = options;
  }

  /** Times it was called. */
  get maydays(): number {
    return this.calls;
  }

  get isUp(): boolean {
    return Atomics.load(this.options.shared.words, RESCUER_ID) !== 0;
  }

  /** Sets the thread aside. When it dies another one follows. */
  start(): void {
    if (this.stopped) return;
    this.wasUp = false;
    this.task = this.options.threads.start('rescuer', START_TIMEOUT_MS, (error) => this.taskSettled(error));
  }

  private taskSettled(error: unknown): void {
    if (error === null || this.stopped) return;
    const { clock, onCreateFailed } = this.options;
    if (!this.wasUp) onCreateFailed(error); // else its thread's exit says more
    this.cancelRestart = clock.after(CREATE_COOLDOWN_MS, () => this.start());
  }

  /** A thread ended before it took a task: which one Piscina does not say. */
  abortStarting(error: Error): void {
    this.task?.abort(error);
  }

  /** The bell rang: it may have come up, or be needed, or no longer. */
  look(): void {
    if (this.isUp) this.cameUp();
    if (!this.options.isNeeded()) {
      this.cancelMayday?.();
      this.cancelMayday = null;
    } else if (this.cancelMayday === null && !this.stopped) this.maydayAfter(MAYDAY_INITIAL_TIMEOUT_MS);
  }

  private cameUp(): void {
    this.wasUp = true;
    this.task?.isUp();
  }

  private maydayAfter(ms: number): void {
    this.cancelMayday = this.options.clock.after(ms, () => this.mayday());
  }

  private mayday(): void {
    const { shared, isNeeded, onMayday } = this.options;
    this.cancelMayday = null;
    if (!isNeeded()) return;
    this.maydayAfter(MAYDAY_INTERVAL_MS);
    this.calls++;
    onMayday();
    Atomics.store(shared.words, MAYDAY, 1);
    Atomics.notify(shared.words, MAYDAY);
  }

  stop(): void {
    this.stopped = true;
    this.cancelMayday?.();
    this.cancelRestart?.();
    Atomics.notify(this.options.shared.words, MAYDAY);
  }
}
