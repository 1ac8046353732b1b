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

/** SIOCOUTQ counts our FIN, too. */
const FIN_BYTES = 1;
/** Between two looks; longer when there are many, so that looking takes at most some 2 % of a processor. */
const LOOK_MS = 20;
const LOOK_MS_PER_CONNECTION = 0.02;

type Done = (fd: number, reason: CloseReason, errno: number) => void;

export class Lingering {
  private readonly fds = new Set<number>();
  private readonly done: Done;
  private timer: NodeJS.Timeout | null = null;

  /** `done` is called for each that is over; it closes the descriptor. */
  constructor(done: Done) {
    this.done = done;
  }

  get size(): number {
    return this.fds.size;
  }

  /** Takes on a connection whose worker has seen its FIN, unless its peer has acknowledged everything. */
  admit(fd: number): boolean {
    if (unacknowledgedBytes(fd) <= FIN_BYTES) return false;
    shutdownBoth(fd); // some threads leave that to main
    this.fds.add(fd);
    this.lookLater();
    return true;
  }

  /** All of them: they are over now, whatever their peers have. */
  takeAll(): number[] {
    const all = [...this.fds];
    this.fds.clear();
    return all;
  }

  private lookLater(): void {
    if (this.timer !== null) return;
    const delayMs = Math.max(LOOK_MS, this.fds.size * LOOK_MS_PER_CONNECTION);
    this.timer = setTimeout(() => {
      this.timer = null;
      try {
        this.look();
      } finally {
        if (this.fds.size > 0) this.lookLater();
      }
    }, delayMs).unref();
  }

  private look(): void {
    for (const fd of this.fds) {
      if (unacknowledgedBytes(fd) <= FIN_BYTES) this.end(fd, CloseReason.Eof, 0);
      else if (isGivenUp(fd)) this.end(fd, CloseReason.Error, pendingError(fd) || E.ECONNRESET);
    }
  }

  private end(fd: number, reason: CloseReason, errno: number): void {
    this.fds.delete(fd);
    this.done(fd, reason, errno);
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.fds.clear();
  }
}
