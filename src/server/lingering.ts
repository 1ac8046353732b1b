/**
 * Connections that ended in order but whose peers have not yet acknowledged the whole echo: they stay open until then.
 * After close(2) the unsent bytes, up to megabytes per socket, would escape every limit; while open, the connection
 * counts and the write timeout applies.
 *
 * Main thread only. It owns one timer, which runs while a connection lingers; the descriptors belong to the
 * connections. The kernel does not report acknowledgements, so the sockets are polled.
 */
import { CloseReason } from '../memory/layout.ts';
import { isGivenUp, pendingError, shutdownBoth, unacknowledgedBytes } from '../sys/connection.ts';
import { E } from '../sys/libc.ts';
import type { OpenConnection } from './connections.ts';

/** SIOCOUTQ counts our FIN, too. */
const FIN_BYTES = 1;
/** Between two polls; longer with many connections, so that polling takes at most some 2 % of a processor. */
const POLL_MS = 20;
const POLL_MS_PER_CONNECTION = 0.02;

type Done = (connection: OpenConnection, reason: CloseReason, errno: number) => void;

export class Lingering {
  private readonly waiting = new Set<OpenConnection>();
  private readonly done: Done;
  private timer: NodeJS.Timeout | null = null;

  /** `done` is called when a connection need not linger any longer, and closes it. */
  constructor(done: Done) {
    this.done = done;
  }

  get size(): number {
    return this.waiting.size;
  }

  /** Takes a connection whose worker has received the FIN, unless the peer has acknowledged everything. */
  admit(connection: OpenConnection): boolean {
    if (unacknowledgedBytes(connection.fd) <= FIN_BYTES) return false;
    shutdownBoth(connection.fd); // the fs calls leave that to main
    this.waiting.add(connection);
    this.pollLater();
    return true;
  }

  /** Removes and returns all of them, acknowledged or not. */
  takeAll(): OpenConnection[] {
    const all = [...this.waiting];
    this.waiting.clear();
    return all;
  }

  private pollLater(): void {
    if (this.timer !== null) return;
    const delayMs = Math.max(POLL_MS, this.waiting.size * POLL_MS_PER_CONNECTION);
    this.timer = setTimeout(() => {
      this.timer = null;
      try {
        this.poll();
      } finally {
        if (this.waiting.size > 0) this.pollLater();
      }
    }, delayMs).unref();
  }

  private poll(): void {
    for (const connection of this.waiting) {
      const { fd } = connection;
      // The state first: it is final, whereas the last acknowledgement, which closes the connection in order, may
      // arrive between the two queries.
      const isOver = isGivenUp(fd);
      if (unacknowledgedBytes(fd) <= FIN_BYTES) this.end(connection, CloseReason.Eof, 0);
      else if (isOver) this.end(connection, CloseReason.Error, pendingError(fd) || E.ECONNRESET);
    }
  }

  private end(connection: OpenConnection, reason: CloseReason, errno: number): void {
    this.waiting.delete(connection);
    this.done(connection, reason, errno);
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.waiting.clear();
  }
}
