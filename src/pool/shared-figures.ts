/**
 * The parts of a status that are in shared memory, which any thread can read: main for the API, the admin endpoint's
 * thread for its clients, so that main computes only the rest for it, and they are current while main is busy.
 *
 * Workers keep running, so related figures may differ by what happened between two reads.
 */
import { BOUNDS_US, Latency, latencyTotals } from '../memory/latency.ts';
import { type SharedState, SPILLS_USED } from '../memory/layout.ts';
import type { HistogramStatus, ServerStats, ServerStatus } from '../schema/status.ts';
import { cpuPoolFigures } from './cpu-pools.ts';
import { workerDetails, workerStates, workerTotals } from './roster.ts';
import type { ThreadActivity } from './thread-activity.ts';
import { worklistFigures } from './worklists.ts';

type SharedParts = Pick<ServerStatus, 'workers' | 'worklists' | 'latency'>;

/** What main knows of a status. Its `stats` is complete, and as old as the rest. */
export type MainStatus = Omit<ServerStatus, keyof SharedParts | 'snapshotAgeMs'>;

export function sharedParts(shared: SharedState, activity: ThreadActivity): SharedParts {
  return {
    workers: workerDetails(shared, activity),
    worklists: worklistFigures(shared),
    latency: { dispatch: histogram(shared, Latency.dispatch), echo: histogram(shared, Latency.echo) },
  };
}

/** The statistics that workers count. */
export function workerStats(shared: SharedState) {
  const { started, completed, cmWakeup, rescued, spills, ...traffic } = workerTotals(shared);
  return {
    ...traffic,
    items: { started, completed, cmWakeup, rescued },
    spills: { total: spills, inUse: Atomics.load(shared.words, SPILLS_USED) },
    workers: workerStates(shared),
  };
}

/**
 * Statistics that main has collected, with the current figures of the workers. The CPU times stay main's: a sum of
 * ended duties and of those in progress may fall, and main remembers the largest.
 */
export function withCurrentWorkers(stats: ServerStats, shared: SharedState): ServerStats {
  const { items, ...current } = workerStats(shared);
  return {
    ...stats,
    ...current,
    items: { ...stats.items, ...items },
    cpuPools: stats.cpuPools.map((pool, index) => ({ ...pool, ...cpuPoolFigures(shared, index) })),
  };
}

function histogram(shared: SharedState, latency: Latency): HistogramStatus {
  const { counts, sumUs } = latencyTotals(shared, latency);
  return {
    boundsSeconds: BOUNDS_US.map((us) => us / 1e6),
    counts,
    count: counts.reduce((sum, count) => sum + count, 0),
    sumSeconds: sumUs / 1e6,
  };
}
