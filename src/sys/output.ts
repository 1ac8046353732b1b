/**
 * Writing to descriptors of any kind without waiting: what the log needs of poll(2) and write(2).
 *
 * Standard output may be a file, a terminal, a pipe or a socket, and is shared with whoever started the
 * program. So it is asked before every write instead of being made non-blocking for good, which would change it
 * for the others too (O_NONBLOCK belongs to the open file, not to the descriptor; fcntl(2)).
 */
import { isatty } from 'node:tty';
import { E, errno, F_GETFL, F_SETFL, libc, O_NONBLOCK } from './libc.ts';

const POLLOUT = 0x4;
const POLLERR = 0x8;
const POLLHUP = 0x10;
const POLLNVAL = 0x20;

/** A pipe that polls writable takes this many bytes at once, all of them or none (PIPE_BUF, pipe(7)). */
export const PIPE_BUF = 4096;

// struct pollfd: int fd; short events; short revents.
const pollfd = new Int32Array(2);
const events = new Int16Array(pollfd.buffer, 4, 2);

/**
 * Whether a write of at most PIPE_BUF bytes to a pipe, socket or file returns at once: because there is room, or
 * with an error. Not so if another process that writes to the same blocking pipe takes the room in between.
 */
function isWritable(fd: number): boolean {
  pollfd[0] = fd;
  events[0] = POLLOUT;
  if (libc.poll(pollfd, 1, 0) <= 0) return false;
  return ((events[1] ?? 0) & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) !== 0;
}

/** A descriptor that is written to without waiting. */
export interface Output {
  /** Whether a write of at most PIPE_BUF bytes is worth trying: there is room, or an error to learn of. */
  isWritable(): boolean;
  /** Writes what fits of `bytes`, at most PIPE_BUF: their count, or errno as a negative number. */
  write(bytes: Uint8Array): number;
}

export function outputTo(fd: number): Output {
  const write = isatty(fd) ? writeToTerminal : writeTo;
  return { isWritable: () => isWritable(fd), write: (bytes) => write(fd, bytes) };
}

function writeTo(fd: number, bytes: Uint8Array): number {
  for (;;) {
    const written = libc.write(fd, bytes, bytes.length);
    if (written >= 0) return written;
    const number = errno();
    if (number !== E.EINTR) return -number;
  }
}

/**
 * A terminal polls writable with room for a single byte, and a blocking write would wait for the rest. So it is
 * non-blocking while it is written to. Others hardly see that: asking for process.stdout.isTTY has made Node
 * open the terminal anew for this process.
 */
function writeToTerminal(fd: number, bytes: Uint8Array): number {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const written = writeTo(fd, bytes);
  libc.fcntl(fd, F_SETFL, flags);
  return written;
}
