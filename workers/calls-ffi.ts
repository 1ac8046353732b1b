/**
 * System calls through the FFI: cheapest (0.2 us a call), for long-lived threads.
 */

import { endConnection, sendRoom } from '../src/sys/connection.ts';
import { threadCpuMs } from '../src/sys/cpu-clock.ts';
import { errno } from '../src/sys/libc.ts';
import { recvInto, sendFrom } from '../src/sys/socket.ts';
import type { SystemCalls } from './system-calls.ts';

export const ffiCalls: SystemCalls = {
  recv(fd, buffer) {
    const n = recvInto(fd, buffer, buffer.length);
    return n >= 0 ? n : -errno();
  },
  send(fd, buffer, start, end) {
    const n = sendFrom(fd, start === 0 ? buffer : buffer.subarray(start), end - start);
    return n >= 0 ? n : -errno();
  },
  sendRoom,
  end: endConnection,
  threadCpuMs,
};
