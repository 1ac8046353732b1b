/**
 * A thread that runs one task for as long as the server runs: the rescuer's, the monitor's. Created at the start, and
 * again whenever it dies.
 *
 * Main thread only. Owns the task and the timer of the pause before another one.
 */
import { CREATE_COOLDOWN_MS } from '../memory/predicates.ts';
import type { Clock } from '../sys/clock.ts';
import type { KworkerThreads, StartedTask, TaskArgument, TaskName } from './threads.ts';

const START_TIMEOUT_MS = 15_000;

export interface StandingThreadOptions {
  threads: KworkerThreads;
  clock: Clock;
  task: TaskName;
  argument?: TaskArgument;
  /** It could not be created. */
  onCreateFailed: (error: unknown) => void;
}

export class StandingThread {
  private readonly options: StandingThreadOptions;
  private task: StartedTask | null = null;
  /** Whether the current task's thread has come up. */
  private wasUp = false;
  private cancelRestart: (() => void) | null = null;
  private stopped = false;

  constructor(options: StandingThreadOptions) {
    this.options = options;
  }

  start(): void {
    if (this.stopped) return;
    const { threads, task, argument } = this.options;
    this.wasUp = false;
    this.task = threads.start(task, START_TIMEOUT_MS, (error) => this.settled(error), argument);
  }

  private settled(error: unknown): void {
    if (error === null || this.stopped) return;
    const { clock, onCreateFailed } = this.options;
    if (!this.wasUp) onCreateFailed(error); // else the thread's exit reports the death
    this.cancelRestart = clock.after(CREATE_COOLDOWN_MS, () => this.start());
  }

  cameUp(): void {
    this.wasUp = true;
    this.task?.isUp();
  }

  /** A thread ended before it took a task. */
  abortStarting(error: Error): void {
    this.task?.abort(error);
  }

  stop(): void {
    this.stopped = true;
    this.cancelRestart?.();
  }
}
