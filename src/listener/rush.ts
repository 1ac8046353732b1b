/**
 * The nap between two batches of accepted connections while they come fast: it makes the next batch larger, which costs
 * less per connection than waking up for each. At a lower rate it would only cost latency.
 *
 * Main thread only, which it blocks for NAP_MS.
 */

/** From this rate on accepting naps (measured: a quarter less CPU per short connection). */
const RUSH_PER_SECOND = 10_000;
const NAP_MS = 0.1;
const WINDOW_MS = 10;
const napWord = new Int32Array(new SharedArrayBuffer(4));

export class Rush {
  private windowStartMs = 0;
  private windowAccepts = 0;
  private isRush = false;

  /** A batch of so many connections was accepted: naps if they come fast. */
  napAfter(accepted: number): void {
    this.windowAccepts += accepted;
    const nowMs = performance.now();
    const spanMs = nowMs - this.windowStartMs;
    if (spanMs >= WINDOW_MS) {
      this.isRush = this.windowAccepts > (RUSH_PER_SECOND * spanMs) / 1000;
      this.windowStartMs = nowMs;
      this.windowAccepts = 0;
    }
    if (this.isRush) Atomics.wait(napWord, 0, 0, NAP_MS);
  }
}
