/**
 * Timeouts for dead, silent and stuck peers.
 *
 * Main thread only. It owns one timer. The kernel detects dead peers (keepalive, TCP_USER_TIMEOUT) and fails their
 * connection with ETIMEDOUT. Live peers that take or send nothing are found by comparing counters from look to look, at
 * no cost to the echo path. A check looks at a share of the connections, so that all are looked at four times within the
 * shortest timeout, and at those that are due; so a timeout may fire a quarter and a check late. A peer is owed what its
 * kernel has not acknowledged, wherever that waits: in our kernel, in a spill, or in a thread in send. The kernel is
 * queried only for connections that were sent something since everything was acknowledged. An expired connection is
 * reset in place: its worker sees an error and hands it back like any other, and main, which alone closes descriptors,
 * closes it.
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
const LOOKS_PER_TIMEOUT = 4;

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
  return Math.max(MIN_CHECK_MS, Math.min(BLOCKING_TIMEOUT_MS, MAX_CHECK_MS, shortest / LOOKS_PER_TIMEOUT));
}

/** The number of checks in which all connections are looked at. */
function checksPerSweep({ socketTimeoutMs, writeTimeoutMs }: TimeoutOptions, intervalMs: number): number {
  const shortest = Math.min(...[socketTimeoutMs, writeTimeoutMs].filter((ms) => ms > 0));
  return shortest === Infinity ? 1 : Math.max(1, Math.floor(shortest / LOOKS_PER_TIMEOUT / intervalMs));
}

/** State of a connection that makes no progress. */
interface Stall {
  connection: OpenConnection;
  progress: number;
  sinceMs: number;
}

/** By descriptor, the longest first: one that makes progress moves to the end. May be of closed connections. */
type Stalls = Map<number, Stall>;

export class Timeouts {
  private readonly shared: SharedState;
  private readonly connections: Connections;
  private readonly options: TimeoutOptions;
  /** Whether connections may wait for a thread; a waiting one is not silent by its own fault. */
  private readonly queues: boolean;
  /** Connections whose peers have bytes to acknowledge, and the others. */
  private readonly owing: Stalls = new Map();
  private readonly silent: Stalls = new Map();
  /** Bytes sent to all connections, at the last check. */
  private sentBytes = -1;
  private readonly intervalMs: number;
  private readonly checksPerSweep: number;
  private checks = 0;
  /** Checks until all connections have been looked at since something was sent. */
  private checksLeft = 0;
  private readonly time: RunningTime;
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, connections: Connections, options: TimeoutOptions, queues: boolean) {
    this.shared = shared;
    this.connections = connections;
    this.options = options;
    this.queues = queues;
    this.intervalMs = checkIntervalMs(options);
    this.checksPerSweep = checksPerSweep(options, this.intervalMs);
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
    this.owing.clear();
    this.silent.clear();
  }

  /** Resets expired connections. Free while nothing is sent or owed and silence is allowed. */
  check(nowMs: number): void {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    if (socketTimeoutMs === 0 && writeTimeoutMs === 0) return;
    const sentBytes = workerTotals(this.shared).bytesOut;
    if (sentBytes !== this.sentBytes) this.checksLeft = this.checksPerSweep;
    this.sentBytes = sentBytes;
    const mayHaveStalled = socketTimeoutMs > 0 || this.owing.size > 0 || this.checksLeft > 0;
    if (this.checksLeft > 0) this.checksLeft--;
    const part = this.checks++ % this.checksPerSweep;
    if (mayHaveStalled)
      for (const connection of this.connections.all(part, this.checksPerSweep))
        this.checkOne(connection, nowMs);
    for (const owed of [true, false]) this.checkDue(owed, nowMs);
  }

  private checkDue(owed: boolean, nowMs: number): void {
    const stalls = this.stalls(owed);
    for (const [fd, { connection, sinceMs }] of stalls) {
      if (nowMs - sinceMs < this.limitMs(owed)) break;
      if (this.connections.isOpen(connection)) this.checkOne(connection, nowMs);
      else stalls.delete(fd);
    }
  }

  private stalls(owed: boolean): Stalls {
    return owed ? this.owing : this.silent;
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
    this.stalls(!owed).delete(fd);
    const stalls = this.stalls(owed);
    const stall = stalls.get(fd);
    if (queued || inHandler || limitMs === 0) {
      stalls.delete(fd);
      return;
    }
    // Bytes acknowledged: the kernel buffers megabytes, so a slow reader's acknowledgements move long before bytesOut.
    const progress = owed ? bytesOut - unacknowledged : bytesIn + bytesOut;
    if (stall?.connection !== connection || stall.progress !== progress) {
      stalls.delete(fd); // to the end
      stalls.set(fd, { connection, progress, sinceMs: nowMs });
    } else if (nowMs - stall.sinceMs >= limitMs) {
      stalls.delete(fd);
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
