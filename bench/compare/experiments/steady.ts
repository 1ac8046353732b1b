/**
 * Steady loads that are the same for all connections. Pure.
 */
import { idlePoints, point, REPEAT_LONG } from '../experiment-points.ts';
import { type Adjustments, CHARTS, type ExperimentKind } from './kind.ts';

export function steady({ quick, idleMax }: Adjustments): ExperimentKind[] {
  return [
    {
      name: 'throughput',
      title: 'Throughput',
      question: 'Connections stay open; each sends its next message when the echo has arrived.',
      axis: 'clients',
      mode: 'closed',
      service: null,
      warmupMs: 600,
      durationMs: 600,
      timeoutMs: 1500,
      points: (quick ? [2] : [2, 16]).map((n) => point(n, null, REPEAT_LONG)),
      ranked: ['perSecond', 'cpuPerRequestUs', 'p99Ms'],
      charts: ['perSecond', ...CHARTS],
    },
    {
      name: 'churn',
      title: 'Connect, echo, close',
      question: 'One message per connection, with a fixed number of connections at a time.',
      axis: 'clients',
      mode: 'churn',
      service: null,
      warmupMs: 400,
      durationMs: 2000, // a thread per connection completes about 100 per second
      timeoutMs: 5000,
      points: [quick ? 8 : 20].map((n) => point(n, null, REPEAT_LONG)),
      // The average is the number of clients divided by the rate: the same figure.
      ranked: ['perSecond', 'worstMs', 'connectP99Ms'],
      charts: ['perSecond', ...CHARTS],
    },
    {
      name: 'idle',
      title: 'Mostly idle connections',
      question:
        'Ten clients load the server as in "throughput" while many other connections are open and nearly idle.',
      axis: 'idle connections',
      mode: 'closed',
      service: null,
      warmupMs: 400,
      durationMs: 600,
      timeoutMs: 1000,
      points: idlePoints(quick ? [100] : [100, 10_000], 10, idleMax),
      ranked: ['averageMs', 'p99Ms', 'memoryPerConnectionKib'],
      charts: ['memoryPerConnectionKib', ...CHARTS],
    },
  ];
}
