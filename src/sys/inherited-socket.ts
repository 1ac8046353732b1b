/**
 * Listening sockets that other code has opened or may close: checks that a descriptor is one, and still the same one.
 *
 * Main thread only. Nothing here owns a descriptor. After a close(2) by other code, a descriptor number may have been
 * reused for anything; the kernel's cookie identifies the socket itself.
 */
import { check, E, errno, F_GETFL, F_SETFL, libc, O_NONBLOCK } from './libc.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';
import { isListening } from './socket.ts';

const SOL_SOCKET = 1;
const SO_PROTOCOL = 38;
const SO_DOMAIN = 39;
const SO_COOKIE = 57;
const AF_UNIX = 1;
const AF_VSOCK = 40;
const IPPROTO_TCP = 6;
const IPPROTO_MPTCP = 262;
const F_DUPFD_CLOEXEC = 1030;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

function socketInt(fd: number, name: number): number | null {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, name, value, length) === 0 ? (value[0] as number) : null;
}

const FAMILIES: Record<number, string> = { [AF_UNIX]: 'a Unix socket', [AF_VSOCK]: 'a vsock socket' };
const PROTOCOLS: Record<number, string> = { 17: 'a UDP socket', 132: 'an SCTP socket' };

/** What `fd` is, as a phrase to follow "descriptor 3 is"; null for a listening socket of TCP or Multipath TCP. */
export function notTcpListener(fd: number): string | null {
  const family = socketInt(fd, SO_DOMAIN);
  if (family === null) return errno() === E.EBADF ? 'not open' : 'not a socket';
  if (family !== AF_INET && family !== AF_INET6)
    return FAMILIES[family] ?? `a socket of address family ${family}`;
  const protocol = socketInt(fd, SO_PROTOCOL);
  if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_MPTCP)
    return PROTOCOLS[protocol ?? -1] ?? `a socket of protocol ${protocol}`;
  return isListening(fd) ? null : 'a TCP socket that does not listen';
}

/** Makes an inherited descriptor non-blocking and close-on-exec, like those that the server opens. */
export function prepareInherited(fd: number): void {
  const doing = `taking over descriptor ${fd}`;
  check('fcntl', libc.fcntl(fd, F_SETFD, FD_CLOEXEC), doing);
  const flags = check('fcntl', libc.fcntl(fd, F_GETFL, 0), doing);
  check('fcntl', libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), doing);
}

/** A second descriptor of the same socket, with the lowest free number from `lowest` on. Throws SysError. */
export function duplicate(fd: number, lowest: number): number {
  return check('fcntl', libc.fcntl(fd, F_DUPFD_CLOEXEC, lowest), `duplicating descriptor ${fd}`);
}

/** The kernel's unique number of this socket (SO_COOKIE, socket(7)); null when `fd` is not a socket. */
export function socketCookie(fd: number): bigint | null {
  const value = new BigUint64Array(1);
  const length = new Uint32Array([8]);
  return libc.getsockopt(fd, SOL_SOCKET, SO_COOKIE, value, length) === 0 ? (value[0] as bigint) : null;
}
