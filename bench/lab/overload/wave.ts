/**
 * Waves of connections, in a separate process: opens COUNT of them at RATE a second whatever happens to the earlier
 * ones, holds those that are admitted, and records how and when the others are refused.
 *
 *     node bench/lab/overload/wave.ts PORT COUNT RATE WAVES [echo]
 *
 * When nothing has happened for QUIET_MS after the last connect, all are reset, so that no port stays in TIME_WAIT, and
 * the next wave begins. With `echo` each admitted connection first echoes one byte, one after another, which takes far
 * longer than the wave. Prints one line of JSON, a WaveResult for each wave.
 */
import { setPriority } from 'node:os';
import { resetAndClose } from '../../../src/sys/connection.ts';
import { EPOLLIN, EventList, epollAdd, epollCreate, epollWait } from '../../../src/sys/epoll.ts';
import { check, E, errno, errnoName, libc } from '../../../src/sys/libc.ts';
import { LOOPBACK } from '../../../src/sys/loopback.ts';
import { AF_INET, encodeSockaddr } from '../../../src/sys/sockaddr.ts';
import {
  closeFd,
  isSelfConnected,
  recvInto,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  sendFrom,
} from '../../../src/sys/socket.ts';

export interface WaveResult {
  attempts: number;
  /** Attempts per second, as achieved. */
  rate: number;
  admitted: number;
  /** By the client's error code. */
  refused: Record<string, number>;
  /** From the connect to the refusal, sorted. */
  refusedAfterMs: number[];
  /** Admitted connections whose byte did not come back; null without `echo`. */
  notEchoed: number | null;
}

const SOCK_STREAM = 1;
/** After this long without a refusal, the open connections count as admitted. */
const QUIET_MS = 300;
const LIMIT_MS = 30_000;
const ECHO_LIMIT_MS = 40_000;

const events = new EventList(512);
const byte = new Uint8Array([0x6b]);
const answer = new Uint8Array(16);

class Wave {
  private readonly epfd = epollCreate();
  private readonly target: Uint8Array;
  /** Time of the connect by descriptor, performance.now(). */
  private readonly open = new Map<number, number>();
  private lastMoveMs = 0;
  private spanMs = 0;
  private attempts = 0;
  private readonly refused: Record<string, number> = {};
  private readonly refusedAfterMs: number[] = [];

  constructor(port: number) {
    this.target = encodeSockaddr(LOOPBACK, port);
  }

  run(count: number, rate: number, echo: boolean): WaveResult {
    const startMs = performance.now();
    for (;;) {
      const nowMs = performance.now();
      const due = Math.min(count, Math.floor(((nowMs - startMs) * rate) / 1000) + 1);
      for (let i = 0; this.attempts < due && i < 64; i++) this.connect();
      if (this.attempts < count) this.spanMs = nowMs - startMs;
      this.pollRefusals(this.attempts < due ? 0 : 1);
      const quiet = this.attempts === count && nowMs - this.lastMoveMs > QUIET_MS;
      if (quiet || nowMs - startMs > LIMIT_MS) break;
    }
    const admitted = this.open.size;
    const notEchoed = echo ? this.echoAll() : null;
    for (const fd of this.open.keys()) resetAndClose(fd);
    closeFd(this.epfd);
    return {
      attempts: this.attempts,
      rate: (this.attempts / Math.max(this.spanMs, 1)) * 1000,
      admitted,
      refused: this.refused,
      refusedAfterMs: this.refusedAfterMs.sort((a, b) => a - b),
      notEchoed,
    };
  }

  private connect(): void {
    this.attempts++;
    this.lastMoveMs = performance.now();
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = check('socket', libc.socket(AF_INET, type, 0), 'opening a connection');
    const failed = libc.connect(fd, this.target, this.target.length) < 0 ? errno() : 0;
    // On loopback the handshake is complete, also that of a socket connected to itself.
    const number = isSelfConnected(fd) ? E.ECONNREFUSED : failed;
    this.open.set(fd, this.lastMoveMs);
    if (number !== 0 && number !== E.EINPROGRESS) this.refuse(fd, errnoName(number));
    else epollAdd(this.epfd, fd, EPOLLIN);
  }

  /** Nothing has been sent, so any event is a refusal. */
  private pollRefusals(timeoutMs: number): void {
    const n = epollWait(this.epfd, events, timeoutMs);
    for (let i = 0; i < n; i++) {
      const fd = events.fd(i);
      const got = recvInto(fd, answer, answer.length);
      if (got >= 0) this.refuse(fd, got === 0 ? 'FIN' : 'unexpected bytes');
      else if (errno() !== E.EAGAIN) this.refuse(fd, errnoName(errno()));
    }
  }

  private refuse(fd: number, code: string): void {
    const nowMs = performance.now();
    this.refused[code] = (this.refused[code] ?? 0) + 1;
    this.refusedAfterMs.push(nowMs - (this.open.get(fd) ?? nowMs));
    this.lastMoveMs = nowMs;
    this.open.delete(fd);
    resetAndClose(fd);
  }

  private echoAll(): number {
    const untilMs = performance.now() + ECHO_LIMIT_MS;
    let missing = 0;
    for (const fd of this.open.keys()) {
      sendFrom(fd, byte, 1);
      let got = -1;
      while (got < 0 && performance.now() < untilMs) {
        epollWait(this.epfd, events, 100); // blocks, which leaves the CPU to the server
        got = recvInto(fd, answer, answer.length);
        if (got < 0 && errno() !== E.EAGAIN) break;
      }
      if (got !== 1 || answer[0] !== byte[0]) missing++;
    }
    return missing;
  }
}

// Lowest priority: the server's use of the CPU is measured, not the client's.
setPriority(19);
const [port = 0, count = 0, rate = 0, times = 0] = process.argv.slice(2, 6).map(Number);
const echo = process.argv[6] === 'echo';
const results = Array.from({ length: times }, () => new Wave(port).run(count, rate, echo));
process.stdout.write(`${JSON.stringify(results)}\n`);
