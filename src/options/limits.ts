/**
 * Divides the descriptor limit among threads, connections and a reserve. Pure.
 */
import { MAX_FD, runsHandlers } from '../memory/layout.ts';
import { type EffectiveOptions, type GivenOptions, type StrategyName, UsageError } from './index.ts';
import { DEFAULT_MAX_WORKERS } from './specs.ts';

/** Measured: free descriptors that a worker thread needs to start, for its event loop. */
export const DESCRIPTORS_PER_THREAD = 8;
/** For the process: standard streams, the main event loop, listener, log, and a connection to be refused. */
export const DESCRIPTORS_BASE = 64;
/** The admin endpoint: 64 connections, the listener, a connection to be dropped, and its thread. */
export const DESCRIPTORS_ADMIN = 64 + 8 + DESCRIPTORS_PER_THREAD;
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

/** The numbers of threads that the caller gave, if any. */
type GivenThreads = Pick<GivenOptions, 'workers' | 'maxWorkers'>;

/**
 * The limits of a server under a descriptor limit. Under kthread, where each thread serves one connection, descriptors
 * are counted per pair; otherwise threads get at most half of them. maxConnections is cut to what fits.
 * Throws UsageError if the threads do not fit; it names their number if it is in `given`, otherwise the descriptor limit.
 */
export function computeLimits(
  options: EffectiveOptions,
  descriptors: number,
  given: GivenThreads = {},
): Limits {
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
    throw threadsError(options.strategy, given, { threads, least, fitting, descriptors, needed });
  }
  const rescuer = options.strategy === 'cmwq' ? 1 : 0;
  const { service: services, handler } = options;
  const monitor = options.strategy === 'cmwq' && runsHandlers({ services, handler }) ? 1 : 0;
  const reserve = base + (maxWorkers + rescuer + monitor) * DESCRIPTORS_PER_THREAD;
  const room = Math.min(descriptors, MAX_FD) - reserve;
  return { descriptors, reserve, maxWorkers, maxConnections: Math.min(options.maxConnections ?? room, room) };
}

interface ThreadBudget {
  /** The wrong number of threads. */
  threads: number;
  /** Fewest threads that the strategy needs. */
  least: number;
  /** Most threads that fit the descriptor limit. */
  fitting: number;
  descriptors: number;
  /** The descriptor limit that a number of threads requires. */
  needed: (threads: number) => number;
}

/** Names every mistake at once, so that a caller who follows the advice gets no second error. */
function threadsError(strategy: StrategyName, given: GivenThreads, budget: ThreadBudget): UsageError {
  const { threads, least, fitting, descriptors, needed } = budget;
  const name = strategy === 'workqueue' ? 'workers' : 'maxWorkers';
  if (given[name] === undefined) {
    const allowed = `at least ${needed(threads)}, for the threads of ${strategyThreads(strategy, threads)}`;
    return new UsageError('descriptor limit (ulimit -n)', descriptors, allowed);
  }
  if (fitting < least) {
    const also = threads > least ? `, and ${threads} need ${needed(threads)}` : '';
    const need = `the minimum of threads for ${strategyThreads(strategy, least)} needs ${needed(least)}${also}`;
    return new UsageError(
      name,
      threads,
      `a descriptor limit of ${descriptors} is too low: ${need} (ulimit -n)`,
    );
  }
  if (threads < least) {
    return new UsageError(name, threads, `at least ${least}: one worker per CPU pool and one in reserve`);
  }
  const range = least === fitting ? least : `${least} to ${fitting}`;
  const more = `${threads} need ${needed(threads)} (ulimit -n)`;
  return new UsageError(name, threads, `${range} with a descriptor limit of ${descriptors}; ${more}`);
}

function strategyThreads(strategy: StrategyName, threads: number): string {
  const why = strategy === 'cmwq' ? `${threads}: one for each CPU pool and one in reserve` : threads;
  return `${strategy} (${why})`;
}
