/**
 * The connections that are open, and their descriptors. Main thread only.
 *
 * It owns every accepted descriptor from the accept to the close; workers borrow them and hand them back
 * through completions.ts. A number is closed here and nowhere else, so it cannot be reused while somebody
 * may still touch it.
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

/** The peer must not take these for an end in order. */
const RESET = new Set<CloseName>(['spillLimit', 'workerDied', 'writeTimeout', 'socketTimeout']);

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
  private readonly open = new Set<number>();
  private lastId = 0;
  private admittedCount = 0;
  /** Connections that main has ended, until they come back: why. */
  private readonly condemned = new Map<number, CloseName>();
  readonly closedBy: Record<CloseName, number> = {
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

  /** `services` is the number of services that the connections take turns with, `userTimeoutMs` the sockets' own. */
  constructor(shared: SharedState, services: number, userTimeoutMs: number) {
    this.shared = shared;
    this.services = services;
    this.userTimeoutMs = userTimeoutMs;
  }

  /** Connections open now. */
  get size(): number {
    return this.open.size;
  }

  /** Connections kept since the start: open ones, ended ones, and those that were rejected later. Never falls. */
  get admitted(): number {
    return this.admittedCount;
  }

  /** Takes ownership of an accepted descriptor and prepares its words. Returns its connection id. */
  admit(fd: number): number {
    const { shared } = this;
    const id = ++this.lastId;
    this.open.add(fd);
    shared.conns.fill(0, shared.connWord(fd, 0), shared.connWord(fd + 1, 0));
    shared.connDoubles[shared.connDouble(fd, CONN_ID)] = id;
    if (isDispatchMeasured(id)) shared.conns[shared.connWord(fd, ACCEPTED_US)] = momentUs();
    if (this.services > 0) shared.conns[shared.connWord(fd, SERVICE)] = (id - 1) % this.services;
    return id;
  }

  /** A thread, a worklist or the queue has taken the connection just admitted: only now it counts as admitted. */
  keep(): void {
    this.admittedCount++;
  }

  /** Resets an admitted connection that no thread has: nobody took it, or it has waited for too long. */
  reject(fd: number): void {
    this.open.delete(fd);
    resetAndClose(fd);
  }

  has(fd: number): boolean {
    return this.open.has(fd);
  }

  /** The connection that has this descriptor now, null when none. */
  idOf(fd: number): number | null {
    return this.open.has(fd)
      ? (this.shared.connDoubles[this.shared.connDouble(fd, CONN_ID)] as number)
      : null;
  }

  /** Main is about to end this connection: whatever its worker says of it, this is why. */
  condemn(fd: number, reason: CloseName): void {
    this.condemned.set(fd, reason);
  }

  isCondemned(fd: number): boolean {
    return this.condemned.has(fd);
  }

  private nameOf(fd: number, reason: CloseReason, errno: number): CloseName {
    const condemnedFor = this.condemned.get(fd);
    this.condemned.delete(fd);
    if (reason === CloseReason.Cut || reason === CloseReason.WorkerDied) return CLOSE_NAMES[reason];
    if (condemnedFor !== undefined) return condemnedFor;
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
  close(fd: number, reason: CloseReason, errno: number): ClosedConnection {
    const { shared } = this;
    const double = (word: number) => shared.connDoubles[shared.connDouble(fd, word)] as number;
    const name = this.nameOf(fd, reason, errno);
    const closed: ClosedConnection = {
      id: double(CONN_ID),
      reason: name,
      code: name === 'error' ? errnoName(errno) : undefined,
      bytesIn: double(CONN_BYTES_IN),
      bytesOut: double(CONN_BYTES_OUT),
      echoes: double(CONN_ECHOES),
    };
    this.open.delete(fd);
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
    for (const fd of this.open) if (!isUnanswered(fd)) shutdownBoth(fd);
  }

  /** The open descriptors; they may be closed while they are walked. */
  descriptors(): Iterable<number> {
    return this.open;
  }
}
