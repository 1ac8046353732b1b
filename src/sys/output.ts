/**
 * Non-blocking writes to descriptors of any kind: what the log needs of poll(2) and write(2).
 *
 * Standard output may be a file, a terminal, a pipe or a socket, and is shared with the program's parent. So it is
 * polled before every write: O_NONBLOCK would affect the other processes too, since it belongs to the open file, not
 * to the descriptor (fcntl(2)).
 */
import { isatty } from 'node:tty';
import { E, errno, F_GETFL, F_SETFL, libc, O_NONBLOCK } from './libc.ts';

const POLLOUT = 0x4;
const POLLERR = 0x8;
const POLLHUP = 0x10;
const POLLNVAL = 0x20;

/** A pipe that polls writable accepts this many bytes, atomically (PIPE_BUF, pipe(7)). */
export const PIPE_BUF = 4096;

// struct pollfd: int fd; short events; short revents.
const pollfd = new Int32Array(2);
const events = new Int16Array(pollfd.buffer, 4, 2);

/**
 * Whether a write of at most PIPE_BUF bytes to a pipe, socket or file returns at once, written or with an error. It may
 * still block if another process fills the same blocking pipe in between.
 */
function isWritable(fd: number): boolean {
  pollfd[0] = fd;
  events[0] = POLLOUT;
  if (libc.poll(pollfd, 1, 0) <= 0) return false;
  return ((events[1] ?? 0) & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)) !== 0;
}

/** A descriptor for non-blocking writes. */
export interface Output {
  /** Whether a write of at most PIPE_BUF bytes makes sense: there is room, or an error to report. */
  isWritable(): boolean;
  /** Writes as much as fits of `bytes` (at most PIPE_BUF): the count, or errno as a negative number. */
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
 * A terminal polls writable with room for a single byte, and a blocking write would wait for the rest. So it is made
 * non-blocking during the write. Other processes hardly notice: Node reopened the terminal for this process when
 * process.stdout.isTTY was read.
 */
function writeToTerminal(fd: number, bytes: Uint8Array): number {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const written = writeTo(fd, bytes);
  libc.fcntl(fd, F_SETFL, flags);
  return written;
}
