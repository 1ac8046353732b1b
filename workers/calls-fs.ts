/**
 * read(2) and write(2) on a socket through Node's fs, for threads that serve a single connection.
 *
 * Without the FFI such a thread starts 1.5 ms sooner and leaks no memory, as koffi does (see src/sys/libc.ts). The price
 * is 0.2 us more per call, which matters only after some 8,000 echoes on one connection.
 *
 * On a connected socket read is recv without flags (recv(2)), and write is send without MSG_NOSIGNAL: Node ignores
 * SIGPIPE unless the program adds and removes a SIGPIPE listener.
 *
 * After a partial write Node writes the rest and drops an error of that; the next call fails with EPIPE. Main
 * determines whether that was a reset or the kernel giving up (src/server/connections.ts).
 *
 * There is no CPU clock: Node's getrusage(2) lags by up to a tick, so a thread whose services burn needs the FFI
 * (src/strategy/kthread.ts).
 */
import { readSync, writeSync } from 'node:fs';
import { E } from '../src/sys/errno.ts';
import type { SystemCalls } from './system-calls.ts';

/** The negative errno of an error from fs. An error without errno is a defect, not a failed call, and is rethrown. */
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
  end() {}, // main closes at once, which looks the same to the peer
  threadCpuMs() {
    throw new Error('no CPU clock without the FFI');
  },
};
