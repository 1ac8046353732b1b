/**
 * Axes: from values to pixels, and where the ticks are. Pure.
 */
import { scaleLinear, scaleLog } from 'd3-scale';

export interface Scale {
  at(value: number): number;
  ticks: number[];
  isLog: boolean;
}

/** From zero to above the largest value, with about `count` ticks; for counts with whole ones. */
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
 * From a tick at or below the smallest value to one at or above the largest, or `tight` from the one to the other. Ticks
 * are the powers of ten, with 2 and 5 between them while there is room. All values must be above zero.
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

/** Where a linear axis would press most of the values against zero. */
const LOG_FROM_RATIO = 12;

/** Logarithmic when wanted or when the values are far apart; linear when some are not above zero. */
export function valueScale(values: readonly number[], from: number, to: number, wantsLog: boolean): Scale {
  const usable = values.length > 0 && Math.min(...values) > 0;
  const isFar = usable && Math.max(...values) / Math.min(...values) > LOG_FROM_RATIO;
  return usable && (wantsLog || isFar) ? logScale(values, from, to) : linearScale(values, from, to);
}
