/**
 * Timeouts for dead, silent and stuck peers.
 *
 * Main thread only. It owns one timer. The kernel detects dead peers (keepalive, TCP_USER_TIMEOUT) and fails their
 * connection with ETIMEDOUT. Live peers that take or send nothing are found by comparing counters from check to check,
 * at no cost to the echo path; so a timeout may fire up to two checks late. A peer is owed what its kernel has not
 * acknowledged, wherever that waits: in our kernel, in a spill, or in a thread in send. The kernel is queried only for
 * connections that were sent something since everything was acknowledged. An expired connection is reset in place: its
 * worker sees an error and hands it back like any other, and main, which alone closes descriptors, closes it.
 */

import { CONN_BYTES_IN, CONN_BYTES_OUT, SERVING, type SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import { workerTotals } from '../pool/roster.ts';
import { RunningTime } from '../sys/clock.ts';
import { resetOrShutDown, unacknowledgedBytes, unreadBytes } from '../sys/connection.ts';
import type { AcceptedOptions } from '../sys/socket.ts';
import type { Connections, OpenConnection } from './connections.ts';

/** Longest time until a thread in recv or send notices a stop by itself. */
const BLOCKING_TIMEOUT_MS = 1000;
/** Between two checks. */
const MAX_CHECK_MS = 1000;
const MIN_CHECK_MS = 5;
const CHECKS_PER_TIMEOUT = 4;

type TimeoutOptions = Pick<EffectiveOptions, 'socketTimeoutMs' | 'writeTimeoutMs' | 'maxQueueAgeMs'>;

/** The options of accepted sockets. `blocking`: threads wait in recv. */
export function acceptedOptions(options: EffectiveOptions, blocking: boolean): AcceptedOptions {
  const { keepaliveTimeMs, keepaliveIntervalMs, keepaliveProbes, userTimeoutMs } = options;
  // Queued connections have no thread in recv(), so maxQueueAge is no reason to wake more often.
  const blockingTimeoutMs = blocking ? checkIntervalMs({ ...options, maxQueueAgeMs: 0 }) : 0;
  return { blockingTimeoutMs, keepaliveTimeMs, keepaliveIntervalMs, keepaliveProbes, userTimeoutMs };
}

/** The time between two checks: a fraction of the shortest timeout. */
function checkIntervalMs({ socketTimeoutMs, writeTimeoutMs, maxQueueAgeMs }: TimeoutOptions): number {
  const shortest = Math.min(...[socketTimeoutMs, writeTimeoutMs, maxQueueAgeMs].filter((ms) => ms > 0));
  return Math.max(MIN_CHECK_MS, Math.min(BLOCKING_TIMEOUT_MS, MAX_CHECK_MS, shortest / CHECKS_PER_TIMEOUT));
}

/** State of a connection that makes no progress. */
interface Stall {
  progress: number;
  /** Whether the peer has bytes to acknowledge. */
  owed: boolean;
  sinceMs: number;
}

export class Timeouts {
  private readonly shared: SharedState;
  private readonly connections: Connections;
  private readonly options: TimeoutOptions;
  /** Whether connections may wait for a thread; a waiting one is not silent by its own fault. */
  private readonly queues: boolean;
  /** The connections without progress at the last check. */
  private readonly stalls = new Map<OpenConnection, Stall>();
  /** Bytes sent to all connections, at the last check. */
  private sentBytes = -1;
  private readonly intervalMs: number;
  private readonly time: RunningTime;
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, connections: Connections, options: TimeoutOptions, queues: boolean) {
    this.shared = shared;
    this.connections = connections;
    this.options = options;
    this.queues = queues;
    this.intervalMs = checkIntervalMs(options);
    this.time = new RunningTime(2 * this.intervalMs);
  }

  /** The clock that timeouts are measured by: milliseconds during which this process ran. */
  nowMs(): number {
    return this.time.read();
  }

  /** Starts checking; calls `onTick` before each check. Does not keep the process alive. */
  start(onTick: (nowMs: number) => void): void {
    this.timer = setInterval(() => {
      const nowMs = this.nowMs();
      onTick(nowMs);
      this.check(nowMs);
    }, this.intervalMs).unref();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.stalls.clear();
  }

  /** Resets expired connections. O(connections), unless nothing was sent since the last one and silence is allowed. */
  check(nowMs: number): void {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    if (socketTimeoutMs === 0 && writeTimeoutMs === 0) return;
    const sentBytes = workerTotals(this.shared).bytesOut;
    const all = socketTimeoutMs > 0 || sentBytes !== this.sentBytes;
    this.sentBytes = sentBytes;
    for (const connection of this.stalls.keys())
      if (!this.connections.isOpen(connection)) this.stalls.delete(connection);
    for (const connection of all ? this.connections.all() : this.stalls.keys())
      this.checkOne(connection, nowMs);
  }

  private checkOne(connection: OpenConnection, nowMs: number): void {
    const { shared } = this;
    const { connDoubles } = shared; // no closures or arrays: there may be 100,000 connections
    const { fd } = connection;
    const bytesIn = connDoubles[shared.connDouble(fd, CONN_BYTES_IN)] as number;
    const bytesOut = connDoubles[shared.connDouble(fd, CONN_BYTES_OUT)] as number;
    const unacknowledged = this.unacknowledged(connection, bytesOut);
    const owed = unacknowledged > 0;
    const queued = this.queues && shared.conns[shared.connWord(fd, SERVING)] === 0;
    const inHandler = !owed && bytesOut < bytesIn;
    const limitMs = this.limitMs(owed);
    if (queued || inHandler || limitMs === 0) {
      this.stalls.delete(connection);
      return;
    }
    // Bytes acknowledged: the kernel buffers megabytes, so a slow reader's acknowledgements move long before bytesOut.
    const progress = owed ? bytesOut - unacknowledged : bytesIn + bytesOut;
    const stall = this.stalls.get(connection);
    if (stall === undefined || stall.progress !== progress || stall.owed !== owed) {
      this.stalls.set(connection, { progress, owed, sinceMs: nowMs });
    } else if (nowMs - stall.sinceMs >= limitMs) {
      this.stalls.delete(connection);
      // A worker may have received bytes that it had not counted yet when the counters were read.
      const peersFault = isPeersFault(fd, owed);
      const bytesInNow = connDoubles[shared.connDouble(fd, CONN_BYTES_IN)] as number;
      if (peersFault && bytesInNow === bytesIn) this.expire(connection, owed);
    }
  }

  private unacknowledged(connection: OpenConnection, bytesOut: number): number {
    if (connection.settledBytes === bytesOut) return 0;
    const bytes = unacknowledgedBytes(connection.fd);
    if (bytes === 0) connection.settledBytes = bytesOut;
    return bytes;
  }

  private limitMs(owed: boolean): number {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    return owed && writeTimeoutMs > 0 ? writeTimeoutMs : socketTimeoutMs;
  }

  private expire(connection: OpenConnection, owed: boolean): void {
    connection.closeName = owed && this.options.writeTimeoutMs > 0 ? 'writeTimeout' : 'socketTimeout';
    resetOrShutDown(connection.fd);
  }
}

/** False when bytes from the peer wait for a worker, or when the peer has acknowledged everything. */
function isPeersFault(fd: number, owed: boolean): boolean {
  return owed ? unacknowledgedBytes(fd) > 0 : unreadBytes(fd) === 0;
}
