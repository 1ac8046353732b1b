/**
 * One datagram to a Unix socket (unix(7)), as sd_notify(3) needs it.
 *
 * Main thread only. Opens and closes its descriptor in one call. Never blocks: when the receiver's queue is full, it
 * fails with EAGAIN.
 */

import { check, libc } from './libc.ts';
import { MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_NONBLOCK } from './socket.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** Size of sun_path in struct sockaddr_un. */
const PATH_BYTES = 108;

/** struct sockaddr_un of an absolute path, or of an abstract name, which begins with "@"; null when it is neither. */
function encodeAddress(name: string): Uint8Array | null {
  const abstract = name.startsWith('@');
  const text = Buffer.from(name);
  if (!(abstract || name.startsWith('/')) || text.length < 2 || text.includes(0)) return null;
  const length = text.length + (abstract ? 0 : 1); // a path ends in a zero byte
  if (length > PATH_BYTES) return null;
  const bytes = new Uint8Array(2 + length);
  new Uint16Array(bytes.buffer, 0, 1)[0] = AF_UNIX;
  bytes.set(text, 2);
  if (abstract) bytes[2] = 0;
  return bytes;
}

/** Sends `text` to the socket `name`. Throws SysError, or TypeError when `name` is invalid. */
export function sendDatagram(name: string, text: string): void {
  const address = encodeAddress(name);
  if (address === null) throw new TypeError('neither an absolute path nor an abstract name');
  const doing = 'sending a datagram';
  const type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = check('socket', libc.socket(AF_UNIX, type, 0), doing);
  try {
    const bytes = Buffer.from(text);
    check('sendto', libc.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length), doing);
  } finally {
    libc.close(fd);
  }
}
