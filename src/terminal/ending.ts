/**
 * The end of a command that runs until it is stopped: by a signal or by a call.
 *
 * Main thread only. Owns the signal handlers until close().
 */
import { onStopSignal } from '../sys/signals.ts';

export class Ending {
  private readonly controller = new AbortController();
  /** Aborted by the first stop signal or end(). */
  readonly signal: AbortSignal = this.controller.signal;
  /** Resolves then. */
  readonly ended = new Promise<void>((resolve) => {
    this.controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  readonly end = (): void => this.controller.abort();
  /** Removes the signal handlers. */
  readonly close = onStopSignal(this.end);

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** Resolves after `ms`, or earlier at the end. */
  async pause(ms: number): Promise<void> {
    if (this.isOver) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      this.ended,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
    clearTimeout(timer);
  }
}
