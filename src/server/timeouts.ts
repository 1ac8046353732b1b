/**
 * Dead, silent and stuck peers: what the kernel is asked to notice, and what is noticed here.
 *
 * Main thread only. It owns one timer. The kernel finds peers that are gone (keepalive, TCP_USER_TIMEOUT) and
 * fails their connection with ETIMEDOUT. Peers that are there but take nothing, or say nothing, are found by
 * comparing their counters from look to look, so the echo path pays nothing for it; a timeout is therefore noticed up to
 * two looks late. What a peer has not taken is what its kernel has not acknowledged, wherever it waits: in our kernel, in
 * a spill, or in a thread that is in send. The kernel is asked only for connections that were sent something since it had
 * nothing left of them. An expired connection is reset in place: its worker sees an error, hands it back like any other,
 * and main closes it. Nobody but main closes a descriptor.
 */

import { CONN_BYTES_IN, CONN_BYTES_OUT, SERVING, type SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import { workerTotals } from '../pool/roster.ts';
import { RunningTime } from '../sys/clock.ts';
import { resetOrShutDown, unacknowledgedBytes, unreadBytes } from '../sys/connection.ts';
import type { AcceptedOptions } from '../sys/socket.ts';
import type { Connections, OpenConnection } from './connections.ts';

/** How soon a thread in recv or send notices a stop by itself. */
const BLOCKING_TIMEOUT_MS = 1000;
/** Between two looks, at most and at least. */
const MAX_LOOK_MS = 1000;
const MIN_LOOK_MS = 5;
const LOOKS_PER_TIMEOUT = 4;

type TimeoutOptions = Pick<EffectiveOptions, 'socketTimeoutMs' | 'writeTimeoutMs' | 'maxQueueAgeMs'>;

/** What accepted sockets are to have. `blocking`: threads wait in recv. */
export function acceptedOptions(options: EffectiveOptions, blocking: boolean): AcceptedOptions {
  const { keepaliveTimeMs, keepaliveIntervalMs, keepaliveProbes, userTimeoutMs } = options;
  // Whoever waits for a thread is none that a thread waits for: no reason to wake more often.
  const blockingTimeoutMs = blocking ? lookMs({ ...options, maxQueueAgeMs: 0 }) : 0;
  return { blockingTimeoutMs, keepaliveTimeMs, keepaliveIntervalMs, keepaliveProbes, userTimeoutMs };
}

/** How often to look: a few times within the shortest timeout. */
function lookMs({ socketTimeoutMs, writeTimeoutMs, maxQueueAgeMs }: TimeoutOptions): number {
  const shortest = Math.min(...[socketTimeoutMs, writeTimeoutMs, maxQueueAgeMs].filter((ms) => ms > 0));
  return Math.max(MIN_LOOK_MS, Math.min(BLOCKING_TIMEOUT_MS, MAX_LOOK_MS, shortest / LOOKS_PER_TIMEOUT));
}

/** What was seen of a connection that makes no progress. */
interface Stall {
  progress: number;
  /** Whether its peer has bytes to take. */
  owed: boolean;
  sinceMs: number;
}

export class Timeouts {
  private readonly shared: SharedState;
  private readonly connections: Connections;
  private readonly options: TimeoutOptions;
  /** Whether a connection may wait for a thread, and is not silent by its own choice then. */
  private readonly queues: boolean;
  /** The connections that made no progress at the last look. */
  private readonly stalls = new Map<OpenConnection, Stall>();
  /** Bytes sent to all, at the last look. */
  private sentBytes = -1;
  private readonly lookMs: number;
  private readonly time: RunningTime;
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, connections: Connections, options: TimeoutOptions, queues: boolean) {
    this.shared = shared;
    this.connections = connections;
    this.options = options;
    this.queues = queues;
    this.lookMs = lookMs(options);
    this.time = new RunningTime(2 * this.lookMs);
  }

  /** The time that timeouts are measured in: that in which this process ran, in milliseconds. */
  nowMs(): number {
    return this.time.read();
  }

  /** Looks from now on, and calls `also` each time with that time. Keeps no process alive. */
  start(also: (nowMs: number) => void): void {
    this.timer = setInterval(() => {
      const nowMs = this.nowMs();
      also(nowMs);
      this.look(nowMs);
    }, this.lookMs).unref();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.stalls.clear();
  }

  /** Resets what has expired. O(connections), unless nothing was sent since the last look and silence has no limit. */
  look(nowMs: number): void {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    if (socketTimeoutMs === 0 && writeTimeoutMs === 0) return;
    const sentBytes = workerTotals(this.shared).bytesOut;
    const all = socketTimeoutMs > 0 || sentBytes !== this.sentBytes;
    this.sentBytes = sentBytes;
    for (const connection of this.stalls.keys())
      if (!this.connections.isOpen(connection)) this.stalls.delete(connection);
    for (const connection of all ? this.connections.all() : this.stalls.keys())
      this.lookAt(connection, nowMs);
  }

  private lookAt(connection: OpenConnection, nowMs: number): void {
    const { shared } = this;
    const { connDoubles } = shared; // no closures and arrays: there may be 100,000 connections
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
    // What the peer has taken: the kernel has room for megabytes, so a slow reader moves long before bytesOut does.
    const progress = owed ? bytesOut - unacknowledged : bytesIn + bytesOut;
    const stall = this.stalls.get(connection);
    if (stall === undefined || stall.progress !== progress || stall.owed !== owed) {
      this.stalls.set(connection, { progress, owed, sinceMs: nowMs });
    } else if (nowMs - stall.sinceMs >= limitMs) {
      this.stalls.delete(connection);
      // A worker may have received, and not have counted it, when the counters were read.
      const isPeers = isPeersFault(fd, owed);
      const bytesInNow = connDoubles[shared.connDouble(fd, CONN_BYTES_IN)] as number;
      if (isPeers && bytesInNow === bytesIn) this.expire(connection, owed);
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

/** Not so when what it has sent waits for a worker, or when it has taken everything. */
function isPeersFault(fd: number, owed: boolean): boolean {
  return owed ? unacknowledgedBytes(fd) > 0 : unreadBytes(fd) === 0;
}
