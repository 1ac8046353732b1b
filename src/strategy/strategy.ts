/**
 * The interface of a dispatch strategy, which decides which thread works on a connection.
 *
 * A strategy runs on the main thread. It owns its threads and, under cmwq, its worklists. Connections belong to the
 * server, which lends them with `dispatch` and takes them back when the worker reports the end.
 */

import type { EventKind } from '../log/events.ts';
import type { SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { ServerStats } from '../schema/status.ts';

/** Why a connection was refused after its accept. */
export type RefusalReason = keyof ServerStats['connections']['refused'];

/** How long a connection waits while there is no thread and none can be created. */
export const NO_THREAD_MS = 10_000;

/** An open connection as the server lends it: its only record on main, from accept to close. */
export interface Connection {
  readonly fd: number;
  /** True from `dispatch` until it is handed back or refused. */
  readonly isLent: boolean;
  /** kthread, workqueue: when it was dispatched. */
  dispatchedMs: number;
}

/** A strategy's view of the server. */
export interface StrategyContext {
  shared: SharedState;
  options: EffectiveOptions;
  limits: Limits;
  /**
   * The worker in this connection's item has died, and its thread is gone. False when the worker had already handed the
   * connection back.
   */
  connectionLost: (fd: number) => boolean;
  /** Refuses a dispatched connection that waited too long for a thread; no worker has begun with it. */
  refuse: (fd: number, reason: RefusalReason) => void;
  /** The clock that waiting is measured by. */
  nowMs: () => number;
  /** Logs a warning. */
  warn: (what: string, details: object) => void;
  /** Records an event for status and dashboard. */
  note: (kind: EventKind, detail: Record<string, number | string | boolean>) => void;
  /** Takes a message that a worker posted. */
  onMessage: (message: unknown) => void;
}

/** Counters of concurrency management since the start, like PWQ_STAT_* in struct pool_workqueue. */
export type ManagementStats = Pick<
  ServerStats['items'],
  'cpuIntensive' | 'noticed' | 'mayday' | 'hung' | 'moved'
>;

export interface StrategyStats {
  threads: ServerStats['threads'];
  management: ManagementStats;
  /** Connections waiting for a thread; always 0 under cmwq. */
  queued: number;
  cpuPools: ServerStats['cpuPools'];
}

export interface Strategy {
  /** Starts the first threads and resolves when they are ready. Rejects when they do not start. */
  start(): Promise<void>;
  /** Takes a connection, or returns why it refuses; then the caller closes it. */
  dispatch(connection: Connection): RefusalReason | null;
  /** The connection has been handed back: no worker uses it any more. It may stay open for a while. */
  release(connection: Connection, orderly: boolean): void;
  /** Periodic checks; called about once a second, or more often with short timeouts. */
  onTick(nowMs: number): void;
  /** A worker rang the bell: it has changed something that main watches. */
  onBell(): void;
  stats(): StrategyStats;
  /** False while there is no thread and none can be created. */
  readonly canServe: boolean;
  /** Terminates the thread of a worker. False when it has none. */
  terminateWorker(workerId: number): boolean;
  /** Wakes every worker to check STOP, which is set; called also when the process exits. */
  wakeAll(): void;
  /** Ends the threads. True when all have exited within `timeoutMs`. */
  stop(timeoutMs: number): Promise<boolean>;
}
