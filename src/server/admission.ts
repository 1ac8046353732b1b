/**
 * The way of a connection through the server: admitted or refused, lent to the strategy, taken back and closed.
 *
 * Main thread only. It owns the open connections and the counts of refused ones. The descriptor comes from the
 * listener and is closed here at once (refused), or when a worker has reported it or has died in it.
 */
import type { Logger } from 'pino';
import type { Events } from '../log/events.ts';
import { takeDone } from '../memory/completions.ts';
import { CloseReason, type SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { RefusalReason, Strategy } from '../strategy/strategy.ts';
import { afterRunning } from '../sys/clock.ts';
import { resetAndClose } from '../sys/connection.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { isStandard } from '../sys/standard-streams.ts';
import { Connections } from './connections.ts';
import { Lingering } from './lingering.ts';
import { PerAddress } from './per-address.ts';
import { type RefusalCounts, Refusals } from './refusals.ts';

export interface AdmissionOptions {
  shared: SharedState;
  options: EffectiveOptions;
  limits: Limits;
  log: Logger;
  events: Events;
  /** Null before the start. */
  strategy: () => Strategy | null;
  /** Of the connection accepted last. */
  peerAddress: () => SocketAddress;
  /** Connections that come at another time are refused. */
  isListening: () => boolean;
}

export class Admission {
  readonly connections: Connections;
  private readonly options: AdmissionOptions;
  private readonly refusals: Refusals;
  private readonly perAddress: PerAddress;
  /** Handed back, and not yet closed. */
  readonly lingering = new Lingering((fd, reason, errno) => this.finish(fd, reason, errno));
  /** Set when the open connections are being cut: what ends from now on has not ended by itself. */
  private cutting = false;
  /** Resolves once no connection is open; made by `whenEmpty`. */
  private emptied: (() => void) | null = null;

  constructor(options: AdmissionOptions) {
    this.options = options;
    const { service, userTimeoutMs, maxConnectionsPerAddress, ipv6PrefixLength } = options.options;
    this.connections = new Connections(options.shared, service.length, userTimeoutMs);
    this.perAddress = new PerAddress(maxConnectionsPerAddress, ipv6PrefixLength);
    this.refusals = new Refusals((refused) => {
      options.log.warn({ refused }, 'connections are refused');
      options.events.add('refused', refused);
    });
  }

  /** Refused since the start. */
  get refused(): RefusalCounts {
    return this.refusals.counts;
  }

  /** Takes ownership of a descriptor that has just been accepted. */
  accepted(fd: number): void {
    const { log, peerAddress, strategy } = this.options;
    const reason = this.refusal(fd);
    if (reason !== null) {
      this.refusals.count(reason);
      resetAndClose(fd);
      return;
    }
    const id = this.connections.admit(fd);
    if (log.isLevelEnabled('debug')) {
      const { address, port } = peerAddress();
      log.debug({ connection: id, peer: address, peerPort: port }, 'connection');
    }
    const refused = strategy()?.dispatch(fd) ?? null;
    if (refused === null) this.connections.keep();
    else this.refuse(fd, refused);
  }

  /** Resets a connection that was admitted and that no thread has begun with. */
  refuse(fd: number, reason: RefusalReason): void {
    this.refusals.count(reason);
    this.perAddress.release(fd);
    this.connections.reject(fd);
    if (this.connections.size === 0) this.emptied?.();
  }

  private refusal(fd: number): RefusalReason | null {
    const { isListening, shared, limits } = this.options;
    if (!isListening()) return 'draining';
    if (fd >= shared.config.fdLimit || isStandard(fd)) return 'descriptors';
    if (this.connections.size >= limits.maxConnections) {
      this.takeFinished(); // some may have ended already
      if (this.connections.size >= limits.maxConnections) return 'maxConnections';
    }
    return this.isOneTooMany(fd) ? 'maxPerAddress' : null;
  }

  private isOneTooMany(fd: number): boolean {
    if (!this.perAddress.isOn) return false;
    const { address } = this.options.peerAddress();
    if (this.perAddress.admit(fd, address)) return false;
    this.takeFinished();
    return !this.perAddress.admit(fd, address);
  }

  /** Closes what workers have reported as ended. */
  takeFinished(): void {
    takeDone(this.options.shared, (fd, reason, errno) => this.handedBack(fd, reason, errno));
  }

  private handedBack(fd: number, reason: CloseReason, errno: number): void {
    if (!this.connections.has(fd)) {
      this.options.log.error({ fd, reason }, 'a connection ended that is not open'); // a defect; closing it would be worse
      return;
    }
    const inOrder = reason === CloseReason.Eof && !this.connections.isCondemned(fd);
    this.options.strategy()?.release(fd, inOrder);
    const lingers = inOrder && !this.cutting && this.lingering.admit(fd);
    if (!lingers) this.finish(fd, reason, errno);
  }

  /** The worker that was in this connection has died. */
  lost(fd: number): void {
    this.takeFinished(); // it may have reported it just before
    if (this.connections.has(fd)) this.handedBack(fd, CloseReason.WorkerDied, 0);
  }

  private finish(fd: number, reason: CloseReason, errno: number): void {
    const { log } = this.options;
    this.perAddress.release(fd);
    const closed = this.connections.close(fd, this.cutting ? CloseReason.Cut : reason, errno);
    if (log.isLevelEnabled('debug')) {
      const { id, ...rest } = closed;
      log.debug({ connection: id, ...rest }, 'closed');
    }
    if (this.connections.size === 0) this.emptied?.();
  }

  /** Resolves when no connection is open, after `timeoutMs`, or when `early` resolves. */
  async whenEmpty(timeoutMs: number, early: Promise<void>): Promise<void> {
    this.takeFinished();
    if (this.connections.size === 0) return;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    this.emptied = resolve;
    const cancel = afterRunning(timeoutMs, resolve);
    await Promise.race([over, early]);
    cancel();
    this.emptied = null;
  }

  /** Ends what is open: workers hand it back, or it is closed when they have ended. Returns how many there were. */
  cut(): number {
    this.takeFinished();
    const { size } = this.connections;
    if (size > 0) {
      this.cutting = true;
      this.connections.endAnswered();
      for (const fd of this.lingering.takeAll()) this.finish(fd, CloseReason.Cut, 0); // no worker has them
    }
    return size;
  }

  /** Takes the last reports and flushes pending log lines. `andDescriptors`: closes all, no thread is left. */
  close(andDescriptors: boolean): void {
    this.takeFinished();
    this.refusals.close();
    this.lingering.close();
    if (andDescriptors) for (const fd of this.connections.descriptors()) this.finish(fd, CloseReason.Cut, 0);
  }
}
