/**
 * How a command that runs until somebody ends it hears of the end: a signal, or a call.
 *
 * Main thread only. Owns the handlers of the signals until close().
 */
import { onStopSignal } from '../sys/signals.ts';

export class Ending {
  private readonly controller = new AbortController();
  /** Aborted by the first signal or end(). */
  readonly signal: AbortSignal = this.controller.signal;
  /** Resolves then. */
  readonly ended = new Promise<void>((resolve) => {
    this.controller.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  readonly end = (): void => this.controller.abort();
  /** Takes the handlers of the signals off. */
  readonly close = onStopSignal(this.end);

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** Resolves after so long, or at the end if that comes first. */
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
