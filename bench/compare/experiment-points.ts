/**
 * The points of the experiments: numbers of clients, requests and repeats. Pure.
 */
import type { PointInfo } from './types.ts';

export interface Point extends PointInfo {
  /** Runs per contestant without --repeat. */
  repeat: number;
  /** Connections held open during the load. */
  idleConnections: number;
  /** Connections opened and held after the load. */
  heldAfter?: number;
  /** Requests per second in open mode, instead of the experiment's. */
  rate?: number;
  /** Instead of the experiment's. */
  warmupMs?: number;
  /** What else runs during the load. */
  company?: Company;
}

/** Processes that only compute; readers that are slow; other clients, whose requests begin with `firstByte`. */
export type Company =
  | { kind: 'busy'; count: number }
  | { kind: 'slow'; count: number }
  | { kind: 'other'; count: number; firstByte: number };

/** Connections of the company, which the server holds beside those of the load. */
export function companyConnections({ company }: Point): number {
  return company === undefined || company.kind === 'busy' ? 0 : company.count;
}

/** Rounds of points with short and with long runs: eight find most differences of 1.5 times (bench/results/verdicts.txt). */
const REPEAT = 10;
export const REPEAT_LONG = 8;
/** From this many clients a burst takes long with a thread per connection: half a minute at 1,000. */
export const LONG_BURST_CLIENTS = 300;

/** With thousands separators: 1,000. */
function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

export function point(clients: number, requests: number | null, repeat: number): Point {
  const title = `${grouped(clients)} client${clients === 1 ? '' : 's'}`;
  return { key: String(clients), clients, requests, title, repeat, idleConnections: 0 };
}

export function burstPoints(clients: readonly number[], requests: number): Point[] {
  return clients.map((n) => point(n, requests, n >= LONG_BURST_CLIENTS ? REPEAT_LONG : REPEAT));
}

const TELNET_POINTS = [
  [20, 20],
  [40, 5],
  [50, 20],
] as const;

export function telnetPoints(): Point[] {
  return TELNET_POINTS.map(([clients, requests]) => ({
    ...point(clients, requests, REPEAT_LONG),
    key: `${clients}x${requests}`,
    title: `(${clients}, ${requests})`,
  }));
}

export function idlePoints(counts: readonly number[], active: number, max: number): Point[] {
  const held = [...new Set(counts.map((count) => Math.min(count, max)))];
  return held.map((idleConnections) => ({
    ...point(active, null, REPEAT_LONG),
    key: String(idleConnections),
    title: `${grouped(idleConnections)} idle`,
    idleConnections,
  }));
}

export interface Special extends Omit<Partial<Point>, 'repeat'> {
  key: string;
  title: string;
}

/** Points with the same load that differ in something else. */
export function specialPoints(
  clients: number,
  requests: number | null,
  specials: readonly Special[],
): Point[] {
  return specials.map((special) => ({ ...point(clients, requests, REPEAT_LONG), ...special }));
}

/** The same points with other numbers of clients. */
export function withClients(points: readonly Point[], counts: readonly number[]): Point[] {
  return counts.flatMap((clients) =>
    points.map((special) => ({
      ...special,
      clients,
      key: counts.length === 1 ? special.key : `${clients}-${special.key}`,
      title: `${special.title}, ${point(clients, null, 0).title}`,
    })),
  );
}
