/**
 * Values of `kecho-pool bench` that are more than a number: durations, sizes, lists of client counts, targets.
 *
 * Pure. What cannot be understood is refused by a UsageError that names the option, the value and what is allowed.
 */
import { isIP } from 'node:net';
import { loopbackAddress } from '../../../src/sys/loopback.ts';
import { numberFlag, quoted, UsageError } from '../../flags.ts';

const UNITS_MS = { ms: 1, s: 1000, m: 60_000 } as const;
const POINTS_MAX = 200;
const DEFAULT_PORT = 12345;

/** The one name that is allowed; locate.ts looks it up. */
export const LOCALHOST = 'localhost';

export interface TargetAddress {
  /** An address in its usual spelling, or LOCALHOST. */
  address: string;
  port: number;
}

/** A duration in ms with its shortest unit, for people. */
export function durationText(ms: number): string {
  if (ms % 60_000 === 0 && ms > 0) return `${ms / 60_000}m`;
  return ms % 1000 === 0 && ms > 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** A rate with three figures that count, and whole ones of a larger number. */
export function perSecondText(perSecond: number): string {
  const shown = perSecond < 100 ? Number(perSecond.toPrecision(3)) : Math.round(perSecond);
  return shown.toLocaleString('en-US', { maximumFractionDigits: 20 });
}

/** Milliseconds of `250ms`, `10s`, `5m`, `0`. */
export function durationFlag(flag: string, text: string, lowMs: number, highMs: number): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text);
  const unit = UNITS_MS[(match?.[2] ?? 'ms') as keyof typeof UNITS_MS]; // the pattern knows no other unit
  const ms = text === '0' ? 0 : match === null ? Number.NaN : Math.round(Number(match[1]) * unit);
  if (ms >= lowMs && ms <= highMs) return ms;
  const range = `${durationText(lowMs)} to ${durationText(highMs)}`;
  throw new UsageError(`${flag} takes a duration from ${range} (250ms, 10s, 5m), not ${quoted(text)}`);
}

/** Bytes of `64`, `4k`, `1m`. */
export function sizeFlag(flag: string, text: string, high: number): number {
  const match = /^(\d{1,9})([km]?)$/i.exec(text);
  const factor = { '': 1, k: 1024, m: 1024 * 1024 }[(match?.[2] ?? '').toLowerCase()] ?? 1;
  const bytes = match === null ? Number.NaN : Number(match[1]) * factor;
  if (bytes >= 1 && bytes <= high) return bytes;
  throw new UsageError(`${flag} takes bytes from 1 to ${high} (64, 4k, 1m), not ${quoted(text)}`);
}

/** Both ends of a range and the multiples of the step between them. */
function range(from: number, to: number, step: number): number[] {
  const counts = new Set([from]);
  for (let n = Math.ceil((from + 1) / step) * step; n < to; n += step) counts.add(n);
  return [...counts.add(to)];
}

/** `1,10,100`, `1..1000/50`, or both mixed: ascending, each once. */
export function clientsFlag(text: string, high: number): number[] {
  const allowed = `numbers from 1 to ${high} (10, or 1,10,100, or 1..1000/50)`;
  const counts = text.split(',').flatMap((part) => {
    const match = /^(\d+)(?:\.\.(\d+)(?:\/(\d+))?)?$/.exec(part.trim());
    const from = Number(match?.[1] ?? Number.NaN);
    const to = Number(match?.[2] ?? from);
    const step = Number(match?.[3] ?? 1);
    if (from >= 1 && to >= from && to <= high && step >= 1) return range(from, to, step);
    throw new UsageError(`--clients takes ${allowed}, not ${quoted(part)}`);
  });
  const points = [...new Set(counts)].sort((a, b) => a - b);
  if (points.length <= POINTS_MAX) return points;
  throw new UsageError(
    `--clients ${quoted(text)} is ${points.length} points; at most ${POINTS_MAX} are allowed`,
  );
}

/** An address of this machine or LOCALHOST, in its usual spelling; null when it is another host. */
function ownHost(text: string): string | null {
  return /^localhost\.?$/i.test(text) ? LOCALHOST : loopbackAddress(text);
}

/** `host:port`, `host`, `:port` or `port`; only this machine. */
export function targetOf(text: string): TargetAddress {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:]*)(?::(\d+))?$/.exec(text);
  const [, host = '', port] = bracketed ?? (isIP(text) === 6 ? ['', text] : (plain ?? ['', text]));
  if (port === undefined && /^\d{1,5}$/.test(host)) return targetOf(`127.0.0.1:${host}`);
  const address = host === '' ? '127.0.0.1' : ownHost(host);
  if (address === null) {
    throw new UsageError(
      `target ${quoted(text)} is not allowed: only this machine is loaded (127.0.0.0/8, ::1, localhost)`,
    );
  }
  return { address, port: numberFlag('target: the port', port ?? String(DEFAULT_PORT), 1, 65535) };
}

/** `127.0.0.1:7`, `[::1]:7`. */
export function targetText({ address, port }: TargetAddress): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** Whether an argument is a target rather than the name of a file. */
export function looksLikeTarget(text: string): boolean {
  return /^\d{1,5}$|:\d{1,5}$|^\[/.test(text) || isIP(text) !== 0 || ownHost(text) !== null;
}
