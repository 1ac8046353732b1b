/**
 * One connection of the load generator and its request in flight.
 *
 * A session connects, sends and checks; the mode decides when. It owns its descriptor from open() to close().
 * Everything is non-blocking. All sessions share one receive buffer, because an answer is checked as it arrives.
 * A method that returns false after a failure has counted the error and closed the session.
 */
import { EPOLLIN, EPOLLOUT, epollAdd, epollModify } from '../../src/sys/epoll.ts';
import { check, E, errno, errnoName, libc } from '../../src/sys/libc.ts';
import { AF_INET, AF_INET6, SOCKADDR_BYTES } from '../../src/sys/sockaddr.ts';
import {
  closeFd,
  isSelfConnected,
  localAddress,
  recvInto,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  sendFrom,
} from '../../src/sys/socket.ts';
import type { Shared } from './client.ts';
import { Received } from './pattern.ts';
import type { ErrorClass } from './result.ts';

const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SHUT_WR = 1;
// Below any loopback segment size.
const ONE_SEGMENT_BYTES = 1024;
const RECEIVE_BYTES = 64 * 1024;

const received = new Received(RECEIVE_BYTES);
const yes = new Int32Array([1]);

function classOf(code: string): ErrorClass {
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'reset';
  if (code === 'ETIMEDOUT') return 'timeout';
  return 'other';
}

export class Session {
  /** -1 while closed. */
  fd = -1;
  /** Start of the current sample, by performance.now(). */
  startedMs = 0;
  /** Start of the timeout: when the connect or the send began. */
  sinceMs = 0;
  /** When bytes last arrived, before they were checked. */
  receivedMs = 0;
  /** A connect or a request is in flight. */
  busy = false;
  connecting = false;
  /** Requests still to send; used by the mode only. */
  requestsLeft = 0;
  /** When it could carry the next request; used by open mode only. */
  freeSinceMs = 0;
  /** Of the requests begun in the window: answers, and the time waited for them or in vain. */
  answers = 0;
  spentMs = 0;
  private readonly shared: Shared;
  private offset = 0;
  private sent = 0;
  private answered = 0;
  private watchesWritable = false;

  constructor(shared: Shared) {
    this.shared = shared;
  }

  /** Starts connecting and a sample, and watches the socket for `events`. False when that failed at once. */
  open(events: number, nowMs: number): boolean {
    const { epfd, target, sources, pattern, tally } = this.shared;
    const family = target.length === SOCKADDR_BYTES ? AF_INET6 : AF_INET;
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.fd = check('socket', libc.socket(family, type, 0), 'opening a connection');
    tally.opened++;
    this.startedMs = nowMs;
    this.sinceMs = nowMs;
    this.busy = true;
    this.connecting = true;
    this.watchesWritable = (events & EPOLLOUT) !== 0;
    // Nagle would delay the last segment of a longer message until an ACK. A message of one segment is sent with
    // nothing unacknowledged, so it goes out at once and saves the call.
    if (pattern.messageBytes > ONE_SEGMENT_BYTES) libc.setsockopt(this.fd, IPPROTO_TCP, TCP_NODELAY, yes, 4);
    sources.bind(this.fd);
    if (libc.connect(this.fd, target, target.length) < 0) {
      const number = errno();
      if (number !== E.EINPROGRESS) return this.failCall(number, 'connect');
    }
    epollAdd(epfd, this.fd, events);
    return true;
  }

  /** After EPOLLOUT on a connecting socket: whether it is connected. */
  connected(): boolean {
    const value = new Int32Array(1);
    libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, value, new Uint32Array([4]));
    const number = value[0] ?? 0;
    if (number !== 0) return this.failCall(number, 'connect');
    return this.established(performance.now());
  }

  /** False when the socket is connected to itself, because no server listens. */
  private established(nowMs: number): boolean {
    if (isSelfConnected(this.fd)) return this.failCall(E.ECONNREFUSED, 'connect');
    this.connecting = false;
    this.busy = false;
    this.shared.tally.connected(nowMs - this.sinceMs);
    this.sinceMs = nowMs;
    return true;
  }

  get localPort(): number {
    return localAddress(this.fd).port;
  }

  /** Stops watching for EPOLLOUT. */
  expectAnswers(): void {
    this.watchWritable(false);
  }

  /** Sends as much of the next message as the socket accepts. False when it failed. */
  request(startedMs: number, nowMs: number): boolean {
    this.startedMs = startedMs;
    this.sinceMs = nowMs;
    this.chooseMessage();
    return this.sendRest();
  }

  /**
   * Sends the first message right after open(), connected or not; the sample started with the connect.
   *
   * On loopback the connection is usually established when connect() returns EINPROGRESS, so sending at once saves a
   * wait; otherwise send() fails with EAGAIN and the session waits for EPOLLOUT.
   */
  requestEarly(): boolean {
    this.chooseMessage();
    const connectedMs = performance.now();
    if (!this.sendRest()) return false;
    if (this.sent > 0 && this.connecting && !this.established(connectedMs)) return false;
    this.busy = true;
    return true;
  }

  private chooseMessage(): void {
    this.busy = true;
    this.offset = this.shared.pattern.next();
    this.sent = 0;
    this.answered = 0;
  }

  /** Sends the rest of the message. False when it failed. */
  sendRest(): boolean {
    const { pattern } = this.shared;
    while (this.sent < pattern.messageBytes) {
      const n = sendFrom(this.fd, pattern.unsent(this.offset, this.sent), pattern.messageBytes - this.sent);
      if (n < 0) {
        const number = errno();
        if (number === E.EAGAIN) break;
        return this.failCall(number, this.connecting ? 'connect' : 'send');
      }
      this.sent += n;
    }
    this.watchWritable(this.sent < pattern.messageBytes);
    return true;
  }

  /** After EPOLLOUT: completes the connect, then sends the rest. False when either failed. */
  sendAfterConnect(): boolean {
    if (this.connecting && !this.connected()) return false;
    this.busy = true;
    return this.sendRest();
  }

  private watchWritable(watch: boolean): void {
    if (watch === this.watchesWritable) return;
    this.watchesWritable = watch;
    epollModify(this.shared.epfd, this.fd, watch ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  /** Receives and checks bytes. True when the answer is complete and correct. */
  receive(): boolean {
    const { pattern } = this.shared;
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n < 0) {
      const number = errno();
      return number !== E.EAGAIN && this.failCall(number, 'recv');
    }
    this.receivedMs = performance.now();
    if (n === 0) return this.fail('earlyClose', `after ${this.answered} of ${pattern.messageBytes} bytes`);
    if (!pattern.matches(received, n, this.offset, this.answered)) {
      return this.fail('wrongBytes', `in ${n} bytes from byte ${this.answered} of ${pattern.messageBytes}`);
    }
    this.answered += n;
    this.busy = this.answered < pattern.messageBytes;
    return !this.busy;
  }

  /** Whether the complete answer arrived within the timeout; otherwise an error. */
  inTime(nowMs: number): boolean {
    const tookMs = nowMs - this.sinceMs;
    return tookMs <= this.shared.timeoutMs || this.fail('timeout', `answered after ${tookMs.toFixed(1)} ms`);
  }

  /** Counts the complete answer, in the run and for this connection. */
  sample(nowMs: number): void {
    if (!this.shared.tally.sample(this.startedMs, nowMs)) return;
    this.answers++;
    this.spentMs += nowMs - this.startedMs;
  }

  /** With no request in flight: counts unexpected bytes or an early FIN. */
  expectSilence(): void {
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n > 0) this.fail('wrongBytes', `${n} bytes after the last answer`);
    else if (n === 0) this.fail('earlyClose', 'after the last answer');
    else {
      const number = errno();
      if (number !== E.EAGAIN) this.failCall(number, 'recv');
    }
  }

  /** Sends FIN after the last answer; bytes that the server still sends arrive before its own FIN. */
  sendFin(): void {
    libc.shutdown(this.fd, SHUT_WR);
  }

  /** After sendFin(): true once the server's FIN arrived or the session failed. */
  receivedFin(): boolean {
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n > 0) return !this.fail('wrongBytes', `${n} bytes after the last answer`);
    if (n === 0) return true;
    const number = errno();
    return number !== E.EAGAIN && !this.failCall(number, 'recv');
  }

  /** Counts a timeout of the connect or the answer. */
  timedOut(): void {
    const { timeoutMs, pattern } = this.shared;
    const at = `${this.answered} of ${pattern.messageBytes} bytes after ${timeoutMs} ms`;
    this.fail('timeout', this.connecting ? `not connected after ${timeoutMs} ms` : at);
  }

  /** Closes the descriptor, which also removes it from epoll. Idempotent. */
  close(): void {
    if (this.fd < 0) return;
    closeFd(this.fd);
    this.fd = -1;
    this.busy = false;
  }

  private failCall(number: number, call: string): false {
    const code = errnoName(number);
    return this.fail(classOf(code), `${call}: ${code}`);
  }

  private fail(kind: ErrorClass, detail: string): false {
    const { tally } = this.shared;
    tally.error(kind, detail);
    if (kind === 'timeout') {
      const nowMs = performance.now();
      if (tally.unanswered(this.startedMs, this.sinceMs, nowMs)) this.spentMs += nowMs - this.startedMs;
      if (this.connecting) tally.notConnected(nowMs - this.sinceMs);
    }
    this.close();
    return false;
  }
}
