/**
 * Parsers for composite values of bench and compare: lists of client counts, targets.
 *
 * Pure. Invalid values throw a UsageError that names the option, the value and what is allowed.
 */
import { isIP } from 'node:net';
import { integer, type Parser, UsageError } from '../../../src/options/values.ts';
import { loopbackAddress } from '../../../src/sys/loopback.ts';

const DEFAULT_PORT = 12345;

/** The only host name allowed; locate.ts resolves it. */
export const LOCALHOST = 'localhost';

export interface TargetAddress {
  /** An address in canonical form, or LOCALHOST. */
  address: string;
  port: number;
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
    const points = [...new Set(counts)].sort((a, b) => a - b);
    if (points.length <= pointsMax) return points;
    throw new UsageError(source, text, `at most ${pointsMax} numbers, not ${points.length}`);
  };
}

/** A loopback address in canonical form, or LOCALHOST; null for any other host. */
function ownHost(text: string): string | null {
  return /^localhost\.?$/i.test(text) ? LOCALHOST : loopbackAddress(text);
}

/** `host:port`, `host`, `:port` or `port`; only this machine. */
export function parseTarget(text: string): TargetAddress {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  const plain = /^([^:]*)(?::(\d+))?$/.exec(text);
  const [, host = '', port] = bracketed ?? (isIP(text) === 6 ? ['', text] : (plain ?? ['', text]));
  if (port === undefined && /^\d{1,5}$/.test(host)) return parseTarget(`127.0.0.1:${host}`);
  const address = host === '' ? '127.0.0.1' : ownHost(host);
  if (address === null) {
    throw new UsageError('target', text, 'only this machine (127.0.0.0/8, ::1, localhost)');
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
