/**
 * Text for a terminal: lines of styled spans, human-readable numbers, and the conversion of a line to bytes.
 *
 * Pure. Painted text is always printable ASCII: a character takes one column, and a server's answer cannot contain
 * control sequences.
 */

/** The meaning of a span; colour is never the only indication. */
export type Style = 'plain' | 'bold' | 'dim' | 'bar' | 'good' | 'warn' | 'bad' | 'alarm';

export interface Span {
  text: string;
  style: Style;
}

export type Line = readonly Span[];

const RESET = '\x1b[0m';
/** Select Graphic Rendition, with colours and without. */
const SGR: Record<Style, readonly [coloured: string, plain: string]> = {
  plain: ['', ''],
  bold: ['\x1b[1m', '\x1b[1m'],
  dim: ['\x1b[2m', '\x1b[2m'],
  bar: ['\x1b[7m', '\x1b[7m'],
  good: ['\x1b[32m', ''],
  warn: ['\x1b[33m', ''],
  bad: ['\x1b[31m', ''],
  alarm: ['\x1b[1;37;41m', '\x1b[1;7m'],
};

export function span(text: string, style: Style): Span {
  return { text, style };
}

export function line(...parts: readonly (string | Span)[]): Line {
  return parts.map((part) => (typeof part === 'string' ? span(part, 'plain') : part));
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}

/** The text of the line, without styles. */
export function plainText(from: Line): string {
  return printable(from.map(({ text }) => text).join('')).trimEnd();
}

/** The line for a terminal, cut to `width` columns. */
export function paint(from: Line, width: number, coloured: boolean): string {
  let left = width;
  let painted = '';
  for (const { text, style } of from) {
    const cut = printable(text).slice(0, left);
    left -= cut.length;
    const start = SGR[style][coloured ? 0 : 1];
    painted += start === '' || cut === '' ? cut : `${start}${cut}${RESET}`;
  }
  return painted;
}

/** The leading parts that fit into `width` columns, separated by two spaces; always at least the first. */
export function fitting(parts: readonly Span[], width: number): Line {
  const spans: Span[] = [];
  let left = width;
  for (const part of parts) {
    const gap = spans.length === 0 ? 0 : 2;
    if (gap > 0 && gap + part.text.length > left) break;
    if (gap > 0) spans.push(span(' '.repeat(gap), 'plain'));
    spans.push(part);
    left -= gap + part.text.length;
  }
  return spans;
}

/** A line padded to `width` columns, for bars. */
export function filled(text: string, width: number, style: Style): Line {
  return [span(text.padEnd(width), style)];
}

/** 1234567 -> 1,234,567 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A number per second, with one decimal below 10. */
export function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 9.95 ? perSecond.toFixed(1) : count(perSecond);
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  for (; scaled >= 1023.95 && unit < BYTE_UNITS.length - 1; unit++) scaled /= 1024;
  return `${unit === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** A duration, below 1000 s with at most three significant digits: 16 us, 1.02 ms, 2.10 s. */
export function time(seconds: number): string {
  if (seconds < 0.9995e-3) return `${Number((seconds * 1e6).toPrecision(3))} us`;
  if (seconds < 0.9995) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  return `${seconds < 100 ? seconds.toPrecision(3) : Math.round(seconds)} s`;
}

/** CPU time in seconds with one decimal, as in wq_monitor.py: 1,234.5 */
export function cpuSeconds(ms: number): string {
  return (ms / 1000).toLocaleString('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** 1:02:03, or 1d 1:02:03 from a day on. */
export function uptime(ms: number): string {
  const total = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const days = Math.floor(total / 86_400);
  const clock = `${Math.floor(total / 3600) % 24}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  return days === 0 ? clock : `${days}d ${clock}`;
}
