/**
 * What a dispatch strategy is: the part of the server that decides which thread works on a connection.
 *
 * A strategy runs on the main thread. It owns its threads and, under cmwq, its worklists; connections belong
 * to the server, which lends them with `dispatch` and takes them back when the worker reports the end.
 */

import type { EventKind } from '../log/events.ts';
import type { SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { ServerStats } from '../schema/status.ts';

/** Why a connection was refused after its accept. */
export type RefusalReason = keyof ServerStats['connections']['refused'];

/** How long a connection waits for a thread while there is none and none can be made. */
export const NO_THREAD_MS = 10_000;

/** An open connection as the server lends it to a strategy: its one record on main, from the accept to the close. */
export interface Connection {
  readonly fd: number;
  /** From `dispatch` until it is handed back or refused. */
  readonly isLent: boolean;
  /** cmwq: the CPU pool that it lives in, once dispatched. */
  pool: number;
  /** kthread, workqueue: when it was dispatched. */
  dispatchedMs: number;
}

/** What a strategy sees of the server. */
export interface StrategyContext {
  shared: SharedState;
  options: EffectiveOptions;
  limits: Limits;
  /**
   * The worker that was in this connection's item has died; nobody touches the descriptor any more. False when the worker
   * had handed it back before.
   */
  connectionLost: (fd: number) => boolean;
  /** A connection that was taken on waited too long for a thread; nobody has begun with it. */
  refuse: (fd: number, reason: RefusalReason) => void;
  /** The time that limits on waiting are measured in. */
  nowMs: () => number;
  /** Something that the log should say. */
  warn: (what: string, details: object) => void;
  /** Something that those who watch should see. */
  note: (kind: EventKind, detail: Record<string, number | string | boolean>) => void;
  /** A worker posted this. */
  onMessage: (message: unknown) => void;
}

/** Counters of concurrency management since the start, as in struct pool_workqueue (PWQ_STAT_*). */
export type ManagementStats = Pick<ServerStats['items'], 'cpuIntensive' | 'mayday' | 'hung'>;

export interface StrategyStats {
  threads: ServerStats['threads'];
  management: ManagementStats;
  /** Connections that wait for a thread; always 0 under cmwq. */
  queued: number;
  cpuPools: ServerStats['cpuPools'];
}

export interface Strategy {
  /** Makes the first threads and resolves when they are ready to work. Rejects when they do not start. */
  start(): Promise<void>;
  /** Takes on a connection, or says why not; then the caller closes it. */
  dispatch(connection: Connection): RefusalReason | null;
  /** The connection has been handed back, in order or not: no worker touches it any more. It may stay open for a while. */
  release(connection: Connection, inOrder: boolean): void;
  /** A moment to look at what time brings; called about once a second, or more often where a timeout is short. */
  onTick(nowMs: number): void;
  /** The bell rang: a worker has changed something that main watches. */
  onBell(): void;
  stats(): StrategyStats;
  /** False while there is no thread and none can be made. */
  readonly canServe: boolean;
  /** Ends the thread of a worker, whatever it does. False when it has none. */
  terminateWorker(workerId: number): boolean;
  /** Wakes every worker so that it sees the STOP word; called with STOP set, also when the process exits. */
  wakeAll(): void;
  /** Ends the threads. True when all are gone within `timeoutMs`. */
  stop(timeoutMs: number): Promise<boolean>;
}
