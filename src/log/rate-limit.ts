/**
 * Says something that may happen thousands of times a second at most once per interval.
 *
 * Main thread only; it owns one timer, which runs only while something is held back. The first time is told at
 * once; what comes within the interval is counted and told at its end, in one call.
 */
export class RateLimit {
  private readonly intervalMs: number;
  private readonly tell: (times: number) => void;
  private heldBack = 0;
  private timer: NodeJS.Timeout | null = null;

  /** `tell` gets how many times it has happened since it was last called. */
  constructor(intervalMs: number, tell: (times: number) => void) {
    this.intervalMs = intervalMs;
    this.tell = tell;
  }

  happened(): void {
    if (this.timer !== null) {
      this.heldBack++;
      return;
    }
    this.timer = setTimeout(() => this.intervalOver(), this.intervalMs).unref();
    this.tell(1);
  }

  private intervalOver(): void {
    this.timer = null;
    if (this.heldBack === 0) return;
    const times = this.heldBack;
    this.heldBack = 0;
    this.timer = setTimeout(() => this.intervalOver(), this.intervalMs).unref();
    this.tell(times);
  }

  /** Tells what was held back. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.heldBack > 0) this.tell(this.heldBack);
    this.heldBack = 0;
  }
}
