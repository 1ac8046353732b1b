/**
 * When a figure that falls while code is being compiled has settled. Pure.
 *
 * It has when its latest values are all hardly below the lowest before. One value that is too high for another reason
 * (a busy machine) does not delay that; one that is too low delays it until as many follow.
 */

/** A fall by less does not count as one. */
const FALL = 0.05;
/** Values in a row without a fall. */
const STEADY = 2;

export class Settling {
  private lowest = Number.POSITIVE_INFINITY;
  private steady = 0;

  /** Takes the next value. True once the figure has settled. */
  add(value: number): boolean {
    this.steady = value < this.lowest * (1 - FALL) ? 0 : this.steady + 1;
    this.lowest = Math.min(this.lowest, value);
    return this.steady >= STEADY;
  }
}
