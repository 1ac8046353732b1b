/**
 * The open connections: one record each, found by descriptor. Main thread only.
 *
 * It owns every accepted descriptor from accept to close; workers borrow them and hand them back through
 * completions.ts. Descriptors are closed only here, so a number cannot be reused while a worker may still use it.
 * Records are never reused, so a holder of one can tell whether its connection is still open.
 */

import { isDispatchMeasured, momentUs } from '../memory/latency.ts';
import {
  ACCEPTED_US,
  CloseReason,
  CONN_BYTES_IN,
  CONN_BYTES_OUT,
  CONN_ECHOES,
  CONN_ID,
  CONNECTIONS_HIGH,
  SERVICE,
  type SharedState,
} from '../memory/layout.ts';
import { dropSpill } from '../memory/spill.ts';
import type { ServerStats } from '../schema/status.ts';
import type { Connection } from '../strategy/strategy.ts';
import {
  isUnanswered,
  resetAndClose,
  shutdownBoth,
  stuckForMs,
  unacknowledgedBytes,
} from '../sys/connection.ts';
import { E } from '../sys/libc.ts';
import { closeFd } from '../sys/socket.ts';

export type CloseName = keyof ServerStats['connections']['closed'];

const CLOSE_NAMES: Record<CloseReason, CloseName> = {
  [CloseReason.Open]: 'eof',
  [CloseReason.Eof]: 'eof',
  [CloseReason.Error]: 'error',
  [CloseReason.SpillLimit]: 'spillLimit',
  [CloseReason.Cut]: 'cut',
  [CloseReason.WorkerDied]: 'workerDied',
  [CloseReason.HandlerError]: 'handlerError',
};

export function noCloses(): Record<CloseName, number> {
  return {
    eof: 0,
    error: 0,
    keepalive: 0,
    userTimeout: 0,
    writeTimeout: 0,
    socketTimeout: 0,
    spillLimit: 0,
    cut: 0,
    workerDied: 0,
    handlerError: 0,
  };
}

/** The peer must not mistake these for an orderly end. */
const RESET = new Set<CloseName>([
  'spillLimit',
  'workerDied',
  'handlerError',
  'writeTimeout',
  'socketTimeout',
]);

/**
 * What only main knows of an open connection; the rest, including its id, is in the connection's words (layout.ts).
 * Kept small: there may be 100,000.
 */
export class OpenConnection implements Connection {
  readonly fd: number;
  /** The key that it counts under (per-address.ts). */
  readonly addressKey: string;
  isLent = true;
  dispatchedMs = 0;
  /** Set when main ends it; overrides the reason that its worker reports. */
  closeName: CloseName | null = null;
  /** Bytes sent when the peer had last acknowledged all of them. */
  settledBytes = 0;

  constructor(fd: number, addressKey: string) {
    this.fd = fd;
    this.addressKey = addressKey;
  }
}

/** What a connection has sent and received. */
export interface ConnectionFigures {
  bytesIn: number;
  bytesOut: number;
  echoes: number;
}

export class Connections {
  private readonly shared: SharedState;
  private readonly services: number;
  private readonly userTimeoutMs: number;
  /** Indexed by descriptor; descriptors are small numbers. */
  private readonly open: (OpenConnection | undefined)[] = [];
  private openCount = 0;
  private lastId = 0;
  private admittedCount = 0;
  readonly closedBy = noCloses();

  /** `services`: number of services, assigned in rotation. `userTimeoutMs`: the sockets' TCP_USER_TIMEOUT. */
  constructor(shared: SharedState, services: number, userTimeoutMs: number) {
    this.shared = shared;
    this.services = services;
    this.userTimeoutMs = userTimeoutMs;
  }

  /** Connections open now. */
  get size(): number {
    return this.openCount;
  }

  /** Connections kept since the start: open, ended, and later rejected ones. Never falls. */
  get admitted(): number {
    return this.admittedCount;
  }

  /** Takes ownership of an accepted descriptor and initializes its words. */
  admit(fd: number, addressKey: string): OpenConnection {
    const { shared } = this;
    const id = ++this.lastId;
    const connection = new OpenConnection(fd, addressKey);
    this.open[fd] = connection;
    this.openCount++;
    shared.conns.fill(0, shared.connWord(fd, 0), shared.connWord(fd + 1, 0));
    shared.connDoubles[shared.connDouble(fd, CONN_ID)] = id;
    if (fd > Atomics.load(shared.words, CONNECTIONS_HIGH)) Atomics.store(shared.words, CONNECTIONS_HIGH, fd);
    if (isDispatchMeasured(id)) shared.conns[shared.connWord(fd, ACCEPTED_US)] = momentUs();
    if (this.services > 0) shared.conns[shared.connWord(fd, SERVICE)] = (id - 1) % this.services;
    return connection;
  }

  /** Counts the connection just admitted, once a thread, a worklist or the queue has taken it. */
  keep(): void {
    this.admittedCount++;
  }

  /** Resets an admitted connection that has no thread: the strategy refused it, or it waited too long. */
  reject(connection: OpenConnection): void {
    connection.isLent = false;
    this.remove(connection.fd);
    resetAndClose(connection.fd);
  }

  private remove(fd: number): void {
    this.open[fd] = undefined;
    this.openCount--;
  }

  /** The connection that currently has this descriptor. */
  get(fd: number): OpenConnection | undefined {
    return this.open[fd];
  }

  isOpen(connection: OpenConnection): boolean {
    return this.open[connection.fd] === connection;
  }

  /** Its number in accept order, from 1. */
  idOf({ fd }: OpenConnection): number {
    return this.shared.connDoubles[this.shared.connDouble(fd, CONN_ID)] as number;
  }

  private nameOf({ fd, closeName }: OpenConnection, reason: CloseReason, errno: number): CloseName {
    if (reason === CloseReason.Cut || reason === CloseReason.WorkerDied) return CLOSE_NAMES[reason];
    if (closeName !== null) return closeName;
    if (reason !== CloseReason.Error || !this.wasGivenUp(fd, errno)) return CLOSE_NAMES[reason];
    if (unacknowledgedBytes(fd) > 0) return 'userTimeout';
    return errno === E.ETIMEDOUT ? 'keepalive' : 'error';
  }

  /**
   * Whether the kernel may have given up on the peer. After a partial write Node's fs writes the rest and drops that
   * call's error (uv__fs_write_all); the next call fails with EPIPE, as it does after a reset (workers/calls-fs.ts).
   */
  private wasGivenUp(fd: number, errno: number): boolean {
    if (errno === E.ETIMEDOUT) return true;
    return errno === E.EPIPE && this.userTimeoutMs > 0 && stuckForMs(fd) >= this.userTimeoutMs;
  }

  /** Closes a connection that no worker can use any more; with a reset where its echo is incomplete. Returns why. */
  close(connection: OpenConnection, reason: CloseReason, errno: number): CloseName {
    const { fd } = connection;
    const name = this.nameOf(connection, reason, errno);
    this.remove(fd);
    this.closedBy[name]++;
    dropSpill(this.shared, fd);
    if (RESET.has(name) || (name !== 'eof' && isUnanswered(fd))) resetAndClose(fd);
    else closeFd(fd);
    return name;
  }

  /** Valid until another connection is admitted, so also just after the close. */
  figuresOf({ fd }: OpenConnection): ConnectionFigures {
    const double = (word: number) => this.shared.connDoubles[this.shared.connDouble(fd, word)] as number;
    return {
      bytesIn: double(CONN_BYTES_IN),
      bytesOut: double(CONN_BYTES_OUT),
      echoes: double(CONN_ECHOES),
    };
  }

  /**
   * Shuts down every open connection without an unanswered request, which wakes a thread in recv. A request in progress
   * still gets its echo if the peer takes it; what stays unanswered is reset on close.
   */
  endAnswered(): void {
    for (const { fd } of this.all()) if (!isUnanswered(fd)) shutdownBoth(fd);
  }

  /** The open connections, or one of `parts` parts of them; they may be closed during the iteration. */
  *all(part = 0, parts = 1): Iterable<OpenConnection> {
    for (let fd = part; fd < this.open.length; fd += parts) {
      const connection = this.open[fd];
      if (connection !== undefined) yield connection;
    }
  }
}
