/**
 * read(2) and write(2) on a socket through Node's fs, for threads that live as long as one connection.
 *
 * Without the FFI such a thread starts sooner (35 ms to the first echo instead of 46 here) and leaves no memory behind,
 * which koffi does (see src/sys/libc.ts). The price is 0.2 us more for each call: a connection would have to ask for
 * some 25,000 echoes for that to matter.
 *
 * On a connected socket read is recv without flags (recv(2)), and write is send without MSG_NOSIGNAL: Node ignores
 * SIGPIPE, and only a program that listens for SIGPIPE and stops to listen changes that.
 *
 * Node's write goes on after a part was taken; what fails then is not told, and the next call says EPIPE. Main finds out
 * whether that was a reset or the kernel giving up (src/server/connections.ts).
 *
 * Nothing like it for the CPU time: getrusage(2), which Node offers, is up to a tick behind. A thread whose services burn
 * needs the FFI (src/strategy/kthread.ts).
 */
import { readSync, writeSync } from 'node:fs';
import { E } from '../src/sys/errno.ts';
import type { SystemCalls } from './system-calls.ts';

/** The negative errno of what fs threw. What has none is no failed call but a defect, and is thrown on. */
function negativeErrno(error: unknown): number {
  const { errno } = error as NodeJS.ErrnoException;
  if (errno === undefined) throw error;
  return errno;
}

function retried(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      const negative = negativeErrno(error);
      if (negative !== -E.EINTR) return negative;
    }
  }
}

export const fsCalls: SystemCalls = {
  recv: (fd, buffer) => retried(() => readSync(fd, buffer, 0, buffer.length, null)),
  send: (fd, buffer, start, end) => retried(() => writeSync(fd, buffer, start, end - start)),
  sendRoom: () => Number.POSITIVE_INFINITY, // its sockets block
  end() {}, // main closes at once, which shows the same
  threadCpuMs() {
    throw new Error('no clock for CPU time without the FFI');
  },
};
