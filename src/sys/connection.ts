/**
 * An accepted TCP connection: queries of its state in the kernel, and ways to close it.
 *
 * Runs on main and on threads that have the FFI. Nothing here owns a descriptor, and only `resetAndClose` closes one. A
 * query that fails is not an error: it returns what it would for a healthy connection.
 */
import { libc } from './libc.ts';
import { decodeSockaddr, SOCKADDR_BYTES, type SocketAddress } from './sockaddr.ts';
import { closeFd, IPPROTO_TCP, SOL_SOCKET } from './socket.ts';

const SO_ERROR = 4;
const SO_LINGER = 13;
const SO_MEMINFO = 55;
const SHUT_RDWR = 2;

/** The peer's address; null when the connection is gone. */
export function peerAddress(fd: number): SocketAddress | null {
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const length = new Uint32Array([SOCKADDR_BYTES]);
  return libc.getpeername(fd, bytes, length) === 0 ? decodeSockaddr(bytes) : null;
}

const SIOCOUTQ = 0x5411;
const SIOCINQ = 0x541b;
const queuedBytes = new Int32Array(1);

function queueLength(fd: number, request: number): number {
  return libc.ioctl(fd, request, queuedBytes) === 0 ? (queuedBytes[0] as number) : 0;
}

/** Bytes sent and not acknowledged (SIOCOUTQ, tcp(7)), also after the kernel has given up on the connection. */
export function unacknowledgedBytes(fd: number): number {
  return queueLength(fd, SIOCOUTQ);
}

/** Bytes from the peer that no thread has received yet (SIOCINQ, tcp(7)). */
export function unreadBytes(fd: number): number {
  return queueLength(fd, SIOCINQ);
}

// Indices of SO_MEMINFO, <linux/sock_diag.h>.
const SNDBUF = 3;
const WMEM_QUEUED = 5;
const memInfo = new Uint32Array(9);

/**
 * How many bytes the socket is sure to accept now; 0 when it does not poll as writable (sk_stream_is_writeable in the
 * kernel's include/net/sock.h). Half of its free memory (SO_MEMINFO), since the rest may go to bookkeeping. Infinity
 * when the query fails.
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
// struct tcp_info: eight bytes, the first of them the state, then 32-bit words, then 64-bit words.
const LAST_DATA_SENT = 11;
const LAST_DATA_RECV = 13;
const LAST_ACK_RECV = 14;
const BYTES_ACKED = 15;
const BYTES_RECEIVED = 16;
const tcpInfo = new Uint32Array(34);
const tcpState = new Uint8Array(tcpInfo.buffer, 0, 1);
const tcpCounters = new BigUint64Array(tcpInfo.buffer);

/** Fills the views above. Fields that this kernel lacks are 0. */
function readTcpInfo(fd: number): boolean {
  const length = new Uint32Array([tcpInfo.byteLength]);
  tcpInfo.fill(0);
  return libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, tcpInfo, length) === 0;
}

/** An acknowledgement may arrive between two queries, but this often in a row only on a busy connection. */
const MAX_RETRIES = 16;

/**
 * Whether the peer of an open connection has sent more, read or not, than was sent back: after a FIN it would take a
 * partial echo for a complete one. By the kernel's counters (Linux 4.1), since a thread may not have updated its own
 * yet. For Multipath TCP they are those of the first subflow: with several subflows the result may be wrong.
 */
export function isUnanswered(fd: number): boolean {
  for (let retries = 0; ; retries++) {
    if (!readTcpInfo(fd)) return false;
    const [state = 0] = tcpState;
    if (state !== TCP_ESTABLISHED && state !== TCP_CLOSE_WAIT) return false;
    const fin = state === TCP_CLOSE_WAIT ? 1 : 0; // the kernel counts it as a received byte
    const received = Number(tcpCounters[BYTES_RECEIVED]) - fin;
    const acknowledged = Number(tcpCounters[BYTES_ACKED]);
    const unanswered = received > acknowledged + unacknowledgedBytes(fd);
    if (!unanswered || retries === MAX_RETRIES) return unanswered;
    // Bytes acknowledged between the two queries are in neither result.
    if (readTcpInfo(fd) && Number(tcpCounters[BYTES_ACKED]) === acknowledged) return true;
  }
}

/** Whether TCP has closed the connection: it was reset or timed out, or both sides have ended it. */
export function isGivenUp(fd: number): boolean {
  return readTcpInfo(fd) && tcpState[0] === TCP_CLOSE;
}

/** The pending error of the connection, an errno that no call has returned yet (SO_ERROR, socket(7)); 0 = none. */
export function pendingError(fd: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length) === 0 ? (value[0] as number) : 0;
}

/**
 * The time since data was last sent to the peer or since its last acknowledgement, whichever is longer (TCP_INFO,
 * tcp(7)); also after the kernel has given up on the connection.
 */
export function stuckForMs(fd: number): number {
  if (!readTcpInfo(fd)) return 0;
  return Math.max(tcpInfo[LAST_DATA_SENT] as number, tcpInfo[LAST_ACK_RECV] as number);
}

/** How long bytes from the peer have waited for a thread, at least: since the last ones came. 0 when none wait. */
export function unreadForMs(fd: number): number {
  return unreadBytes(fd) > 0 && readTcpInfo(fd) ? (tcpInfo[LAST_DATA_RECV] as number) : 0;
}

/** Shuts down both directions, so that the peer sees it at once; the descriptor stays open. */
export function shutdownBoth(fd: number): void {
  libc.shutdown(fd, SHUT_RDWR); // ENOTCONN: the peer was faster.
}

const DISCONNECT = new Uint8Array(16); // a sockaddr of AF_UNSPEC

/**
 * Resets a connection and keeps the descriptor: connect(2) with AF_UNSPEC. A worker that has it in its worklist sees
 * EPOLLHUP and, in recv or send, an error. False when the kernel refuses (EBUSY).
 */
function resetConnection(fd: number): boolean {
  return libc.connect(fd, DISCONNECT, DISCONNECT.length) === 0;
}

/**
 * Ends a connection so that its peer sees it at once, and keeps the descriptor: with a FIN after all sent bytes if the
 * peer requested the end or nothing is unanswered, with a reset otherwise. A connection that TCP has closed is left
 * alone, so that its error can still be queried.
 */
export function endConnection(fd: number, requested: boolean): void {
  if (requested || !isUnanswered(fd)) shutdownBoth(fd);
  else resetOrShutDown(fd);
}

/** Some kernels (6.3 to 6.6) do not reset a socket in which a thread waits; that one gets a FIN. */
export function resetOrShutDown(fd: number): void {
  if (isGivenUp(fd) || !resetConnection(fd)) shutdownBoth(fd);
}

const LINGER_OFF = new Int32Array([1, 0]);

/** Closes with a reset instead of a FIN (SO_LINGER with time 0, socket(7)), so that the peer sees a refusal. */
export function resetAndClose(fd: number): void {
  libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_OFF, 8);
  closeFd(fd);
}
