/**
 * Loads beside something else that the server or the machine has to do, and what a connection costs. Pure.
 */
import { join } from 'node:path';
import { EXTENSION } from '../../programs.ts';
import { type Special, specialPoints } from '../experiment-points.ts';
import { COMPUTES } from '../first-byte.ts';
import type { Adjustments, ExperimentKind } from './kind.ts';

const BY_FIRST_BYTE = join(import.meta.dirname, `../first-byte-handler${EXTENSION}`);
const LONG_CLIENTS = 4;
const LONG_MS = 50;
const SHORT_MS = 1;

const LONG: Special[] = [
  {
    key: 'sleep',
    title: 'long ones sleep',
    company: { kind: 'other', count: LONG_CLIENTS, firstByte: LONG_MS },
  },
  {
    key: 'compute',
    title: 'long ones compute',
    company: { kind: 'other', count: LONG_CLIENTS, firstByte: COMPUTES + LONG_MS },
  },
];

/** The load alone, and beside something. */
const ALONE: Special = { key: 'alone', title: 'alone' };
const BUSY: Special = {
  key: 'busy',
  title: '4 busy processes',
  company: { kind: 'busy', count: 4 },
};
const SLOW: Special = {
  key: 'slow',
  title: '8 slow readers',
  company: { kind: 'slow', count: 8 },
};

export function beside({ quick }: Adjustments): ExperimentKind[] {
  return [
    {
      name: 'mixed',
      title: 'Short requests beside long ones',
      question:
        `Shows how long a short request waits behind long ones: the measured clients connect, send one request for which ` +
        `the handler computes for ${SHORT_MS} ms, and close; ${LONG_CLIENTS} other clients do the same with requests of ` +
        `${LONG_MS} ms. All times are those of the short requests.`,
      axis: 'long requests',
      mode: 'churn',
      service: null,
      ownHandler: BY_FIRST_BYTE,
      firstByte: COMPUTES + SHORT_MS,
      warmupMs: quick ? 200 : 600,
      durationMs: quick ? 400 : 1000,
      timeoutMs: 10_000,
      points: specialPoints(4, null, quick ? LONG.slice(0, 1) : LONG),
      ranked: ['p99Ms', 'averageMs'],
      charts: ['p99Ms', 'averageMs', 'threadsMax'],
    },
    {
      name: 'background',
      title: 'Other processes use the processors',
      question:
        'Shows how a server fares beside processes that only compute: connections stay open, each sends its next message ' +
        'when the echo has arrived, and the handler uses the processor for 2 ms. workqueue has a worker for each ' +
        'connection.',
      axis: 'busy processes',
      mode: 'closed',
      workerPerClient: true,
      service: 'burn:2ms',
      warmupMs: 500,
      durationMs: quick ? 600 : 1000,
      timeoutMs: 10_000,
      points: specialPoints(8, null, quick ? [BUSY] : [ALONE, BUSY]),
      ranked: ['perSecond', 'p99Ms', 'cpuPerRequestUs'],
      charts: ['perSecond', 'p99Ms', 'threadsMax'],
    },
    {
      name: 'slow-readers',
      title: 'Slow readers among fast ones',
      question:
        'Shows whether a client that reads slowly delays the others: slow readers send all the time and read a few ' +
        'kilobytes ten times a second, so that the server cannot send to them; the measured clients send their next ' +
        'message when the echo has arrived. All times are those of the fast clients. workqueue has a worker for each ' +
        'connection.',
      axis: 'slow readers',
      mode: 'closed',
      workerPerClient: true,
      service: null,
      warmupMs: 800,
      durationMs: 600,
      timeoutMs: 5000,
      points: specialPoints(8, null, quick ? [SLOW] : [ALONE, SLOW]),
      ranked: ['p99Ms', 'averageMs'],
      charts: ['p99Ms', 'averageMs', 'threadsMax'],
    },
    {
      name: 'cost',
      title: 'What a connection costs',
      question:
        'Shows what a connection costs the server: CPU time and memory of one that is opened, echoes once and is closed ' +
        '(one after another from each client), and of those that are opened afterwards and held.',
      axis: 'connections held',
      mode: 'churn',
      service: null,
      warmupMs: 400,
      durationMs: quick ? 600 : 1000,
      timeoutMs: 5000,
      points: specialPoints(2, null, [{ key: '100', title: '100 held', heldAfter: 100 }]),
      ranked: ['memoryPerConnectionKib', 'cpuPerConnectionUs', 'cpuPerRequestUs'],
      charts: ['memoryPerConnectionKib', 'cpuPerConnectionUs', 'cpuPerRequestUs', 'memoryPerClosedKib'],
    },
  ];
}
