/**
 * Parses and formats times and sizes, in the same way for all options of all commands. Pure.
 */
const UNITS_NS = { us: 1e3, ms: 1e6, s: 1e9, m: 60e9 } as const;

/** Milliseconds of `500us`, `250ms`, `10s`, `5m`, `1.5s` or `0`; null if `text` is not a time. */
export function parseTimeMs(text: string): number | null {
  if (text === '0') return 0;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(us|ms|s|m)$/.exec(text);
  if (match === null) return null;
  // Rounded to nanoseconds, so that 1.001s is exactly 1001 ms.
  return Math.round(Number(match[1]) * UNITS_NS[match[2] as keyof typeof UNITS_NS]) / 1e6;
}

/** The same, but null for fractions of a millisecond: 0.4ms must not become 0, which often means never. */
export function parseDurationMs(text: string): number | null {
  const ms = parseTimeMs(text);
  return ms !== null && Number.isInteger(ms) ? ms : null;
}

/** A duration in its largest unit without a fraction. */
export function durationText(ms: number): string {
  if (ms === 0) return '0';
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const UNITS_BYTES = { '': 1, B: 1, KiB: KIB, MiB: MIB, GiB: GIB, k: KIB, m: MIB, g: GIB } as const;

/** Bytes of `65536`, `64B`, `512KiB` or `512k`, `64MiB` or `64m`, `1GiB` or `1g`; null if `text` is not a size. */
export function parseSizeBytes(text: string): number | null {
  const match = /^(\d{1,12})(B|KiB|MiB|GiB|[kmg]?)$/.exec(
    text.replace(/[KMG]$/, (unit) => unit.toLowerCase()),
  );
  if (match === null) return null;
  return Number(match[1]) * UNITS_BYTES[match[2] as keyof typeof UNITS_BYTES];
}

/** A size in its largest unit without a fraction. */
export function sizeText(bytes: number): string {
  if (bytes === 0) return '0';
  if (bytes % GIB === 0) return `${bytes / GIB}GiB`;
  if (bytes % MIB === 0) return `${bytes / MIB}MiB`;
  return bytes % KIB === 0 ? `${bytes / KIB}KiB` : `${bytes}B`;
}
