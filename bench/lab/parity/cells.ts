/**
 * What the parity benchmark runs: the loads ("cells"), the servers, and the targets. Data only.
 */

export const SERVERS = ['cmwq', 'c', 'node-net'] as const;
export type ServerName = (typeof SERVERS)[number];

export const SERVER_LABELS: Record<ServerName, string> = {
  cmwq: 'cmwq',
  c: 'C epoll',
  'node-net': 'node:net',
};

export interface Cell {
  /** Name on the command line. */
  name: string;
  title: string;
  mode: 'closed' | 'churn';
  connections: number;
  messageBytes: number;
  /** What one sample is called. */
  unit: 'echo' | 'connection';
}

const closed = (name: string, title: string, connections: number, messageBytes: number): Cell => {
  return { name, title, mode: 'closed', connections, messageBytes, unit: 'echo' };
};

export const CELLS: readonly Cell[] = [
  closed('1', '1 connection, 64 B', 1, 64),
  closed('100', '100 connections, 64 B', 100, 64),
  closed('1000', '1,000 connections, 64 B', 1000, 64),
  closed('64k', '10 connections, 64 KiB', 10, 65536),
  {
    name: 'churn',
    title: 'connect, echo 64 B, close; 50 connections at a time',
    mode: 'churn',
    connections: 50,
    messageBytes: 64,
    unit: 'connection',
  },
];

// A closed connection holds its port for a minute (TIME_WAIT), and Linux keeps at most some 131,072 of
// them: three servers a repeat, two repeats a minute stay below that.
export const CHURN_CONNECTIONS_MAX = 20_000;

export interface Target {
  what: string;
  metric: 'throughput' | 'cpu' | 'worst';
  against: ServerName;
  /** Names of the cells where it applies; all when absent. */
  cells?: readonly string[];
  limit: number;
  /** The side of the limit that meets the target; `below` excludes the limit itself. */
  good: 'atMost' | 'atLeast' | 'below';
}

export const TARGETS: readonly Target[] = [
  { what: 'CPU per echo', metric: 'cpu', against: 'c', cells: ['100', '1000'], limit: 1.15, good: 'atMost' },
  { what: 'throughput', metric: 'throughput', against: 'c', limit: 0.9, good: 'atLeast' },
  { what: 'worst response time', metric: 'worst', against: 'node-net', limit: 1, good: 'below' },
];
