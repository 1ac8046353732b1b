/**
 * Parsers for composite values of bench and compare: lists of client counts, targets.
 *
 * Pure. Invalid values throw a UsageError that names the option, the value and what is allowed.
 */
import { isIP } from 'node:net';
import { durationText, parseDurationMs } from '../../../src/options/units.ts';
import { integer, type Parser, UsageError } from '../../../src/options/values.ts';
import { LOOPBACK, loopbackAddress } from '../../../src/sys/loopback.ts';
import { DURATION_MS_MAX } from '../load-options.ts';

const DEFAULT_PORT = 12345;

/** The only host name of this machine. */
export const LOCALHOST = 'localhost';
const STAGES_MAX = 100;
/** A later time is more likely a mistake in the date or the time zone. */
const START_AHEAD_MAX_MS = 3_600_000;
/** A generator that is started late begins at once; `merge` notices. */
const START_LATE_MAX_MS = 60_000;

export interface TargetAddress {
  /** An address, or a name that locate.ts resolves. */
  address: string;
  port: number;
}

/** One part of a ramp. */
export interface Stage {
  durationMs: number;
  /** Clients, or in open mode requests per second. */
  amount: number;
}

/** Milliseconds with three significant digits. */
export function ms(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

/** A rate with three significant digits, or as an integer from 100. */
export function perSecondText(perSecond: number): string {
  const shown = perSecond < 100 ? Number(perSecond.toPrecision(3)) : Math.round(perSecond);
  return shown.toLocaleString('en-US', { maximumFractionDigits: 20 });
}

/** Both ends of a range and the multiples of the step between them. */
function range(from: number, to: number, step: number): number[] {
  const counts = new Set([from]);
  for (let n = Math.ceil((from + 1) / step) * step; n < to; n += step) counts.add(n);
  return [...counts.add(to)];
}

/** Parses --clients: `1,10,100`, `1..1000/50` or a mix; ascending, without duplicates. */
export function clientCounts(max: number, pointsMax: number): Parser<number[]> {
  return (text, source) => {
    const counts = text.split(',').flatMap((part) => {
      const match = /^(\d{1,9})(?:\.\.(\d{1,9})(?:\/(\d{1,9}))?)?$/.exec(part.trim());
      const from = Number(match?.[1] ?? Number.NaN);
      const to = Number(match?.[2] ?? from);
      const step = Number(match?.[3] ?? 1);
      if (from >= 1 && to >= from && to <= max && step >= 1) return range(from, to, step);
      throw new UsageError(source, part, `integers from 1 to ${max}, as 10, 1,10,100 or 1..1000/50`);
    });
    return pointsOf(counts, pointsMax, source, text);
  };
}

/** Ascending, without duplicates. */
export function pointsOf(counts: readonly number[], most: number, source: string, given: unknown): number[] {
  const points = [...new Set(counts)].sort((a, b) => a - b);
  if (points.length >= 1 && points.length <= most) return points;
  throw new UsageError(source, given, `at least one and at most ${most} numbers, not ${points.length}`);
}

/** Parses --stages: `10s:100,30s:1000`. */
export function parseStages(text: string, source: string): Stage[] {
  const stages = text.split(',').map((part) => {
    const [, time = '', amount = ''] = /^([^:]*):(\d{1,9}(?:\.\d{1,9})?)$/.exec(part.trim()) ?? [];
    const durationMs = parseDurationMs(time);
    if (durationMs !== null && durationMs >= 1 && durationMs <= DURATION_MS_MAX)
      return { durationMs, amount: Number(amount) };
    const longest = durationText(DURATION_MS_MAX);
    throw new UsageError(source, part, `stages like 10s:100,30s:1000, each from 1ms to ${longest}`);
  });
  if (stages.length <= STAGES_MAX) return stages;
  throw new UsageError(source, text, `at most ${STAGES_MAX} stages, not ${stages.length}`);
}

/** The time that other machines share, by the monotonic clock. */
export function sinceEpochMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Parses --start-at, into ms since 1970. */
export function parseStartAt(text: string, source: string, nowMs = sinceEpochMs()): number {
  const isIso = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const [, seconds] = /^@(\d{1,11}(?:\.\d{1,3})?)$/.exec(text) ?? [];
  const atMs = seconds === undefined ? (isIso ? Date.parse(text) : Number.NaN) : Number(seconds) * 1000;
  if (atMs >= nowMs - START_LATE_MAX_MS && atMs <= nowMs + START_AHEAD_MAX_MS) return atMs;
  const form = '2026-01-31T14:00:00Z or @1769868000 (seconds since 1970)';
  throw new UsageError(source, text, `a time within the next hour, as ${form}`);
}

/** A loopback address in canonical form, or LOCALHOST; null for any other host. */
function ownHost(text: string): string | null {
  return /^localhost\.?$/i.test(text) ? LOCALHOST : loopbackAddress(text);
}

/** An address, or what may be the name of a host. */
function anyHost(text: string): string | null {
  return isIP(text) !== 0 || /^[\w-]{1,63}(\.[\w-]{1,63}){0,20}\.?$/.test(text) ? text : null;
}

/** `host:port`, `host`, `:port` or `port`; only this machine, unless `remote`, which the user gives as `flag`. */
export function parseTarget(text: string, remote = false, flag = '--remote'): TargetAddress {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:]*)(?::(\d+))?$/.exec(text);
  const [, host = '', port] = bracketed ?? (isIP(text) === 6 ? ['', text] : (plain ?? ['', text]));
  if (port === undefined && /^\d{1,5}$/.test(host)) return parseTarget(`${LOOPBACK}:${host}`);
  const address = host === '' ? LOOPBACK : (ownHost(host) ?? (remote ? anyHost(host) : null));
  if (address === null) {
    const allowed = remote
      ? 'an address or the name of a host, and a port, as 192.0.2.1:7 or server:7'
      : `only this machine (127.0.0.0/8, ::1, localhost); another one needs ${flag}`;
    throw new UsageError('target', text, allowed);
  }
  return { address, port: port === undefined ? DEFAULT_PORT : integer(1, 65535)(port, 'port of the target') };
}

/** `127.0.0.1:7`, `[::1]:7`. */
export function targetText({ address, port }: TargetAddress): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** Whether an argument is a target rather than a file name. */
export function looksLikeTarget(text: string): boolean {
  return /^\d{1,5}$|:\d{1,5}$|^\[/.test(text) || isIP(text) !== 0 || ownHost(text) !== null;
}
