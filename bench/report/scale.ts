/**
 * Axes: maps values to pixels and chooses ticks. Pure.
 */
import { scaleLinear, scaleLog } from 'd3-scale';

export interface Scale {
  at(value: number): number;
  ticks: number[];
  isLog: boolean;
}

/** From zero to above the largest value, with about `count` ticks; `whole` keeps only integer ticks. */
export function linearScale(
  values: readonly number[],
  from: number,
  to: number,
  count = 5,
  whole = false,
): Scale {
  const at = scaleLinear([0, Math.max(...values, 0) || 1], [from, to]).nice(count);
  return { at, ticks: at.ticks(count).filter((tick) => !whole || Number.isInteger(tick)), isLog: false };
}

/**
 * From a tick at or below the smallest value to one at or above the largest, or with `tight` from smallest to largest
 * value. Ticks are the powers of ten, in a small range also 2 and 5 times these. All values must be positive.
 */
export function logScale(values: readonly number[], from: number, to: number, tight = false): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = scaleLog([low, high], [from, to]).nice().clamp(true);
  const [first = low, last = high] = at.domain();
  const shown = last / first > 100 ? /^1/ : /^[125]/;
  const ticks = at.ticks().filter((tick) => shown.test(tick.toExponential()));
  const bottom = tight ? low : (ticks.findLast((tick) => tick <= low) ?? low);
  const top = tight ? high : (ticks.find((tick) => tick >= high) ?? high);
  at.domain([bottom, top]);
  return { at, ticks: ticks.filter((tick) => tick >= bottom && tick <= top), isLog: true };
}

/** Ratio of largest to smallest value above which a linear axis would press most values against zero. */
const LOG_FROM_RATIO = 12;

/** Logarithmic when wanted or when the values are far apart; linear when some are not positive. */
export function valueScale(values: readonly number[], from: number, to: number, wantsLog: boolean): Scale {
  const usable = values.length > 0 && Math.min(...values) > 0;
  const isWide = usable && Math.max(...values) / Math.min(...values) > LOG_FROM_RATIO;
  return usable && (wantsLog || isWide) ? logScale(values, from, to) : linearScale(values, from, to);
}
