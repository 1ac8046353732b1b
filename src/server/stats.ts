/**
 * Collects the figures that `stats()` returns and SIGUSR2 logs. What of them may lag: EchoServer.stats() (server.ts).
 */

import type { SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import { noDeaths } from '../pool/deaths.ts';
import { workerStats } from '../pool/shared-figures.ts';
import type { ServerState, ServerStats } from '../schema/status.ts';
import type { StrategyStats } from '../strategy/strategy.ts';
import { noCloses } from './connections.ts';
import { noRefusals } from './refusals.ts';

/** What the engine counts. */
export interface EngineStats {
  connections: Omit<ServerStats['connections'], 'queued'>;
  strategy: StrategyStats;
}

/** Before the start. */
export function noEngineStats(): EngineStats {
  return {
    connections: { accepted: 0, active: 0, lingering: 0, closed: noCloses(), refused: noRefusals() },
    strategy: {
      threads: { alive: 0, created: 0, culled: 0, createFailed: 0, died: noDeaths() },
      management: { cpuIntensive: 0, noticed: 0, mayday: 0, hung: 0, moved: 0 },
      queued: 0,
      cpuPools: [],
    },
  };
}

export interface StatsSources {
  state: ServerState;
  options: EffectiveOptions;
  shared: SharedState;
  engine: EngineStats;
}

export function collectStats({
  state,
  options,
  shared,
  engine: { connections, strategy },
}: StatsSources): ServerStats {
  const { items, ...counted } = workerStats(shared);
  return {
    state,
    strategy: options.strategy,
    connections: { ...connections, queued: strategy.queued },
    ...counted,
    items: { ...items, ...strategy.management },
    threads: strategy.threads,
    cpuPools: strategy.cpuPools,
  };
}
