// @ts-check
/**
 * Formats figures as text. Pure; the same in every locale (English, decimal point), so that two screens agree.
 */

const WHOLE = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 2 });

/** Shown for a missing value. */
export const NONE = '–';

/** A count: 12,345; in compact form from ten million on: 12.3M. @param {number} value */
export function count(value) {
  return Math.abs(value) >= 1e7 ? COMPACT.format(value) : WHOLE.format(value);
}

/** A rate or a percentage, with one decimal below 10. @param {number | null} value */
export function rate(value) {
  if (value === null || !Number.isFinite(value)) return NONE;
  return value > 0 && value < 9.95 ? TENTHS.format(value) : count(value);
}

/** A duration that bounds a bucket: 16 µs, 1 ms, 131 ms, 1 s, 16.8 s. @param {number | null} us */
export function microseconds(us) {
  if (us === null || Number.isNaN(us)) return NONE;
  if (us === Number.POSITIVE_INFINITY) return 'more';
  if (us < 1000) return `${WHOLE.format(us)} µs`;
  if (us < 1e6) return `${digits(us / 1000)} ms`;
  return `${digits(us / 1e6)} s`;
}

/** An upper bound: ≤ 4.19 s. @param {number | null} us */
export function atMost(us) {
  const text = microseconds(us);
  return us === null || !Number.isFinite(us) ? text : `≤ ${text}`;
}

/** At most three digits. @param {number} value */
function digits(value) {
  return value >= 99.95 ? WHOLE.format(value) : value.toFixed(value >= 9.995 ? 1 : 2).replace(/\.?0+$/, '');
}

/** Time since the start: 7.3 s, 4:05, 2:03:09, 3 d 2:03:09. @param {number} ms */
export function uptime(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  if (hours === 0) return `${minutes}:${two(seconds % 60)}`;
  const days = hours >= 24 ? `${Math.floor(hours / 24)} d ` : '';
  return `${days}${hours % 24}:${two(minutes)}:${two(seconds % 60)}`;
}

/** Time since the start, to a tenth of a second: 0:07.3, 2:03:09.1. @param {number} ms */
export function moment(ms) {
  const tenths = Math.max(0, Math.floor(ms / 100));
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const seconds = Math.floor(tenths / 10);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const clock = hours > 0 ? `${hours}:${two(minutes)}` : String(minutes);
  return `${clock}:${two(seconds % 60)}.${tenths % 10}`;
}

/** @param {number} value */
export function bytes(value) {
  if (value < 1024) return `${WHOLE.format(value)} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let unit = 'B';
  for (const next of units) {
    if (scaled < 1024) break;
    scaled /= 1024;
    unit = next;
  }
  return `${scaled < 10 ? TENTHS.format(scaled) : WHOLE.format(scaled)} ${unit}`;
}

/** An address with its port. @param {{ address: string, port: number }} at */
export function socketAddress({ address, port }) {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
