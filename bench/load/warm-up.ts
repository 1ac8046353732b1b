/**
 * The generator's own warm-up: the same load against an echo server of its own (echo.ts), so that no request that is measured runs
 * through code that V8 has yet to compile.
 *
 * On the generator's main thread, before a run. Its rounds use the modes, the pump and the sessions of a run with
 * connections and counters of their own. It ends when the generator's CPU time per request no longer falls, or at its
 * bound.
 */
import { LOOPBACK } from '../../src/sys/loopback.ts';
import type { LoadOptions } from './load-options.ts';
import type { LoadResult } from './schema.ts';
import { Settling } from './settling.ts';

const ROUND_MS = 30;
const ROUNDS_MAX = 8;
/** Each round of a burst opens new ones, and a closed connection holds its port for a minute. */
const CONNECTIONS_MAX = 2_000;
const TIMEOUT_MS = 1_000;
/** V8 compiles what has run some thousand times; a low rate would take minutes to get there. */
const RATE_MIN = 10_000;

function roundOptions(options: LoadOptions): LoadOptions {
  return {
    ...options,
    address: LOOPBACK,
    port: options.echoPort,
    shape: options.shape === 'skewed' ? 'even' : options.shape, // an event loop of a server needs its processes
    warmupMs: 0,
    durationMs: ROUND_MS,
    timeoutMs: TIMEOUT_MS,
    requests: options.mode === 'burst' ? options.requests : 0,
    rate: Math.max(options.rate, RATE_MIN),
    maxConnections: CONNECTIONS_MAX,
    watchPids: [],
    settleMs: 0,
    withHistogram: false,
    live: false,
  };
}

/** Its own CPU time per request, in microseconds; null when none was answered. */
function ownCost({ completed, windowMs, generatorCpuShare }: LoadResult): number | null {
  return completed === 0 ? null : (generatorCpuShare * windowMs * 1000) / completed;
}

/** Runs rounds of `drive` until the generator is warm. */
export function warmUp(options: LoadOptions, drive: (options: LoadOptions) => LoadResult): void {
  const settling = new Settling();
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const result = drive(roundOptions(options));
    if (result.partial) return;
    const cost = ownCost(result);
    if (cost !== null && settling.add(cost)) return;
  }
}
