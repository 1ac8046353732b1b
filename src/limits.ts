/**
 * What the descriptor limit allows: threads, connections, and the reserve between them.
 *
 * Pure: numbers in, numbers out, so that the sums can be checked in tests.
 */

import {
  DEFAULT_MAX_WORKERS,
  type EchoServerOptions,
  type EffectiveOptions,
  type StrategyName,
  UsageError,
} from './options.ts';
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

/** The numbers of threads that the user gave himself: there may be none. */
type Asked = Pick<EchoServerOptions, 'workers' | 'maxWorkers'>;

/**
 * The limits of a server under a descriptor limit. A thread under kthread serves one connection, so the
 * two share the descriptors; otherwise threads get at most half. Values that were asked for and do not
 * fit are errors, except maxConnections, which is cut to what fits. Throws UsageError, which names the number of
 * threads only if it is among `given`, and the descriptor limit otherwise.
 */
export function computeLimits(options: EffectiveOptions, descriptors: number, given: Asked = {}): Limits {
  const base =
    DESCRIPTORS_BASE +
    (options.admin === undefined ? 0 : DESCRIPTORS_ADMIN) +
    (options.strategy === 'cmwq' ? options.cpus * DESCRIPTORS_PER_CPU_POOL : 0);
  const perThread = options.strategy === 'kthread' ? DESCRIPTORS_PER_THREAD + 1 : 2 * DESCRIPTORS_PER_THREAD;
  const fitting = Math.floor((descriptors - base) / perThread);
  const least = options.strategy === 'cmwq' ? options.cpus + 1 : 1;
  const wanted = options.strategy === 'workqueue' ? options.workers : options.maxWorkers;
  const maxWorkers = wanted ?? Math.min(Math.max(DEFAULT_MAX_WORKERS, least), fitting);
  if (maxWorkers > fitting || maxWorkers < least) {
    const threads = wanted ?? least;
    const needed = base + threads * perThread;
    throw tooManyThreads(options.strategy, given, { threads, fitting, descriptors, needed });
  }
  const rescuer = options.strategy === 'cmwq' ? 1 : 0;
  const reserve = base + (maxWorkers + rescuer) * DESCRIPTORS_PER_THREAD;
  const room = Math.min(descriptors, MAX_FD) - reserve;
  return { descriptors, reserve, maxWorkers, maxConnections: Math.min(options.maxConnections ?? room, room) };
}

type Sum = Record<'threads' | 'fitting' | 'descriptors' | 'needed', number>;

function tooManyThreads(strategy: StrategyName, given: Asked, sum: Sum): UsageError {
  const { threads, fitting, descriptors, needed } = sum;
  const name = strategy === 'workqueue' ? 'workers' : 'maxWorkers';
  if (given[name] === undefined) {
    const why = strategy === 'cmwq' ? `${threads}: one for each CPU pool and one in reserve` : threads;
    const least = `at least ${needed}, for the threads of ${strategy} (${why})`;
    return new UsageError('descriptor limit (ulimit -n)', descriptors, least);
  }
  const most = `with a descriptor limit of ${descriptors} at most ${Math.max(0, fitting)} threads fit`;
  return new UsageError(name, threads, `${most}, and ${threads} with one of ${needed} (ulimit -n)`);
}
