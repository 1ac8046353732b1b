/**
 * One script on its connection, checked against the model: the echo is the stream that was sent, from its first byte,
 * never longer, and does not end before the script does; after a half-close it is complete and followed by the FIN.
 *
 * Runs in the loop (loop.ts), never waits, and owns its descriptor from start() to close(). Non-blocking and
 * edge-triggered: an operation is tried until EAGAIN, then again at the next event.
 */
import type { Sources } from '../../bench/load/sources.ts';
import { resetAndClose } from '../../src/sys/connection.ts';
import { EPOLLERR, EPOLLIN, EPOLLOUT, epollAdd } from '../../src/sys/epoll.ts';
import { check, E, errno, errnoName, libc } from '../../src/sys/libc.ts';
import { AF_INET } from '../../src/sys/sockaddr.ts';
import { closeFd, isSelfConnected, recvInto, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../src/sys/socket.ts';
import { RING } from './random.ts';
import type { Operation, Script } from './script.ts';

const EPOLLET = 1 << 31;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_MAXSEG = 2;
const TCP_INFO = 11;
/** tcpi_state, the first byte of struct tcp_info, once both directions have ended. */
const TCP_CLOSE = 7;
const SHUT_RD = 0;
const SHUT_WR = 1;
const MSG_OOB = 1;
const MSG_NOSIGNAL = 0x4000;
/** For a connection whose events are useless: after SHUT_RD it is always readable. */
const POLL_MS = 1;

/** Shared by all connections of a run. */
export interface LoopContext {
  epfd: number;
  target: Uint8Array;
  sources: Sources;
}

/** A deviation from the model. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

const received = Buffer.allocUnsafeSlow(64 * 1024);
const number = new Int32Array(1);
const numberLength = new Uint32Array([4]);
const state = new Uint8Array(1);
const stateLength = new Uint32Array([1]);

function setOption(fd: number, level: number, name: number, value: number): void {
  number[0] = value;
  check('setsockopt', libc.setsockopt(fd, level, name, number, 4), 'preparing a connection');
}

export class Connection {
  readonly script: Script;
  fd = -1;
  /** Bytes accepted by the kernel, and echoed. */
  sent = 0;
  received = 0;
  /** Index of the current operation. */
  at = 0;
  done = false;
  /** Ended with the complete echo and then the FIN, or closed with nothing outstanding. */
  orderly = false;
  lastProgressMs = 0;
  /** The longest time without progress. */
  longestWaitMs = 0;
  /** It waits for this many turns, for this time or, if both are 0, for an event. */
  turnsLeft = 0;
  wakeAtMs = 0;
  private connected = false;
  private sentOfThis = 0;
  private target = -1;
  private readShut = false;
  private writeShut = false;
  private nowMs = 0;

  constructor(script: Script) {
    this.script = script;
  }

  start({ epfd, target, sources }: LoopContext, nowMs: number): void {
    const { script } = this;
    this.lastProgressMs = nowMs;
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.fd = check('socket', libc.socket(AF_INET, type, 0), 'opening a connection');
    if (script.receiveBuffer > 0) setOption(this.fd, SOL_SOCKET, SO_RCVBUF, script.receiveBuffer);
    if (script.sendBuffer > 0) setOption(this.fd, SOL_SOCKET, SO_SNDBUF, script.sendBuffer);
    if (script.segment > 0) setOption(this.fd, IPPROTO_TCP, TCP_MAXSEG, script.segment);
    if (script.noDelay) setOption(this.fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sources.bind(this.fd);
    if (libc.connect(this.fd, target, target.length) < 0 && errno() !== E.EINPROGRESS) {
      throw new Violation(`cannot connect: ${errnoName(errno())}`);
    }
    // On loopback the handshake is complete, also that of a socket connected to itself.
    if (isSelfConnected(this.fd)) throw new Violation('cannot connect: ECONNREFUSED');
    epollAdd(epfd, this.fd, EPOLLIN | EPOLLOUT | EPOLLET);
    if (script.early) this.step(nowMs);
  }

  /** Handles an event of its descriptor. */
  event(bits: number, nowMs: number): void {
    if ((bits & EPOLLERR) === 0 && (bits & EPOLLOUT) !== 0) this.connected = true;
    if (!this.connected) this.checkNoError();
    if (this.turnsLeft === 0 && this.wakeAtMs === 0) this.step(nowMs);
  }

  /** Performs operations until it must wait or is done. Throws Violation. */
  step(nowMs: number): void {
    this.nowMs = nowMs;
    this.wakeAtMs = 0;
    const { operations } = this.script;
    while (!this.done) {
      const operation = operations[this.at];
      if (operation === undefined) throw new Error('a script must close its connection');
      if (!this.perform(operation)) return;
      this.at++;
      this.sentOfThis = 0;
      this.target = -1;
      this.progress();
      if (this.turnsLeft > 0 || this.wakeAtMs > 0) return; // the next step ends the pause
    }
  }

  private progress(): void {
    this.longestWaitMs = Math.max(this.longestWaitMs, this.nowMs - this.lastProgressMs);
    this.lastProgressMs = this.nowMs;
  }

  /** At the end of a failed run. */
  abandon(): void {
    if (this.fd >= 0) resetAndClose(this.fd);
    this.fd = -1;
    this.done = true;
  }

  /** True when the operation is complete, false when it must wait. */
  private perform(operation: Operation): boolean {
    switch (operation.do) {
      case 'send':
        return this.send(operation.length, operation.urgent ? MSG_OOB : 0);
      case 'read':
        return this.readUntil(Math.min(this.sent, this.received + operation.length));
      case 'readAll':
        return this.readUntil(this.sent);
      case 'yield':
        this.turnsLeft = operation.turns;
        return true;
      case 'pause':
        this.wakeAtMs = this.nowMs + operation.ms;
        return true;
      default:
        // A socket that is not yet connected cannot be shut down, and closing it might abort the connect.
        return this.connected && this.change(operation.do);
    }
  }

  private change(what: 'shutdownRead' | 'shutdownWrite' | 'toEnd' | 'close' | 'reset'): boolean {
    if (what === 'shutdownRead') return this.shutRead();
    if (what === 'shutdownWrite') return this.halfClose();
    if (what === 'toEnd') {
      if (!this.halfClose() || !this.readToEnd()) return false;
      this.orderly = true;
    } else {
      this.checkNoError();
      this.orderly = what === 'close' && this.received === this.sent;
    }
    if (what === 'reset') resetAndClose(this.fd);
    else closeFd(this.fd);
    this.fd = -1;
    this.done = true;
    return true;
  }

  // When both directions are shut, Linux answers incoming data with a reset (TCPAbortOnData). So the second is shut
  // only when no echo is outstanding.

  private shutRead(): boolean {
    if (this.writeShut && !this.readUntil(this.sent)) return false;
    this.readShut = true;
    libc.shutdown(this.fd, SHUT_RD);
    return true;
  }

  private halfClose(): boolean {
    if (this.writeShut) return true;
    if (this.readShut && !this.readUntil(this.sent)) return false;
    if (libc.shutdown(this.fd, SHUT_WR) < 0) {
      throw new Violation(`shutdown: ${errnoName(errno())}: the server has ended the connection`);
    }
    this.writeShut = true;
    return true;
  }

  private send(length: number, flags: number): boolean {
    while (this.sentOfThis < length) {
      const from = this.script.base + this.sent;
      const rest = length - this.sentOfThis;
      const n = libc.send(this.fd, RING.subarray(from, from + rest), rest, flags | MSG_NOSIGNAL);
      if (n < 0) {
        const code = errno();
        if (code === E.EINTR) continue;
        if (code !== E.EAGAIN)
          throw new Violation(`send: ${errnoName(code)}: the server has ended the connection`);
        if (this.receive() === 0) return this.waitForEvents();
        continue;
      }
      this.connected = true;
      this.sent += n;
      this.sentOfThis += n;
      this.progress();
    }
    return true;
  }

  private readUntil(target: number): boolean {
    if (this.target < 0) this.target = target; // as of the beginning of the operation
    while (this.received < this.target) if (this.receive() === 0) return this.waitForEvents();
    return true;
  }

  private waitForEvents(): false {
    if (this.readShut) this.wakeAtMs = this.nowMs + POLL_MS;
    return false;
  }

  /** Reads the rest of the echo, and then the FIN. */
  private readToEnd(): boolean {
    if (!this.readUntil(this.sent)) return false;
    const n = this.receive(true);
    if (n > 0) throw new Error('unreachable: receive() refuses more than was sent');
    if (n < 0) return true;
    if (!this.readShut) return false;
    libc.getsockopt(this.fd, IPPROTO_TCP, TCP_INFO, state, stateLength);
    this.checkNoError(); // a reset also ends both directions
    return state[0] === TCP_CLOSE || this.waitForEvents();
  }

  /** Reads and checks. Returns the number of bytes, 0 for none yet, -1 for an expected FIN. */
  private receive(finExpected = false): number {
    const n = recvInto(this.fd, received, Math.min(this.script.piece, received.length));
    if (n > 0) {
      this.verify(n);
      this.received += n;
      this.connected = true;
      this.progress();
      return n;
    }
    if (n < 0) {
      const code = errno();
      if (code !== E.EAGAIN) throw new Violation(`recv: ${errnoName(code)} after ${this.soFar()}`);
      return 0;
    }
    if (this.readShut) return 0; // not from the server
    if (finExpected) return -1;
    throw new Violation(
      this.writeShut ? `a FIN after only ${this.soFar()}` : `a FIN too early, after ${this.soFar()}`,
    );
  }

  private verify(n: number): void {
    const { base } = this.script;
    const known = Math.min(n, this.sent - this.received);
    const from = base + this.received;
    if (received.compare(RING, from, from + known, 0, known) !== 0) {
      let i = 0;
      while (received[i] === RING[from + i]) i++;
      const [got, expected] = [bytesAt(received.subarray(0, n), i), bytesAt(RING, from + i)];
      throw new Violation(`byte ${this.received + i} of the stream: got ${got}, expected ${expected}`);
    }
    if (known < n) throw new Violation(`${n - known} bytes more than were sent, after ${this.soFar()}`);
  }

  private soFar(): string {
    return `${this.received} of ${this.sent} bytes sent`;
  }

  /** Throws if an error is pending on the socket, as after a reset. */
  private checkNoError(): void {
    numberLength[0] = 4;
    libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, number, numberLength);
    const pending = number[0] ?? 0;
    if (pending !== 0)
      throw new Violation(`the connection failed: ${errnoName(pending)} after ${this.soFar()}`);
  }
}

function bytesAt(bytes: Buffer, at: number): string {
  return bytes.toString('hex', at, Math.min(bytes.length, at + 8));
}
