/**
 * A connection's path through the server: admitted or refused, lent to the strategy, taken back and closed.
 *
 * Main thread only. It owns the refusal counts and the lingering connections. A descriptor comes from the listener and
 * is closed at once (refused), or after its worker has reported the end or died.
 */
import type { Logger } from 'pino';
import type { Receiver } from '../listener/listener.ts';
import type { Events } from '../log/events.ts';
import { takeDone } from '../memory/completions.ts';
import { CloseReason, type SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { RefusalReason, Strategy } from '../strategy/strategy.ts';
import { afterRunning } from '../sys/clock.ts';
import { resetAndClose } from '../sys/connection.ts';
import { errnoName } from '../sys/libc.ts';
import { decodeSockaddr } from '../sys/sockaddr.ts';
import { isStandard } from '../sys/standard-streams.ts';
import type { Connections, OpenConnection } from './connections.ts';
import { Lingering } from './lingering.ts';
import { PerAddress } from './per-address.ts';
import { type RefusalCounts, Refusals } from './refusals.ts';

export interface AdmissionOptions {
  shared: SharedState;
  options: EffectiveOptions;
  limits: Limits;
  log: Logger;
  events: Events;
  strategy: Strategy;
  connections: Connections;
}

export class Admission implements Receiver {
  private readonly options: AdmissionOptions;
  private readonly connections: Connections;
  private readonly refusals: Refusals;
  private readonly perAddress: PerAddress;
  private readonly lingering: Lingering;
  /** The open connections are being cut: each further close counts as a cut. */
  private cutting = false;
  /** Resolves once no connection is open; made by `whenEmpty`. */
  private emptied: (() => void) | null = null;

  constructor(options: AdmissionOptions) {
    this.options = options;
    this.connections = options.connections;
    const { maxConnectionsPerAddress, ipv6PrefixLength } = options.options;
    this.perAddress = new PerAddress(maxConnectionsPerAddress, ipv6PrefixLength);
    this.lingering = new Lingering((connection, reason, errno) => this.finish(connection, reason, errno));
    this.refusals = new Refusals((refused) => {
      options.log.warn({ refused }, 'connections refused');
      options.events.add('refused', refused);
    });
  }

  /** Refusals since the start. */
  get refused(): RefusalCounts {
    return this.refusals.counts;
  }

  /** Connections handed back but not yet closed. */
  get lingeringCount(): number {
    return this.lingering.size;
  }

  /** Takes ownership of an accepted descriptor. `peer` is its sockaddr, valid until this returns. */
  onConnection(fd: number, peer: Uint8Array): void {
    const { log, strategy } = this.options;
    const addressKey = this.perAddress.keyOf(peer);
    const reason = this.refusal(fd, addressKey);
    if (reason !== null) {
      this.refusals.count(reason);
      resetAndClose(fd);
      return;
    }
    const connection = this.connections.admit(fd, addressKey);
    this.perAddress.add(addressKey);
    if (log.isLevelEnabled('debug')) {
      const { address, port } = decodeSockaddr(peer);
      log.debug(
        { connection: this.connections.idOf(connection), peer: address, peerPort: port },
        'connection',
      );
    }
    const refused = strategy.dispatch(connection);
    if (refused === null) this.connections.keep();
    else this.reject(connection, refused);
  }

  /** Refuses a dispatched connection that has waited too long for a thread. */
  refuse(fd: number, reason: RefusalReason): void {
    const connection = this.connections.get(fd);
    if (connection !== undefined) this.reject(connection, reason);
  }

  private reject(connection: OpenConnection, reason: RefusalReason): void {
    this.refusals.count(reason);
    this.perAddress.remove(connection.addressKey);
    this.connections.reject(connection);
    if (this.connections.size === 0) this.emptied?.();
  }

  private refusal(fd: number, addressKey: string): RefusalReason | null {
    if (fd >= this.options.shared.config.fdLimit || isStandard(fd)) return 'descriptors';
    if (this.lackingRoom(addressKey) === null) return null;
    this.takeFinished(); // may make room
    return this.lackingRoom(addressKey);
  }

  private lackingRoom(addressKey: string): RefusalReason | null {
    if (this.connections.size >= this.options.limits.maxConnections) return 'maxConnections';
    return this.perAddress.hasRoom(addressKey) ? null : 'maxPerAddress';
  }

  /** Closes the connections that workers have reported as ended. */
  takeFinished(): void {
    takeDone(this.options.shared, (fd, reason, errno) => {
      const connection = this.connections.get(fd);
      if (connection?.isLent) this.handedBack(connection, reason, errno);
      // A defect; closing the descriptor would make it worse.
      else this.options.log.error({ fd, reason }, 'a worker reported a connection that is not open');
    });
  }

  private handedBack(connection: OpenConnection, reason: CloseReason, errno: number): void {
    const orderly = reason === CloseReason.Eof && connection.closeName === null;
    connection.isLent = false;
    this.options.strategy.release(connection, orderly);
    const lingers = orderly && !this.cutting && this.lingering.admit(connection);
    if (!lingers) this.finish(connection, reason, errno);
  }

  /** The worker serving this connection has died. False when it had already handed the connection back. */
  lost(fd: number): boolean {
    this.takeFinished(); // the worker may have reported it just before
    const connection = this.connections.get(fd);
    if (!connection?.isLent) return false;
    this.handedBack(connection, CloseReason.WorkerDied, 0);
    return true;
  }

  private finish(connection: OpenConnection, reason: CloseReason, errno: number): void {
    const { log } = this.options;
    this.perAddress.remove(connection.addressKey);
    const name = this.connections.close(connection, this.cutting ? CloseReason.Cut : reason, errno);
    if (log.isLevelEnabled('debug')) {
      const code = name === 'error' ? errnoName(errno) : undefined;
      const figures = this.connections.figuresOf(connection);
      log.debug({ connection: this.connections.idOf(connection), reason: name, code, ...figures }, 'closed');
    }
    if (this.connections.size === 0) this.emptied?.();
  }

  /**
   * Lets the open connections end until `timeoutMs` have passed or `early` resolves; cuts the rest. The listener is
   * closed, so there are no new ones. Returns how many were cut.
   */
  async drain(timeoutMs: number, early: Promise<void>): Promise<number> {
    await this.whenEmpty(timeoutMs, early);
    return this.cut();
  }

  private async whenEmpty(timeoutMs: number, early: Promise<void>): Promise<void> {
    this.takeFinished();
    if (this.connections.size === 0) return;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    this.emptied = resolve;
    const cancel = afterRunning(timeoutMs, resolve);
    await Promise.race([over, early]);
    cancel();
    this.emptied = null;
  }

  /** Ends the open connections: workers hand them back, or `close` closes them. Returns how many there were. */
  private cut(): number {
    this.takeFinished();
    const { size } = this.connections;
    if (size > 0) {
      this.cutting = true;
      this.connections.endAnswered();
      for (const connection of this.lingering.takeAll()) this.finish(connection, CloseReason.Cut, 0); // not lent
    }
    return size;
  }

  /** Takes the last reports and flushes pending log lines. `andDescriptors`: no thread is left, so closes all. */
  close(andDescriptors: boolean): void {
    this.takeFinished();
    this.refusals.close();
    this.lingering.close();
    if (!andDescriptors) return;
    for (const connection of this.connections.all()) this.finish(connection, CloseReason.Cut, 0);
  }
}
