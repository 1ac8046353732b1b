/**
 * The shape of a server's figures, as `stats()` returns them and SIGUSR2 logs them. A snapshot: the workers
 * go on while it is taken, so sums may be off by what happened meanwhile.
 */
import type { CloseName } from './connections.ts';
import type { StrategyName } from './options.ts';
import type { WorkerStates } from './pool/roster.ts';
import type { CpuPoolStats, ManagementStats, RefusalReason, StrategyStats } from './strategy/strategy.ts';

export interface ServerStats {
  state: 'new' | 'starting' | 'listening' | 'draining' | 'stopped';
  strategy: StrategyName;
  connections: {
    /** Admitted since the start, closed ones included, refused ones not. */
    accepted: number;
    /** Open now, those that wait for a thread included. */
    active: number;
    /** Waiting for a thread (kthread, workqueue). */
    queued: number;
    /** Ended since the start, by reason. */
    closed: Record<CloseName, number>;
    /** Refused since the start, by reason. */
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
