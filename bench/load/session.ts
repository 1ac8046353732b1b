/**
 * One connection of the load generator and the request it has under way.
 *
 * A session knows how to connect, send and check; when to do so is the mode's affair (closed.ts,
 * churn.ts). It owns its descriptor from open() to close(). Everything is non-blocking, and all sessions
 * share one receive buffer, because an answer is checked as its parts arrive.
 */
import { EPOLLIN, EPOLLOUT, epollAdd, epollModify } from '../../src/sys/epoll.ts';
import { check, E, errno, errnoName, libc } from '../../src/sys/libc.ts';
import { AF_INET, AF_INET6, SOCKADDR_BYTES } from '../../src/sys/sockaddr.ts';
import { closeFd, recvInto, SOCK_CLOEXEC, SOCK_NONBLOCK, sendFrom } from '../../src/sys/socket.ts';
import type { Pattern } from './pattern.ts';
import type { ErrorClass } from './result.ts';
import type { Sources } from './sources.ts';
import type { Tally } from './tally.ts';

const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
// Below every loopback segment size.
const ONE_SEGMENT_BYTES = 1024;
const RECEIVE_BYTES = 64 * 1024;

const received = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
const yes = new Int32Array([1]);

/** What all sessions of a run share. */
export interface Shared {
  epfd: number;
  /** Where to connect to. */
  target: Uint8Array;
  sources: Sources;
  pattern: Pattern;
  tally: Tally;
}

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
  /** A request is under way. */
  busy = false;
  private readonly shared: Shared;
  private offset = 0;
  private sent = 0;
  private answered = 0;
  private waitsToSend = false;

  constructor(shared: Shared) {
    this.shared = shared;
  }

  /** Begins to connect and watches the socket for `events`. False when that failed at once (counted). */
  open(events: number): boolean {
    const { epfd, target, sources, pattern, tally } = this.shared;
    const family = target.length === SOCKADDR_BYTES ? AF_INET6 : AF_INET;
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.fd = check('socket', libc.socket(family, type, 0), 'opening a connection');
    tally.opened++;
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
    this.waitToSend(false);
    return true;
  }

  /** Takes the next message and sends what the socket accepts of it. False when it failed (counted). */
  request(startedMs: number): boolean {
    this.startedMs = startedMs;
    this.busy = true;
    this.offset = this.shared.pattern.next();
    this.sent = 0;
    this.answered = 0;
    return this.sendRest();
  }

  /** Goes on sending, after EPOLLOUT too. False when it failed (counted). */
  sendRest(): boolean {
    const { pattern } = this.shared;
    while (this.sent < pattern.messageBytes) {
      const n = sendFrom(this.fd, pattern.unsent(this.offset, this.sent), pattern.messageBytes - this.sent);
      if (n < 0) {
        const number = errno();
        if (number === E.EAGAIN) break;
        return this.fail(number, 'send');
      }
      this.sent += n;
    }
    this.waitToSend(this.sent < pattern.messageBytes);
    return true;
  }

  private waitToSend(wait: boolean): void {
    if (wait === this.waitsToSend) return;
    this.waitsToSend = wait;
    epollModify(this.shared.epfd, this.fd, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  /** Takes what has arrived and checks it. True when the whole answer is there and right. */
  receive(): boolean {
    const { pattern } = this.shared;
    const n = recvInto(this.fd, received, RECEIVE_BYTES);
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

  /** With no request under way: counts bytes that nobody asked for, or a connection that has gone. */
  expectSilence(): void {
    const n = recvInto(this.fd, received, RECEIVE_BYTES);
    if (n > 0) this.end('wrongBytes', `${n} bytes after the last answer`);
    else if (n === 0) this.end('earlyClose', 'after the last answer');
    else {
      const number = errno();
      if (number !== E.EAGAIN) this.fail(number, 'recv');
    }
  }

  /** Counts an answer that did not come in time. */
  timedOut(doing: string): void {
    this.end('timeout', doing);
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
