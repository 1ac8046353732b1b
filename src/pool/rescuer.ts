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
import type { StartedTask, Threads } from './threads.ts';

const START_TIMEOUT_MS = 15_000;

export class Rescuer {
  private readonly shared: SharedState;
  private readonly threads: Threads;
  /** Whether a CPU pool needs a worker and none is idle. */
  private readonly isNeeded: () => boolean;
  private readonly onFailed: (error: unknown) => void;
  private readonly onMayday: () => void;
  private task: StartedTask | null = null;
  private maydayTimer: NodeJS.Timeout | null = null;
  private restartTimer: NodeJS.Timeout | null = null;
  private calls = 0;
  private stopped = false;

  constructor(
    shared: SharedState,
    threads: Threads,
    isNeeded: () => boolean,
    onFailed: (error: unknown) => void,
    onMayday: () => void,
  ) {
    this.shared = shared;
    this.threads = threads;
    this.isNeeded = isNeeded;
    this.onFailed = onFailed;
    this.onMayday = onMayday;
  }

  /** Times it was called. */
  get maydays(): number {
    return this.calls;
  }

  get isUp(): boolean {
    return Atomics.load(this.shared.words, RESCUER_ID) !== 0;
  }

  /** Sets the thread aside. When it dies another one follows. */
  start(): void {
    if (this.stopped) return;
    let wasUp = false;
    const task = this.threads.start('rescuer', START_TIMEOUT_MS);
    this.task = {
      ...task,
      isUp: () => {
        wasUp = true;
        task.isUp();
      },
    };
    task.done.catch((error: unknown) => {
      if (this.stopped) return;
      if (!wasUp) this.onFailed(error); // else its thread's exit says more
      this.restartTimer = setTimeout(() => this.start(), CREATE_COOLDOWN_MS);
    });
  }

  /** A thread ended before it took a task: which one Piscina does not say. */
  abortStarting(error: Error): void {
    this.task?.abort(error);
  }

  /** The bell rang: it may have come up, or be needed, or no longer. */
  look(): void {
    if (this.isUp) this.task?.isUp();
    if (!this.isNeeded()) {
      if (this.maydayTimer !== null) clearTimeout(this.maydayTimer);
      this.maydayTimer = null;
    } else if (this.maydayTimer === null && !this.stopped) {
      this.maydayTimer = setTimeout(() => this.mayday(), MAYDAY_INITIAL_TIMEOUT_MS);
    }
  }

  private mayday(): void {
    this.maydayTimer = null;
    if (!this.isNeeded()) return;
    this.maydayTimer = setTimeout(() => this.mayday(), MAYDAY_INTERVAL_MS);
    this.calls++;
    this.onMayday();
    Atomics.store(this.shared.words, MAYDAY, 1);
    Atomics.notify(this.shared.words, MAYDAY);
  }

  stop(): void {
    this.stopped = true;
    if (this.maydayTimer !== null) clearTimeout(this.maydayTimer);
    if (this.restartTimer !== null) clearTimeout(this.restartTimer);
    Atomics.notify(this.shared.words, MAYDAY);
  }
}
