/**
 * Axes: from values to pixels, and where the ticks are. Pure.
 */

export interface Scale {
  at(value: number): number;
  ticks: number[];
  isLog: boolean;
}

/** Ticks at 1, 2 or 5 times a power of ten, about `count` of them, from 0 or below `low` to above `high`. */
function linearTicks(high: number, count: number, whole: boolean): number[] {
  const rough = Math.max(high / count, whole ? 1 : 0);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((m) => m * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(high / step - 1e-9) + 1 }, (_, i) =>
    Number((i * step).toPrecision(12)),
  );
}

/** From zero to above the largest value, with about `count` ticks; for counts with whole ones. */
export function linearScale(
  values: readonly number[],
  from: number,
  to: number,
  count = 5,
  whole = false,
): Scale {
  const high = Math.max(...values, 0);
  const ticks = linearTicks(high > 0 ? high : 1, count, whole);
  const top = ticks.at(-1) ?? 1;
  return { at: (value) => from + ((to - from) * value) / top, ticks, isLog: false };
}

/** Ticks of a logarithmic axis: the powers of ten, with 2 and 5 between them while there is room. */
function logTicks(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const decades = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  const steps = last - first <= 2 ? [1, 2, 5] : [1];
  return decades.flatMap((power) => steps.map((step) => Number((power * step).toPrecision(6))));
}

/** From a tick at or below the smallest value to one at or above the largest. All must be above zero. */
export function logScale(values: readonly number[], from: number, to: number): Scale {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const all = logTicks(low, high);
  const bottom = all.findLast((t) => t <= low * (1 + 1e-9)) ?? low;
  const top = all.find((t) => t >= high * (1 - 1e-9) && t > bottom) ?? bottom * 10;
  const span = Math.log(top / bottom);
  return {
    at: (value) => from + ((to - from) * Math.log(Math.max(value, bottom) / bottom)) / span,
    ticks: all.filter((t) => t >= bottom && t <= top),
    isLog: true,
  };
}

/** Where a linear axis would press most of the values against zero. */
const LOG_FROM_RATIO = 12;

/** Logarithmic when wanted or when the values are far apart; linear when some are not above zero. */
export function valueScale(values: readonly number[], from: number, to: number, wantsLog: boolean): Scale {
  const usable = values.length > 0 && Math.min(...values) > 0;
  const isFar = usable && Math.max(...values) / Math.min(...values) > LOG_FROM_RATIO;
  return usable && (wantsLog || isFar) ? logScale(values, from, to) : linearScale(values, from, to);
}
