/**
 * Connections that have ended in order while their peers have not acknowledged all of the echo: they stay open until
 * they have. A closed socket's unsent bytes belong to the kernel alone, megabytes for each, and no limit counts them;
 * an open one still counts, and the write timeout finds it.
 *
 * Main thread only. It owns one timer, which runs while there is such a connection; the descriptors are the
 * connections'. The kernel notifies nobody of an acknowledgement, so the sockets are asked.
 */
import { CloseReason } from '../memory/layout.ts';
import { isGivenUp, pendingError, shutdownBoth, unacknowledgedBytes } from '../sys/connection.ts';
import { E } from '../sys/libc.ts';
import type { OpenConnection } from './connections.ts';

/** SIOCOUTQ counts our FIN, too. */
const FIN_BYTES = 1;
/** Between two looks; longer when there are many, so that looking takes at most some 2 % of a processor. */
const LOOK_MS = 20;
const LOOK_MS_PER_CONNECTION = 0.02;

type Done = (connection: OpenConnection, reason: CloseReason, errno: number) => void;

export class Lingering {
  private readonly waiting = new Set<OpenConnection>();
  private readonly done: Done;
  private timer: NodeJS.Timeout | null = null;

  /** `done` is called for each that is over; it closes the connection. */
  constructor(done: Done) {
    this.done = done;
  }

  get size(): number {
    return this.waiting.size;
  }

  /** Takes on a connection whose worker has seen its FIN, unless its peer has acknowledged everything. */
  admit(connection: OpenConnection): boolean {
    if (unacknowledgedBytes(connection.fd) <= FIN_BYTES) return false;
    shutdownBoth(connection.fd); // some threads leave that to main
    this.waiting.add(connection);
    this.lookLater();
    return true;
  }

  /** All of them: they are over now, whatever their peers have. */
  takeAll(): OpenConnection[] {
    const all = [...this.waiting];
    this.waiting.clear();
    return all;
  }

  private lookLater(): void {
    if (this.timer !== null) return;
    const delayMs = Math.max(LOOK_MS, this.waiting.size * LOOK_MS_PER_CONNECTION);
    this.timer = setTimeout(() => {
      this.timer = null;
      try {
        this.look();
      } finally {
        if (this.waiting.size > 0) this.lookLater();
      }
    }, delayMs).unref();
  }

  private look(): void {
    for (const connection of this.waiting) {
      const { fd } = connection;
      if (unacknowledgedBytes(fd) <= FIN_BYTES) this.end(connection, CloseReason.Eof, 0);
      else if (isGivenUp(fd)) this.end(connection, CloseReason.Error, pendingError(fd) || E.ECONNRESET);
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
