/**
 * Listening sockets that somebody else has made or may take away: is it one, is it still ours.
 *
 * Main thread only. Nothing here owns a descriptor. A descriptor number says little about a socket that others
 * can reach: after a close(2) it may belong to anything. The kernel's cookie names the socket itself.
 */
import { check, F_GETFL, F_SETFL, libc, O_NONBLOCK } from './libc.ts';
import { AF_INET, AF_INET6 } from './sockaddr.ts';
import { isListening } from './socket.ts';

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const SO_COOKIE = 57;
const SOCK_STREAM = 1;
const F_DUPFD_CLOEXEC = 1030;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

function socketInt(fd: number, name: number): number | null {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, name, value, length) === 0 ? (value[0] as number) : null;
}

/** Whether `fd` is a stream socket of IPv4 or IPv6 that listens. */
export function isTcpListener(fd: number): boolean {
  const family = socketInt(fd, SO_DOMAIN);
  return (
    (family === AF_INET || family === AF_INET6) && socketInt(fd, SO_TYPE) === SOCK_STREAM && isListening(fd)
  );
}

/** Makes an inherited descriptor like one of ours: it neither blocks nor goes to programs that are started. */
export function prepareInherited(fd: number): void {
  const doing = `taking over descriptor ${fd}`;
  check('fcntl', libc.fcntl(fd, F_SETFD, FD_CLOEXEC), doing);
  const flags = check('fcntl', libc.fcntl(fd, F_GETFL, 0), doing);
  check('fcntl', libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), doing);
}

/** A second descriptor of the same socket: the lowest free number from `lowest` on. Throws SysError. */
export function duplicate(fd: number, lowest: number): number {
  return check('fcntl', libc.fcntl(fd, F_DUPFD_CLOEXEC, lowest), `duplicating descriptor ${fd}`);
}

/** The number by which the kernel tells this socket from all others (SO_COOKIE); null when `fd` is no socket. */
export function socketCookie(fd: number): bigint | null {
  const value = new BigUint64Array(1);
  const length = new Uint32Array([8]);
  return libc.getsockopt(fd, SOL_SOCKET, SO_COOKIE, value, length) === 0 ? (value[0] as bigint) : null;
}
