/**
 * Response times against the load, up to more than the server can do. Pure, but for the number of processors.
 */
import { availableParallelism } from 'node:os';
import { specialPoints } from '../experiment-points.ts';
import type { Adjustments, ExperimentKind } from './kind.ts';

/** CPU time of one request. */
const BURN_MS = 2;
const WITHIN_MS = 50;
/** Loads, as shares of what the processors could do if the server had them alone. */
const SHARES = [0.3, 0.6, 0.9, 1.3];
const QUICK_SHARES = [0.6, 1.3];

export function overload({ quick, cpus = availableParallelism() }: Adjustments): ExperimentKind[] {
  const capacity = (1000 / BURN_MS) * cpus;
  const rates = (quick ? QUICK_SHARES : SHARES).map((share) => Math.round(share * capacity));
  return [
    {
      name: 'load-latency',
      title: 'Response time against load',
      question:
        'Shows up to which load a server answers in time, and what it does beyond: requests arrive at random ' +
        `(Poisson) at a given rate over connections that stay open, and the handler uses the processor for ${BURN_MS} ms. ` +
        `Times count from when a request was due. Goodput is the answers within ${WITHIN_MS} ms. The highest rates are more ` +
        'than the processors can do. workqueue has a worker for each connection.',
      axis: 'requests per second',
      mode: 'open',
      arrivals: 'poisson',
      withinMs: WITHIN_MS,
      workerPerClient: true,
      service: `burn:${BURN_MS}ms`,
      warmupMs: quick ? 500 : 800,
      durationMs: quick ? 600 : 1000,
      timeoutMs: 5000,
      points: specialPoints(
        8,
        null,
        rates.map((rate) => ({ key: String(rate), title: `${rate.toLocaleString('en-US')} per s`, rate })),
      ),
      ranked: ['p99Ms', 'goodPerSecond', 'averageMs'],
      charts: ['p99Ms', 'goodPerSecond', 'averageMs'],
    },
  ];
}
