/**
 * The shape of a server's figures, as `stats()` returns them and SIGUSR2 logs them. A snapshot: the workers
 * go on while it is taken, so sums may be off by what happened meanwhile.
 */

import { type SharedState, SPILLS_USED } from '../memory/layout.ts';
import type { EffectiveOptions, StrategyName } from '../options/index.ts';
import type { CpuPoolStats } from '../pool/cpu-pools.ts';
import { noDeaths } from '../pool/deaths.ts';
import { type WorkerStates, workerStates, workerTotals } from '../pool/roster.ts';
import type { ManagementStats, RefusalReason, StrategyStats } from '../strategy/strategy.ts';
import { type CloseName, noCloses } from './connections.ts';
import { noRefusals } from './refusals.ts';

export type ServerState = 'new' | 'starting' | 'listening' | 'draining' | 'stopped';

export interface ServerStats {
  state: ServerState;
  strategy: StrategyName;
  connections: {
    /**
     * Admitted since the start, to a thread or to the queue: those of `active` and of `closed`, and of the refused ones
     * those that had been admitted before (`refused.queueAge`, `refused.noThread`). A counter that never falls.
     */
    accepted: number;
    /** Open now, those that wait for a thread and those that linger included. */
    active: number;
    /** Waiting for a thread (kthread, workqueue). */
    queued: number;
    /** Ended in order, and open until the peer has acknowledged its echo. */
    lingering: number;
    /** Ended since the start, by reason. */
    closed: Record<CloseName, number>;
    /** Refused since the start, by reason: at once, or after waiting (`queueAge`, `noThread`). */
    refused: Record<RefusalReason, number>;
  };
  /** Bytes received since the start. */
  bytesIn: number;
  /** Bytes sent since the start. */
  bytesOut: number;
  /** Received buffers that were echoed. */
  echoes: number;
  /** Work items: a readiness of a connection under cmwq, a whole connection otherwise. */
  items: {
    started: number;
    completed: number;
    /** Times a sleeping item made its worker kick another. */
    cmWakeup: number;
    /** Items begun by the rescuer. */
    rescued: number;
  } & ManagementStats;
  /** Echoes whose rest had to wait for the peer, and buffers in use for that now. */
  spills: { total: number; inUse: number };
  workers: WorkerStates;
  threads: StrategyStats['threads'];
  /** cmwq only. */
  cpuPools: CpuPoolStats[];
}

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
      management: { cpuIntensive: 0, mayday: 0, hung: 0 },
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
  const { started, completed, cmWakeup, rescued, spills, ...traffic } = workerTotals(shared);
  return {
    state,
    strategy: options.strategy,
    connections: { ...connections, queued: strategy.queued },
    ...traffic,
    items: { started, completed, cmWakeup, rescued, ...strategy.management },
    spills: { total: spills, inUse: Atomics.load(shared.words, SPILLS_USED) },
    workers: workerStates(shared),
    threads: strategy.threads,
    cpuPools: strategy.cpuPools,
  };
}
