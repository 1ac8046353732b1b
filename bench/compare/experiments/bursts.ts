/**
 * Bursts: all clients connect at once, send some messages each, one after another, and close. Pure.
 */
import { burstPoints, point, REPEAT_LONG, specialPoints, telnetPoints } from '../experiment-points.ts';
import { type Adjustments, CHARTS, type ExperimentKind } from './kind.ts';

/** Nothing is measured by time: a burst is over when its last message is back. */
const BURST = { mode: 'burst', warmupMs: 0, durationMs: 0 } as const;

export function bursts({ quick }: Adjustments): ExperimentKind[] {
  return [
    {
      name: 'response',
      title: 'Response time of a burst',
      question: 'All clients connect at once, send 10 messages each, one after another, and close.',
      axis: 'clients',
      ...BURST,
      service: null,
      timeoutMs: 60_000,
      points: burstPoints(quick ? [40] : [1, 10, 100, 1000], 10),
      ranked: ['averageMs', 'worstMs', 'connectP99Ms', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
    {
      name: 'telnet',
      title: 'The telnet load of the 2019 studies',
      question: 'Bursts of (clients, requests per client), with a time limit of 10 s.',
      axis: '(clients, requests)',
      ...BURST,
      service: null,
      timeoutMs: 10_000,
      points: telnetPoints(),
      ranked: ['averageMs', 'worstMs', 'connectP99Ms', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
    {
      name: 'blocking',
      title: 'Handlers that sleep',
      question: 'A burst of 5 messages per client; before each echo the handler sleeps 10 ms.',
      axis: 'clients',
      ...BURST,
      service: 'sleep:10ms',
      timeoutMs: 20_000,
      points: [quick ? 10 : 20].map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'worstMs'],
      charts: CHARTS,
    },
    {
      name: 'cpu-bound',
      title: 'Handlers that compute',
      question: 'A burst of 5 messages per client; before each echo the handler uses the processor for 5 ms.',
      axis: 'clients',
      ...BURST,
      service: 'burn:5ms',
      timeoutMs: 20_000,
      points: [quick ? 4 : 10].map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'worstMs'],
      charts: CHARTS,
    },
    {
      name: 'cold-warm',
      title: 'A burst on a fresh server, and later ones',
      question:
        'Shows what a server gains once its threads exist and its code is compiled: the same burst as the first load of a ' +
        'fresh server, and after half a second of such bursts. All clients connect at once and send 3 messages; before ' +
        'each echo the handler sleeps 10 ms.',
      axis: 'burst',
      ...BURST,
      service: 'sleep:10ms',
      timeoutMs: 20_000,
      points: specialPoints(quick ? 10 : 20, 3, [
        { key: 'first', title: 'first burst' },
        { key: 'later', title: 'later burst', warmupMs: 500 },
      ]),
      ranked: ['averageMs', 'worstMs', 'cpuPerRequestUs'],
      charts: ['averageMs', 'worstMs', 'threadsMax'],
    },
    {
      name: 'handler',
      title: 'Clients that come and go',
      question: 'A burst of 5 messages per client.',
      axis: 'clients',
      ...BURST,
      service: null,
      timeoutMs: 60_000,
      points: (quick ? [4] : [4, 20]).map((n) => point(n, 5, REPEAT_LONG)),
      ranked: ['averageMs', 'perSecond', 'p99Ms', 'cpuPerRequestUs'],
      charts: CHARTS,
    },
  ];
}
