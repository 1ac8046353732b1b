/**
 * An accepted TCP connection: what the kernel knows of it, and how it is ended.
 *
 * Runs on main and on threads that have the FFI. Nothing here owns a descriptor, and only `resetAndClose` closes one. A
 * question that the kernel does not answer has the answer of a connection in order, and is no error.
 */
import { libc } from './libc.ts';
import { decodeSockaddr, SOCKADDR_BYTES, type SocketAddress } from './sockaddr.ts';
import { closeFd, IPPROTO_TCP, SOL_SOCKET } from './socket.ts';

const SO_ERROR = 4;
const SO_LINGER = 13;
const SO_MEMINFO = 55;
const SHUT_RDWR = 2;

/** The address at the other end; null when the connection is gone. */
export function peerAddress(fd: number): SocketAddress | null {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint32Array([SOCKADDR_BYTES]);
  return libc.getpeername(fd, bytes, length) === 0 ? decodeSockaddr(bytes) : null;
}

const SIOCOUTQ = 0x5411;
const SIOCINQ = 0x541b;
const queuedBytes = new Int32Array(1);

function bytesIn(fd: number, queue: number): number {
  return libc.ioctl(fd, queue, queuedBytes) === 0 ? (queuedBytes[0] as number) : 0;
}

/**
 * Bytes that were given to send and that the peer has not acknowledged (SIOCOUTQ, tcp(7)), also after the kernel has
 * given the connection up; 0 when it cannot be asked.
 */
export function unacknowledgedBytes(fd: number): number {
  return bytesIn(fd, SIOCOUTQ);
}

/** Bytes that the peer has sent and that nobody has received yet (SIOCINQ, tcp(7)); 0 when it cannot be asked. */
export function unreadBytes(fd: number): number {
  return bytesIn(fd, SIOCINQ);
}

// Of SO_MEMINFO, <linux/sock_diag.h>.
const SNDBUF = 3;
const WMEM_QUEUED = 5;
const memInfo = new Uint32Array(9);

/**
 * How many bytes the socket is sure to take now, 0 when it takes none or polls as not writable (sk_stream_is_writeable in
 * the kernel's include/net/sock.h): half of its free memory, since a part goes into bookkeeping (SO_MEMINFO). Infinity
 * when it cannot be asked.
 */
export function sendRoom(fd: number): number {
  const length = new Uint32Array([memInfo.byteLength]);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memInfo, length) < 0) return Number.POSITIVE_INFINITY;
  const queued = memInfo[WMEM_QUEUED] as number;
  const free = (memInfo[SNDBUF] as number) - queued;
  return free <= 0 || free < queued >> 1 ? 0 : Math.max(1, free >> 1);
}

const TCP_INFO = 11;
const TCP_ESTABLISHED = 1;
const TCP_CLOSE = 7;
const TCP_CLOSE_WAIT = 8;
// struct tcp_info: eight bytes, of which the first is the state, then words of 32 bits, then some of 64.
const LAST_DATA_SENT = 11;
const LAST_ACK_RECV = 14;
const BYTES_ACKED = 15;
const BYTES_RECEIVED = 16;
const tcpInfo = new Uint32Array(34);
const tcpState = new Uint8Array(tcpInfo.buffer, 0, 1);
const tcpCounters = new BigUint64Array(tcpInfo.buffer);

/** Fields that the kernel does not know are 0. */
function readTcpInfo(fd: number): boolean {
  const length = new Uint32Array([tcpInfo.byteLength]);
  tcpInfo.fill(0);
  return libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, tcpInfo, length) === 0;
}

/** An acknowledgement may come between two questions; not this often in a row, unless the connection is busy. */
const MOST_LOOKS = 16;

/**
 * Whether the peer of an open connection has sent more than was sent back, read or not: a FIN would make a part of an
 * echo look like all of it. By the kernel's counters (Linux 4.1), since a thread may be between a call and its own. Of a
 * Multipath TCP connection these are the first subflow's: with several the answer may be wrong either way.
 */
export function isUnanswered(fd: number): boolean {
  for (let looks = 0; ; looks++) {
    if (!readTcpInfo(fd)) return false;
    const [state = 0] = tcpState;
    if (state !== TCP_ESTABLISHED && state !== TCP_CLOSE_WAIT) return false;
    const fin = state === TCP_CLOSE_WAIT ? 1 : 0; // counted as received
    const received = Number(tcpCounters[BYTES_RECEIVED]) - fin;
    const acknowledged = Number(tcpCounters[BYTES_ACKED]);
    const unanswered = received > acknowledged + unacknowledgedBytes(fd);
    if (!unanswered || looks === MOST_LOOKS) return unanswered;
    // What was acknowledged between the two questions is in neither answer.
    if (readTcpInfo(fd) && Number(tcpCounters[BYTES_ACKED]) === acknowledged) return true;
  }
}

/** Whether the kernel has nothing left of the connection: it was reset, or given up, or both sides have ended it. */
export function isGivenUp(fd: number): boolean {
  return readTcpInfo(fd) && tcpState[0] === TCP_CLOSE;
}

/** The errno that the connection has failed with and that no call has returned yet (SO_ERROR, socket(7)); 0 = none. */
export function pendingError(fd: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length) === 0 ? (value[0] as number) : 0;
}

/**
 * How long the peer's side has been stuck, in milliseconds by TCP_INFO (tcp(7)): since data was last sent to it, or since
 * its last acknowledgement, whichever is longer. Also after the kernel has given the connection up. 0 when it cannot be
 * asked.
 */
export function stuckForMs(fd: number): number {
  if (!readTcpInfo(fd)) return 0;
  return Math.max(tcpInfo[LAST_DATA_SENT] as number, tcpInfo[LAST_ACK_RECV] as number);
}

/** Ends both directions, so that the peer sees it at once; the descriptor stays open. */
export function shutdownBoth(fd: number): void {
  libc.shutdown(fd, SHUT_RDWR); // ENOTCONN: the peer was faster.
}

const DISCONNECT = new Uint8Array(16); // a sockaddr of AF_UNSPEC

/**
 * Ends a connection with a reset and keeps the descriptor: connect(2) with AF_UNSPEC. A worker that has it in its
 * worklist sees EPOLLHUP and, in recv or send, an error. False when the kernel does not do it (EBUSY).
 */
function resetConnection(fd: number): boolean {
  return libc.connect(fd, DISCONNECT, DISCONNECT.length) === 0;
}

/**
 * Ends a connection so that its peer sees it at once, and keeps the descriptor: by a FIN after all that was sent when the
 * peer wanted the end or nothing is unanswered, by a reset otherwise. A connection that the kernel has given up stays as
 * it is, so that it can still be asked why.
 */
export function endConnection(fd: number, wanted: boolean): void {
  if (wanted || !isUnanswered(fd)) shutdownBoth(fd);
  else resetOrShutDown(fd);
}

/** Some kernels (6.3 to 6.6) do not reset a socket in which a thread waits; then it ends in order. */
export function resetOrShutDown(fd: number): void {
  if (isGivenUp(fd) || !resetConnection(fd)) shutdownBoth(fd);
}

const LINGER_OFF = new Int32Array([1, 0]);

/** Closes with a reset instead of a FIN (SO_LINGER with time 0, socket(7)): the peer is refused clearly. */
export function resetAndClose(fd: number): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_OFF, 8);
  closeFd(fd);
}
