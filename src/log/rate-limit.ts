/**
 * Reports an event that may occur thousands of times a second at most once per interval.
 *
 * Main thread only; owns one timer, which runs for an interval after each report. The first event is reported at once;
 * those within the interval are counted and reported at its end, in one call.
 */
export class RateLimit {
  private readonly intervalMs: number;
  private readonly report: (times: number) => void;
  private unreported = 0;
  private timer: NodeJS.Timeout | null = null;

  /** `report` is called with the number of events since its last call. */
  constructor(intervalMs: number, report: (times: number) => void) {
    this.intervalMs = intervalMs;
    this.report = report;
  }

  record(): void {
    if (this.timer !== null) {
      this.unreported++;
      return;
    }
    this.timer = setTimeout(() => this.intervalOver(), this.intervalMs).unref();
    this.report(1);
  }

  private intervalOver(): void {
    this.timer = null;
    if (this.unreported === 0) return;
    const times = this.unreported;
    this.unreported = 0;
    this.timer = setTimeout(() => this.intervalOver(), this.intervalMs).unref();
    this.report(times);
  }

  /** Reports the events that are still unreported. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.unreported > 0) this.report(this.unreported);
    this.unreported = 0;
  }
}
