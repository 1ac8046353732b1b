/**
 * Steady loads that differ between connections. Pure.
 */
import { point, REPEAT_LONG } from '../experiment-points.ts';
import { type Adjustments, CHARTS, type ExperimentKind } from './kind.ts';

/**
 * Of `zipf`. With handlers of 2 ms it takes one processor; the most frequent of 20 connections has 28 % of it, which is
 * far from what one connection can carry.
 */
const ZIPF_RATE = 500;

export function uneven({ quick }: Adjustments): ExperimentKind[] {
  return [
    {
      name: 'skewed',
      title: 'Half of the connections are silent',
      question:
        'Connections stay open, half of them silent; each of the others sends its next message when the echo has arrived, ' +
        'and the handler uses the processor for 2 ms. At first all that send are in one CPU pool: connections are opened ' +
        'until one pool has enough, wherever the server places them, and surplus ones are closed before the load. ' +
        'workqueue has a worker for each connection.',
      axis: 'clients',
      mode: 'closed',
      shape: 'skewed',
      workerPerClient: true,
      service: 'burn:2ms',
      warmupMs: 1000,
      durationMs: 1500,
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['perSecond', 'p99Ms', 'fairness', 'worstClientMs', 'cpuPerRequestUs'],
      charts: ['perSecond', 'fairness', 'worstClientMs', ...CHARTS],
    },
    {
      name: 'zipf',
      title: 'A few connections carry most of the load',
      question:
        `${ZIPF_RATE} requests per second, each for a connection drawn by Zipf's law: the one of rank k has a share ` +
        'proportional to 1/k. The handler uses the processor for 2 ms. Times count from when a request was due, also while ' +
        'its connection was busy; requests never sent count as errors. workqueue has a worker for each connection.',
      axis: 'clients',
      mode: 'open',
      shape: 'zipf',
      workerPerClient: true,
      rate: ZIPF_RATE,
      service: 'burn:2ms',
      warmupMs: 1000,
      durationMs: 1500,
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['averageMs', 'p99Ms', 'worstClientMs', 'cpuPerRequestUs'],
      charts: ['worstClientMs', ...CHARTS],
    },
  ];
}
