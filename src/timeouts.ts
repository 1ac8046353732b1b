/**
 * Dead, silent and stuck peers: what the kernel is asked to notice, and what is noticed here.
 *
 * Main thread only. It owns one timer. The kernel finds peers that are gone (keepalive, TCP_USER_TIMEOUT) and
 * fails their connection with ETIMEDOUT. Peers that are there but take nothing, or say nothing, are found by
 * comparing their counters from look to look, so the echo path pays nothing for it. A timeout is therefore noticed late:
 * by up to two looks, and by one more where a thread in send must notice first that it waits. An expired connection is
 * reset in place: its worker sees an error, hands it back like any other, and main closes it. Nobody but main closes a
 * descriptor.
 */
import type { Connections } from './connections.ts';
import type { EffectiveOptions } from './options.ts';
import {
  CONN_BYTES_IN,
  CONN_BYTES_OUT,
  CONN_ID,
  SERVING,
  Serving,
  type SharedState,
  SPILL,
  SPILLS_USED,
} from './shared/layout.ts';
import { monotonicMs } from './sys/clock.ts';
import {
  type AcceptedOptions,
  resetConnection,
  shutdownBoth,
  unacknowledgedBytes,
  unreadBytes,
} from './sys/socket.ts';

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

/** A connection that made no progress at the last look. */
interface Sighting {
  id: number;
  progress: number;
  waits: boolean;
  sinceMs: number;
}

export class Timeouts {
  private readonly shared: SharedState;
  private readonly connections: Connections;
  private readonly options: TimeoutOptions;
  /** Whether a connection may wait for a thread, and is not silent by its own choice then. */
  private readonly queues: boolean;
  private readonly sightings = new Map<number, Sighting>();
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, connections: Connections, options: TimeoutOptions, queues: boolean) {
    this.shared = shared;
    this.connections = connections;
    this.options = options;
    this.queues = queues;
  }

  /** Looks from now on, and calls `also` each time with the monotonic clock. Keeps no process alive. */
  start(also: (nowMs: number) => void): void {
    this.timer = setInterval(() => {
      const nowMs = monotonicMs();
      also(nowMs);
      this.look(nowMs);
    }, lookMs(this.options)).unref();
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.sightings.clear();
  }

  /** Resets what has expired. O(connections), but for the usual case that there is nothing to look for. */
  look(nowMs: number): void {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    if (socketTimeoutMs === 0 && (writeTimeoutMs === 0 || this.nobodyWaits())) {
      this.sightings.clear();
      return;
    }
    for (const fd of this.connections.descriptors()) this.lookAt(fd, nowMs);
    for (const [fd, { id }] of this.sightings)
      if (this.connections.idOf(fd) !== id) this.sightings.delete(fd);
  }

  /** Under cmwq the number of spills tells; elsewhere every connection must be asked. */
  private nobodyWaits(): boolean {
    return !this.queues && Atomics.load(this.shared.words, SPILLS_USED) === 0;
  }

  private lookAt(fd: number, nowMs: number): void {
    const { shared } = this;
    const serving = shared.conns[shared.connWord(fd, SERVING)] as number;
    const waits = serving === Serving.waits || shared.conns[shared.connWord(fd, SPILL)] !== 0;
    const bytesIn = shared.connDoubles[shared.connDouble(fd, CONN_BYTES_IN)] as number;
    const bytesOut = shared.connDoubles[shared.connDouble(fd, CONN_BYTES_OUT)] as number;
    const queued = this.queues && serving === Serving.notYet;
    const inHandler = !waits && bytesOut < bytesIn;
    const limitMs = this.limitMs(waits);
    if (queued || inHandler || limitMs === 0) {
      this.sightings.delete(fd);
      return;
    }
    // What the peer has taken: the kernel has room for megabytes, so a slow reader moves long before bytesOut does.
    const progress = waits ? bytesOut - unacknowledgedBytes(fd) : bytesIn + bytesOut;
    const id = shared.connDoubles[shared.connDouble(fd, CONN_ID)] as number;
    const seen = this.sightings.get(fd);
    if (seen === undefined || seen.id !== id || seen.progress !== progress || seen.waits !== waits) {
      this.sightings.set(fd, { id, progress, waits, sinceMs: nowMs });
    } else if (nowMs - seen.sinceMs >= limitMs) {
      this.sightings.delete(fd);
      if (isPeersFault(fd, waits)) this.expire(fd, waits);
    }
  }

  private limitMs(waits: boolean): number {
    const { socketTimeoutMs, writeTimeoutMs } = this.options;
    return waits && writeTimeoutMs > 0 ? writeTimeoutMs : socketTimeoutMs;
  }

  private expire(fd: number, waits: boolean): void {
    this.connections.condemn(fd, waits && this.options.writeTimeoutMs > 0 ? 'writeTimeout' : 'socketTimeout');
    // Some kernels (6.3 to 6.6) do not reset a socket in which a thread waits; then it ends in order.
    if (!resetConnection(fd)) shutdownBoth(fd);
  }
}

/** Not so when what it has sent waits for a worker, or when it has taken everything and the rest of its echo does. */
function isPeersFault(fd: number, waits: boolean): boolean {
  return waits ? unacknowledgedBytes(fd) > 0 : unreadBytes(fd) === 0;
}
