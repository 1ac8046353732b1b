/**
 * What the descriptor limit allows: threads, connections, and the reserve between them.
 *
 * Pure: numbers in, numbers out, so that the sums can be checked in tests.
 */

import { DEFAULT_MAX_WORKERS, type EffectiveOptions, UsageError } from './options.ts';
import { MAX_FD } from './shared/layout.ts';

/** Measured: a worker thread needs this many free descriptors to start (its event loop's own). */
export const DESCRIPTORS_PER_THREAD = 8;
/** For the process itself: standard streams, the main event loop, listener, log, and room for a refusal. */
export const DESCRIPTORS_BASE = 64;
/** The admin endpoint: its 64 connections, its listener, and room for one to be dropped. */
export const DESCRIPTORS_ADMIN = 64 + 8;
/** An epoll instance and an eventfd. */
export const DESCRIPTORS_PER_CPU_POOL = 2;

export interface Limits {
  /** Soft limit of open descriptors. */
  descriptors: number;
  /** Descriptors kept for everything but connections. */
  reserve: number;
  /** Most threads. */
  maxWorkers: number;
  /** Most connections at a time. */
  maxConnections: number;
}

/**
 * The limits of a server under a descriptor limit. A thread under kthread serves one connection, so the
 * two share the descriptors; otherwise threads get at most half. Values that were asked for and do not
 * fit are errors, except maxConnections, which is cut to what fits. Throws UsageError.
 */
export function computeLimits(options: EffectiveOptions, descriptors: number): Limits {
  const base =
    DESCRIPTORS_BASE +
    (options.admin === undefined ? 0 : DESCRIPTORS_ADMIN) +
    (options.strategy === 'cmwq' ? options.cpus * DESCRIPTORS_PER_CPU_POOL : 0);
  const free = descriptors - base;
  const fitting =
    options.strategy === 'kthread'
      ? Math.floor(free / (DESCRIPTORS_PER_THREAD + 1))
      : Math.floor(free / 2 / DESCRIPTORS_PER_THREAD);
  const least = options.strategy === 'cmwq' ? options.cpus + 1 : 1;
  const wanted = options.strategy === 'workqueue' ? options.workers : options.maxWorkers;
  const maxWorkers = wanted ?? Math.min(Math.max(DEFAULT_MAX_WORKERS, least), fitting);
  if (maxWorkers > fitting || maxWorkers < least) {
    const name = options.strategy === 'workqueue' ? 'workers' : 'maxWorkers';
    throw new UsageError(
      name,
      wanted ?? least,
      `with a descriptor limit of ${descriptors} at most ${Math.max(0, fitting)} threads fit (ulimit -n raises it)`,
    );
  }
  const rescuer = options.strategy === 'cmwq' ? 1 : 0;
  const reserve = base + (maxWorkers + rescuer) * DESCRIPTORS_PER_THREAD;
  const room = Math.min(descriptors, MAX_FD) - reserve;
  return { descriptors, reserve, maxWorkers, maxConnections: Math.min(options.maxConnections ?? room, room) };
}
