/**
 * One connection of the load generator and the request it has under way.
 *
 * A session knows how to connect, send and check; when to do so is the mode's affair. It owns its
 * descriptor from open() to close(). Everything is non-blocking, and all sessions share one receive
 * buffer, because an answer is checked as its parts arrive.
 */
import { EPOLLIN, EPOLLOUT, epollAdd, epollModify } from '../../src/sys/epoll.ts';
import { check, E, errno, errnoName, libc } from '../../src/sys/libc.ts';
import { AF_INET, AF_INET6, SOCKADDR_BYTES } from '../../src/sys/sockaddr.ts';
import {
  closeFd,
  isSelfConnected,
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
// Below every loopback segment size.
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
  /** When the sample under way began, by performance.now(). */
  startedMs = 0;
  /** When what it waits for began: the connect, or the sending of the request. */
  sinceMs = 0;
  /** A connect or a request is under way. */
  busy = false;
  connecting = false;
  /** The mode's own count of requests to come. */
  left = 0;
  private readonly shared: Shared;
  private offset = 0;
  private sent = 0;
  private answered = 0;
  private waitsToSend = false;
  private sampleHasConnect = false;

  constructor(shared: Shared) {
    this.shared = shared;
  }

  /** Begins to connect and watches the socket for `events`. False when that failed at once (counted). */
  open(events: number, nowMs: number): boolean {
    const { epfd, target, sources, pattern, tally } = this.shared;
    const family = target.length === SOCKADDR_BYTES ? AF_INET6 : AF_INET;
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.fd = check('socket', libc.socket(family, type, 0), 'opening a connection');
    tally.opened++;
    this.sinceMs = nowMs;
    this.busy = true;
    this.connecting = true;
    this.waitsToSend = (events & EPOLLOUT) !== 0;
    // The end of a message of several segments would wait for an acknowledgement. A message of one segment
    // is sent when nothing is unacknowledged, so it needs no system call to go out at once.
    if (pattern.messageBytes > ONE_SEGMENT_BYTES) libc.setsockopt(this.fd, IPPROTO_TCP, TCP_NODELAY, yes, 4);
    sources.bind(this.fd);
    if (libc.connect(this.fd, target, target.length) < 0) {
      const number = errno();
      if (number !== E.EINPROGRESS) return this.fail(number, 'connect');
    }
    epollAdd(epfd, this.fd, events);
    return true;
  }

  /** After EPOLLOUT on a connecting socket: whether it is connected. False when it failed (counted). */
  connected(): boolean {
    const value = new Int32Array(1);
    libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, value, new Uint32Array([4]));
    const number = value[0] ?? 0;
    if (number !== 0) return this.fail(number, 'connect');
    return this.established(performance.now());
  }

  /** False when it is connected to itself, since no server listens there (counted). */
  private established(nowMs: number): boolean {
    if (isSelfConnected(this.fd)) return this.fail(E.ECONNREFUSED, 'connect');
    this.connecting = false;
    this.busy = false;
    this.shared.tally.connected(nowMs - this.sinceMs);
    this.sinceMs = nowMs;
    if (!this.sampleHasConnect) this.startedMs = nowMs;
    return true;
  }

  /** Watches for answers alone from here on. */
  expectAnswers(): void {
    this.waitToSend(false);
  }

  /** Takes the next message and sends what the socket accepts of it. False when it failed (counted). */
  request(startedMs: number, nowMs: number): boolean {
    this.startedMs = startedMs;
    this.sinceMs = nowMs;
    this.takeMessage();
    return this.sendRest();
  }

  /**
   * The same right after open(), whether or not the connection has been made yet. The sample begins with the
   * connect, or once there is a connection. False when it failed (counted).
   *
   * On loopback connect() has usually finished when it returns EINPROGRESS, so sending at once saves a wait;
   * when it has not, send() says EAGAIN and the session waits for EPOLLOUT.
   */
  requestEarly(sampleHasConnect: boolean): boolean {
    this.sampleHasConnect = sampleHasConnect;
    this.startedMs = this.sinceMs;
    this.takeMessage();
    const madeMs = performance.now();
    if (!this.sendRest()) return false;
    if (this.sent > 0 && this.connecting && !this.established(madeMs)) return false;
    this.busy = true;
    return true;
  }

  private takeMessage(): void {
    this.busy = true;
    this.offset = this.shared.pattern.next();
    this.sent = 0;
    this.answered = 0;
  }

  /** Goes on sending, after EPOLLOUT too. False when it failed (counted). */
  sendRest(): boolean {
    const { pattern } = this.shared;
    while (this.sent < pattern.messageBytes) {
      const n = sendFrom(this.fd, pattern.unsent(this.offset, this.sent), pattern.messageBytes - this.sent);
      if (n < 0) {
        const number = errno();
        if (number === E.EAGAIN) break;
        return this.fail(number, this.connecting ? 'connect' : 'send');
      }
      this.sent += n;
    }
    this.waitToSend(this.sent < pattern.messageBytes);
    return true;
  }

  /** Sends what could not be sent while connecting. False when it failed (counted). */
  sendAfterConnect(): boolean {
    if (this.connecting && !this.connected()) return false;
    this.busy = true;
    return this.sendRest();
  }

  private waitToSend(wait: boolean): void {
    if (wait === this.waitsToSend) return;
    this.waitsToSend = wait;
    epollModify(this.shared.epfd, this.fd, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  /** Takes what has arrived and checks it. True when the whole answer is there and right. */
  receive(): boolean {
    const { pattern } = this.shared;
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n < 0) {
      const number = errno();
      return number !== E.EAGAIN && this.fail(number, 'recv');
    }
    if (n === 0) return this.end('earlyClose', `after ${this.answered} of ${pattern.messageBytes} bytes`);
    if (!pattern.matches(received, n, this.offset, this.answered)) {
      return this.end('wrongBytes', `in ${n} bytes from byte ${this.answered} of ${pattern.messageBytes}`);
    }
    this.answered += n;
    this.busy = this.answered < pattern.messageBytes;
    return !this.busy;
  }

  /** Whether the whole answer came within the time allowed. Counted, and closed, when it did not. */
  inTime(nowMs: number): boolean {
    const tookMs = nowMs - this.sinceMs;
    return tookMs <= this.shared.timeoutMs || this.end('timeout', `answered after ${tookMs.toFixed(1)} ms`);
  }

  /** With no request under way: counts bytes that nobody asked for, or an end that came too soon. */
  expectSilence(): void {
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n > 0) this.end('wrongBytes', `${n} bytes after the last answer`);
    else if (n === 0) this.end('earlyClose', 'after the last answer');
    else {
      const number = errno();
      if (number !== E.EAGAIN) this.fail(number, 'recv');
    }
  }

  /** Sends the FIN after the last answer, so that whatever the server still has to say comes before its own. */
  sayEnd(): void {
    libc.shutdown(this.fd, SHUT_WR);
  }

  /** After sayEnd(): true once the server has ended too, or the session is closed for an error (counted). */
  ended(): boolean {
    const n = recvInto(this.fd, received.bytes, RECEIVE_BYTES);
    if (n > 0) return !this.end('wrongBytes', `${n} bytes after the last answer`);
    if (n === 0) return true;
    const number = errno();
    return number !== E.EAGAIN && !this.fail(number, 'recv');
  }

  /** Counts a connect or an answer that did not come in time. */
  timedOut(): void {
    const { timeoutMs, pattern } = this.shared;
    const at = `${this.answered} of ${pattern.messageBytes} bytes after ${timeoutMs} ms`;
    this.end('timeout', this.connecting ? `not connected after ${timeoutMs} ms` : at);
  }

  /** Closes the descriptor; epoll forgets it by itself. Safe to call twice. */
  close(): void {
    if (this.fd < 0) return;
    closeFd(this.fd);
    this.fd = -1;
    this.busy = false;
  }

  private fail(number: number, doing: string): false {
    const code = errnoName(number);
    return this.end(classOf(code), `${doing}: ${code}`);
  }

  private end(kind: ErrorClass, detail: string): false {
    this.shared.tally.error(kind, detail);
    this.close();
    return false;
  }
}
