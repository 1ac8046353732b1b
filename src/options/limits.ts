/**
 * What the descriptor limit allows: threads, connections, and the reserve between them.
 *
 * Pure: numbers in, numbers out, so that the sums can be checked in tests.
 */
import { MAX_FD } from '../memory/layout.ts';
import { type EchoServerOptions, type EffectiveOptions, type StrategyName, UsageError } from './index.ts';
import { DEFAULT_MAX_WORKERS } from './specs.ts';

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
  /** Maximum number of threads. */
  maxWorkers: number;
  /** Maximum number of open connections. */
  maxConnections: number;
}

/** The numbers of threads that the caller gave; often neither. */
type Asked = Pick<EchoServerOptions, 'workers' | 'maxWorkers'>;

/**
 * The limits of a server under a descriptor limit. A thread under kthread serves one connection, so the
 * two share the descriptors; otherwise threads get at most half. Given values that do not
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
    const needed = (threads: number) => base + threads * perThread;
    const threads = wanted ?? least;
    throw wrongThreads(options.strategy, given, { threads, least, fitting, descriptors, needed });
  }
  const rescuer = options.strategy === 'cmwq' ? 1 : 0;
  const reserve = base + (maxWorkers + rescuer) * DESCRIPTORS_PER_THREAD;
  const room = Math.min(descriptors, MAX_FD) - reserve;
  return { descriptors, reserve, maxWorkers, maxConnections: Math.min(options.maxConnections ?? room, room) };
}

interface Sum {
  /** The number that is wrong, and the fewest that the strategy needs. */
  threads: number;
  least: number;
  /** Threads that the descriptors have room for. */
  fitting: number;
  descriptors: number;
  /** The descriptor limit that this number of threads requires. */
  needed: (threads: number) => number;
}

/** Names everything that is wrong, so that following the advice does not lead to a second complaint. */
function wrongThreads(strategy: StrategyName, given: Asked, sum: Sum): UsageError {
  const { threads, least, fitting, descriptors, needed } = sum;
  const name = strategy === 'workqueue' ? 'workers' : 'maxWorkers';
  if (given[name] === undefined) {
    const allowed = `at least ${needed(threads)}, for the threads of ${fewest(strategy, threads)}`;
    return new UsageError('descriptor limit (ulimit -n)', descriptors, allowed);
  }
  if (fitting < least) {
    const also = threads > least ? `, and ${threads} one of ${needed(threads)}` : '';
    const need = `the fewest threads of ${fewest(strategy, least)} need one of ${needed(least)}${also}`;
    return new UsageError(
      name,
      threads,
      `a descriptor limit of ${descriptors} is too low: ${need} (ulimit -n)`,
    );
  }
  if (threads < least) {
    return new UsageError(name, threads, `at least ${least}: one worker per CPU pool and one in reserve`);
  }
  const right = least === fitting ? least : `${least} to ${fitting}`;
  const more = `${threads} one of ${needed(threads)} (ulimit -n)`;
  return new UsageError(name, threads, `${right} fit a descriptor limit of ${descriptors}, and ${more}`);
}

function fewest(strategy: StrategyName, threads: number): string {
  const why = strategy === 'cmwq' ? `${threads}: one for each CPU pool and one in reserve` : threads;
  return `${strategy} (${why})`;
}
