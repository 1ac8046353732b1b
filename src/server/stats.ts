/**
 * Collects a server's figures, as `stats()` returns them and SIGUSR2 logs them. A snapshot: the workers go on while it
 * is taken, so sums may be off by what happened meanwhile.
 */

import { type SharedState, SPILLS_USED } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import { noDeaths } from '../pool/deaths.ts';
import { workerStates, workerTotals } from '../pool/roster.ts';
import type { ServerState, ServerStats } from '../schema/status.ts';
import type { StrategyStats } from '../strategy/strategy.ts';
import type { Connections } from './connections.ts';
import type { RefusalCounts } from './refusals.ts';

/** The figures of a strategy that does not run. */
export const NO_STRATEGY_STATS: StrategyStats = {
  threads: { alive: 0, created: 0, culled: 0, createFailed: 0, died: noDeaths() },
  management: { cpuIntensive: 0, mayday: 0, hung: 0 },
  queued: 0,
  cpuPools: [],
};

export interface StatsSources {
  state: ServerState;
  options: EffectiveOptions;
  shared: SharedState;
  connections: Connections;
  lingering: number;
  refused: RefusalCounts;
  strategy: StrategyStats;
}

export function collectStats({
  state,
  options,
  shared,
  connections,
  lingering,
  refused,
  strategy,
}: StatsSources): ServerStats {
  const { started, completed, cmWakeup, rescued, spills, ...traffic } = workerTotals(shared);
  return {
    state,
    strategy: options.strategy,
    connections: {
      accepted: connections.admitted,
      active: connections.size,
      queued: strategy.queued,
      lingering,
      closed: { ...connections.closedBy },
      refused: { ...refused },
    },
    ...traffic,
    items: { started, completed, cmWakeup, rescued, ...strategy.management },
    spills: { total: spills, inUse: Atomics.load(shared.words, SPILLS_USED) },
    workers: workerStates(shared),
    threads: strategy.threads,
    cpuPools: strategy.cpuPools,
  };
}
