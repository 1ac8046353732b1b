/**
 * The connections that are open: one record for each, found by its descriptor. Main thread only.
 *
 * It owns every accepted descriptor from the accept to the close; workers borrow them and hand them back
 * through completions.ts. A number is closed here and nowhere else, so it cannot be reused while somebody
 * may still touch it. A record is never reused, so who keeps one can tell whether the connection is still open.
 */

import { isDispatchMeasured, momentUs } from '../memory/latency.ts';
import {
  ACCEPTED_US,
  CloseReason,
  CONN_BYTES_IN,
  CONN_BYTES_OUT,
  CONN_ECHOES,
  CONN_ID,
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
import { E, errnoName } from '../sys/libc.ts';
import { closeFd } from '../sys/socket.ts';

export type CloseName = keyof ServerStats['connections']['closed'];

const CLOSE_NAMES: Record<CloseReason, CloseName> = {
  [CloseReason.Open]: 'eof',
  [CloseReason.Eof]: 'eof',
  [CloseReason.Error]: 'error',
  [CloseReason.SpillLimit]: 'spillLimit',
  [CloseReason.Cut]: 'cut',
  [CloseReason.WorkerDied]: 'workerDied',
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
  };
}

/** The peer must not take these for an end in order. */
const RESET = new Set<CloseName>(['spillLimit', 'workerDied', 'writeTimeout', 'socketTimeout']);

/**
 * What main alone knows of an open connection; the rest, its number included, is in the connection's words (layout.ts).
 * Small, since there may be 100,000.
 */
export class OpenConnection implements Connection {
  readonly fd: number;
  /** What it counts under (per-address.ts). */
  readonly addressKey: string;
  isLent = true;
  pool = 0;
  dispatchedMs = 0;
  /** Set when main is about to end it: whatever its worker says of it, this is why. */
  closeName: CloseName | null = null;
  /** How many bytes had been sent to it when its peer had acknowledged all of them. */
  settledBytes = 0;

  constructor(fd: number, addressKey: string) {
    this.fd = fd;
    this.addressKey = addressKey;
  }
}

/** What is known of a connection that has just been closed. */
export interface ClosedConnection {
  id: number;
  reason: CloseName;
  /** errno by name, when the reason is an error. */
  code: string | undefined;
  bytesIn: number;
  bytesOut: number;
  echoes: number;
}

export class Connections {
  private readonly shared: SharedState;
  private readonly services: number;
  private readonly userTimeoutMs: number;
  /** By descriptor: these are small numbers. */
  private readonly open: (OpenConnection | undefined)[] = [];
  private openCount = 0;
  private lastId = 0;
  private admittedCount = 0;
  readonly closedBy = noCloses();

  /** `services` is the number of services that the connections take turns with, `userTimeoutMs` the sockets' own. */
  constructor(shared: SharedState, services: number, userTimeoutMs: number) {
    this.shared = shared;
    this.services = services;
    this.userTimeoutMs = userTimeoutMs;
  }

  /** Connections open now. */
  get size(): number {
    return this.openCount;
  }

  /** Connections kept since the start: open ones, ended ones, and those that were rejected later. Never falls. */
  get admitted(): number {
    return this.admittedCount;
  }

  /** Takes ownership of an accepted descriptor and prepares its words. */
  admit(fd: number, addressKey: string): OpenConnection {
    const { shared } = this;
    const id = ++this.lastId;
    const connection = new OpenConnection(fd, addressKey);
    this.open[fd] = connection;
    this.openCount++;
    shared.conns.fill(0, shared.connWord(fd, 0), shared.connWord(fd + 1, 0));
    shared.connDoubles[shared.connDouble(fd, CONN_ID)] = id;
    if (isDispatchMeasured(id)) shared.conns[shared.connWord(fd, ACCEPTED_US)] = momentUs();
    if (this.services > 0) shared.conns[shared.connWord(fd, SERVICE)] = (id - 1) % this.services;
    return connection;
  }

  /** A thread, a worklist or the queue has taken the connection just admitted: only now it counts as admitted. */
  keep(): void {
    this.admittedCount++;
  }

  /** Resets an admitted connection that no thread has: nobody took it, or it has waited for too long. */
  reject(connection: OpenConnection): void {
    connection.isLent = false;
    this.remove(connection.fd);
    resetAndClose(connection.fd);
  }

  private remove(fd: number): void {
    this.open[fd] = undefined;
    this.openCount--;
  }

  /** The connection that has this descriptor now. */
  get(fd: number): OpenConnection | undefined {
    return this.open[fd];
  }

  isOpen(connection: OpenConnection): boolean {
    return this.open[connection.fd] === connection;
  }

  /** Its number in the order of accepting, from 1. */
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
   * Whether the kernel may have given the peer up. Node's fs writes on after a part was taken, and keeps to itself what
   * that call said (uv__fs_write_all); the next one says EPIPE, as it also does after a reset (workers/calls-fs.ts).
   */
  private wasGivenUp(fd: number, errno: number): boolean {
    if (errno === E.ETIMEDOUT) return true;
    return errno === E.EPIPE && this.userTimeoutMs > 0 && stuckForMs(fd) >= this.userTimeoutMs;
  }

  /** Closes a connection that no worker can touch any more. With a reset where the peer must not take it for an end. */
  close(connection: OpenConnection, reason: CloseReason, errno: number): ClosedConnection {
    const { shared } = this;
    const { fd } = connection;
    const double = (word: number) => shared.connDoubles[shared.connDouble(fd, word)] as number;
    const name = this.nameOf(connection, reason, errno);
    const closed: ClosedConnection = {
      id: this.idOf(connection),
      reason: name,
      code: name === 'error' ? errnoName(errno) : undefined,
      bytesIn: double(CONN_BYTES_IN),
      bytesOut: double(CONN_BYTES_OUT),
      echoes: double(CONN_ECHOES),
    };
    this.remove(fd);
    this.closedBy[closed.reason]++;
    dropSpill(shared, fd);
    if (RESET.has(name) || (name !== 'eof' && isUnanswered(fd))) resetAndClose(fd);
    else closeFd(fd);
    return closed;
  }

  /**
   * Ends every open connection in which nothing is unanswered, so that a thread in recv sees it. A request that is being
   * answered gets its echo, unless its peer does not take it; what stays unanswered is reset when it is closed.
   */
  endAnswered(): void {
    for (const { fd } of this.all()) if (!isUnanswered(fd)) shutdownBoth(fd);
  }

  /** The open connections; they may be closed while they are walked. */
  *all(): Iterable<OpenConnection> {
    for (const connection of this.open) if (connection !== undefined) yield connection;
  }
}
