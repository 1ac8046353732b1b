// @ts-check
/**
 * Chart scales: map a figure to a height between 0 (bottom) and 1 (top). Pure. The ends are round numbers, so that the
 * scale does not change with every small change of the figures.
 */

/**
 * @typedef {object} Scale
 * @property {(value: number) => number} height
 * @property {number[]} ticks ascending, including both ends
 */

/** The smallest of 1, 2, 5 times a power of ten that is at least `value`. @param {number} value */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

/** From 0 to a round number above `max`, with a margin so that a line at `max` is off the edge. @param {number} max @returns {Scale} */
export function linear(max) {
  const top = roundUp(Math.max(max * 1.04, 4));
  return { height: (value) => value / top, ticks: [0, top / 2, top] };
}

/** Powers of ten around all values. @param {number} min @param {number} max @returns {Scale} */
export function logarithmic(min, max) {
  const low = Math.floor(Math.log10(min) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.log10(max) - 1e-9));
  const every = Math.ceil((high - low) / 4);
  const ticks = [];
  for (let power = high; power >= low; power -= every) ticks.unshift(10 ** power);
  if (ticks[0] !== 10 ** low) ticks[0] = 10 ** low;
  return { height: (value) => (Math.log10(value) - low) / (high - low), ticks };
}
