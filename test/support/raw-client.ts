/** A TCP client that blocks the event loop: while it waits, main does nothing, so what it sees is done by workers. */
import { onTestFinished } from 'vitest';
import { check, E, errno, libc } from '../../src/sys/libc.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';
import { closeFd, recvInto } from '../../src/sys/socket.ts';
import { DEADLINE_MS } from './wait.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const POLLIN = 0x1;
const MSG_DONTWAIT = 0x40;

export class RawClient {
  private readonly fd: number;

  /** Connected by the kernel, not yet accepted by the server. Closed after the test. */
  constructor(port: number) {
    this.fd = check('socket', libc.socket(AF_INET, SOCK_STREAM, 0), 'making a client');
    onTestFinished(() => closeFd(this.fd));
    const address = encodeSockaddr('127.0.0.1', port);
    check('connect', libc.connect(this.fd, address, address.length), 'connecting');
  }

  /** Sends what the kernel accepts without blocking, and returns the number of bytes. */
  send(bytes: Uint8Array): number {
    const sent = libc.send(this.fd, bytes, bytes.length, MSG_DONTWAIT);
    return sent < 0 && errno() === E.EAGAIN ? 0 : check('send', sent, 'sending');
  }

  /** Blocks until the connection ends. Returns the number of bytes read, and the errno, 0 for a FIN. */
  readToEnd(): { bytes: number; errno: number } {
    const buffer = new Uint8Array(1 << 20);
    for (let bytes = 0; ; ) {
      const pollfd = new Int32Array([this.fd, POLLIN]);
      if (libc.poll(pollfd, 1, DEADLINE_MS) === 0) throw new Error(`no end after ${bytes} bytes`);
      const n = recvInto(this.fd, buffer, buffer.length);
      if (n <= 0) return { bytes, errno: n < 0 ? errno() : 0 };
      bytes += n;
    }
  }

  /** Blocks until it has read `count` bytes. */
  read(count: number): void {
    const buffer = new Uint8Array(count);
    for (let bytes = 0; bytes < count; ) {
      bytes += check('recv', recvInto(this.fd, buffer, count - bytes), 'reading');
    }
  }
}
