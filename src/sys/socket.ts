/**
 * TCP sockets: what the acceptor, the workers and the load generator need of socket(7) and tcp(7).
 *
 * Functions that prepare a socket throw SysError and close what they opened. `recvInto` and `sendFrom`
 * are the hot path: they retry on EINTR and return the count, or -1 with errno() set.
 */

import { readFileSync } from 'node:fs';
import { check, E, errno, libc, SysError } from './libc.ts';
import {
  AF_INET,
  AF_INET6,
  decodeSockaddr,
  encodeSockaddr,
  SOCKADDR_BYTES,
  type SocketAddress,
} from './sockaddr.ts';

export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_KEEPALIVE = 9;
const SO_OOBINLINE = 10;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_ACCEPTCONN = 30;
const SO_INCOMING_CPU = 49;
export const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
/** send(2): no SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;
const RLIMIT_NOFILE = 7;

function setInt(fd: number, level: number, name: number, value: number, doing: string): void {
  check('setsockopt', libc.setsockopt(fd, level, name, new Int32Array([value]), 4), doing);
}

/** False when the socket's protocol does not support the option. */
function trySetInt(fd: number, level: number, name: number, value: number, doing: string): boolean {
  if (libc.setsockopt(fd, level, name, new Int32Array([value]), 4) === 0) return true;
  const number = errno();
  if (number === E.ENOPROTOOPT || number === E.EOPNOTSUPP) return false;
  throw new SysError('setsockopt', number, doing);
}

/** Options that accepted sockets inherit from the listening one, which saves system calls per connection. */
export interface AcceptedOptions {
  /**
   * For blocking sockets: recv returns EAGAIN after this time, so that its thread notices a stop; send after half of
   * it, since Node's fs retries once after a partial write (workers/calls-fs.ts). 0 = no limit.
   */
  blockingTimeoutMs: number;
  /** Idle time before the kernel sends keepalive probes, 0 = never; see tcp(7) for this and the next three. */
  keepaliveTimeMs: number;
  /** Between two probes. */
  keepaliveIntervalMs: number;
  /** Unanswered probes until the connection ends with ETIMEDOUT. */
  keepaliveProbes: number;
  /** How long sent bytes may stay unacknowledged, or unsent for want of a window; 0 = system default. */
  userTimeoutMs: number;
}

/** None of them. */
export const PLAIN: AcceptedOptions = {
  blockingTimeoutMs: 0,
  keepaliveTimeMs: 0,
  keepaliveIntervalMs: 0,
  keepaliveProbes: 0,
  userTimeoutMs: 0,
};

export interface ListenOptions {
  /** An IPv4 or IPv6 address, not a name. */
  address: string;
  port: number;
  backlog: number;
  scopeId?: number;
  /** Whether other sockets may listen on the port; the kernel balances the connections (SO_REUSEPORT, socket(7)). */
  reusePort: boolean;
  accepted: AcceptedOptions;
}

/** A non-blocking listening socket, and the result of `setAccepted` for it. */
export function listenTcp(options: ListenOptions): { fd: number; lacking: string[] } {
  const address = encodeSockaddr(options.address, options.port, options.scopeId);
  const family = address.length === SOCKADDR_BYTES ? AF_INET6 : AF_INET;
  const doing = `listening on ${options.address} port ${options.port}`;
  const fd = check('socket', libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), doing);
  try {
    setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1, doing);
    if (options.reusePort) setInt(fd, SOL_SOCKET, SO_REUSEPORT, 1, doing);
    const lacking = setAccepted(fd, options.accepted, doing);
    check('bind', libc.bind(fd, address, address.length), doing);
    check('listen', libc.listen(fd, options.backlog), doing);
    return { fd, lacking };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * Sets the options that accepted sockets inherit. Returns the names of those that the socket's protocol does not
 * support, as Multipath TCP some (Linux 6.18: SO_OOBINLINE, TCP_USER_TIMEOUT).
 */
export function setAccepted(fd: number, options: AcceptedOptions, doing: string): string[] {
  if (options.blockingTimeoutMs > 0) setTimeouts(fd, options.blockingTimeoutMs, doing);
  return acceptedOptions(options)
    .filter(([, level, name, value]) => !trySetInt(fd, level, name, value, doing) && value !== 0)
    .map(([text]) => text);
}

type SocketOption = readonly [text: string, level: number, name: number, value: number];

function acceptedOptions(options: AcceptedOptions): SocketOption[] {
  return [
    ['TCP_NODELAY', IPPROTO_TCP, TCP_NODELAY, 1],
    // Urgent data is echoed in line (RFC 6093, section 6); without this option it would be lost.
    ['SO_OOBINLINE', SOL_SOCKET, SO_OOBINLINE, 1],
    ...keepaliveOptions(options),
    // Also when it is 0: an inherited socket may still have the previous server's value.
    ['TCP_USER_TIMEOUT', IPPROTO_TCP, TCP_USER_TIMEOUT, options.userTimeoutMs],
  ];
}

function keepaliveOptions(options: AcceptedOptions): SocketOption[] {
  if (options.keepaliveTimeMs === 0) return [['SO_KEEPALIVE', SOL_SOCKET, SO_KEEPALIVE, 0]];
  const seconds = (ms: number) => Math.max(1, Math.round(ms / 1000));
  return [
    ['SO_KEEPALIVE', SOL_SOCKET, SO_KEEPALIVE, 1],
    ['TCP_KEEPIDLE', IPPROTO_TCP, TCP_KEEPIDLE, seconds(options.keepaliveTimeMs)],
    ['TCP_KEEPINTVL', IPPROTO_TCP, TCP_KEEPINTVL, seconds(options.keepaliveIntervalMs)],
    ['TCP_KEEPCNT', IPPROTO_TCP, TCP_KEEPCNT, options.keepaliveProbes],
  ];
}

/** Null when it cannot be read. */
function getInt(fd: number, name: number): number | null {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, name, value, length) === 0 ? (value[0] as number) : null;
}

/** Whether `fd` is still a listening socket: other code may have closed it or shut it down. */
export function isListening(fd: number): boolean {
  return getInt(fd, SO_ACCEPTCONN) === 1;
}

/** The processor on which the kernel handled the last packet of a connection (SO_INCOMING_CPU, socket(7)), if known. */
export function incomingCpu(fd: number): number | null {
  const cpu = getInt(fd, SO_INCOMING_CPU);
  return cpu === null || cpu < 0 ? null : cpu;
}

/** struct timeval: seconds and microseconds, both 64 bits. */
function timeval(ms: number): BigInt64Array {
  const us = Math.max(1, Math.round(ms * 1000)); // 0 would be no limit
  return new BigInt64Array([BigInt(Math.floor(us / 1e6)), BigInt(us % 1e6)]);
}

function setTimeouts(fd: number, timeoutMs: number, doing: string): void {
  check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval(timeoutMs), 16), doing);
  check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeval(timeoutMs / 2), 16), doing);
}

/** The address that a socket is bound to. */
export function localAddress(fd: number): SocketAddress {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint32Array([SOCKADDR_BYTES]);
  check('getsockname', libc.getsockname(fd, bytes, length), 'querying the bound address');
  return decodeSockaddr(bytes);
}

const ownEnd = new Uint32Array(SOCKADDR_BYTES / 4);
const otherEnd = new Uint32Array(SOCKADDR_BYTES / 4);
const endBytes = new Uint32Array(1);

/** Whether a socket is connected to itself; see self-connect.ts. */
export function isSelfConnected(fd: number): boolean {
  endBytes[0] = SOCKADDR_BYTES;
  if (libc.getsockname(fd, ownEnd, endBytes) < 0) return false;
  const words = (endBytes[0] as number) / 4; // it has one element
  if (libc.getpeername(fd, otherEnd, endBytes) < 0) return false; // not connected yet
  for (let i = 0; i < words; i++) if (ownEnd[i] !== otherEnd[i]) return false;
  return true;
}

/** Receives up to `length` bytes into `buffer`: the count, 0 at the peer's FIN, or -1 with errno() set. */
export function recvInto(fd: number, buffer: Uint8Array, length: number): number {
  for (;;) {
    const n = libc.recv(fd, buffer, length, 0);
    if (n >= 0 || errno() !== E.EINTR) return n;
  }
}

/** Sends up to `length` bytes of `buffer`: the count, or -1 with errno() set. Never raises SIGPIPE. */
export function sendFrom(fd: number, buffer: Uint8Array, length: number): number {
  for (;;) {
    const n = libc.send(fd, buffer, length, MSG_NOSIGNAL);
    if (n >= 0 || errno() !== E.EINTR) return n;
  }
}

/** close(2). On Linux the descriptor is closed even after EINTR. Throws on EBADF, which is a bug in the caller. */
export function closeFd(fd: number): void {
  if (libc.close(fd) === 0) return;
  const number = errno();
  if (number === E.EBADF) throw new SysError('close', number, `closing descriptor ${fd}`);
}

/** The soft limit on open descriptors (RLIMIT_NOFILE); Node raises it to the hard limit when it starts. */
export function descriptorLimit(): number {
  const limit = new BigUint64Array(2);
  check('getrlimit', libc.getrlimit(RLIMIT_NOFILE, limit), 'querying the descriptor limit');
  const soft = limit[0] ?? 0n;
  return soft > 0x7fffffffn ? 0x7fffffff : Number(soft);
}

/** net.core.somaxconn, the kernel's limit on the backlog; null when it cannot be read. */
export function somaxconn(): number | null {
  try {
    return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
  } catch {
    return null;
  }
}
