/**
 * The echo loop that all strategies share.
 *
 * Runs in a worker. Receives at most one buffer, sends exactly these bytes back, whatever their values (RFC 862), and
 * ends at the peer's FIN or an error; it never closes the descriptor, which main owns. `turn` is for non-blocking
 * sockets and never waits: what the socket does not take goes to a spill. `serve` is for blocking sockets and returns
 * when the connection ends.
 *
 * Order: a connection's bytes go out in the order they came in, since nothing is received while it has a spill.
 */

import { type Outcome, packOutcome, ring } from '../src/memory/completions.ts';
import { EchoSample, Latency, record } from '../src/memory/latency.ts';
import {
  addTo,
  BUFFER_BYTES,
  BYTES_IN,
  BYTES_OUT,
  CloseReason,
  CONN_BYTES_IN,
  CONN_BYTES_OUT,
  CONN_ECHOES,
  ECHOES,
  type SharedState,
  SPILLS,
  STOP,
} from '../src/memory/layout.ts';
import {
  areScarce,
  awaitsRoom,
  consumeSpill,
  excessSpills,
  hasSpill,
  keepSpill,
  setAwaitsRoom,
  spillRest,
} from '../src/memory/spill.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { E } from '../src/sys/errno.ts';
import type { SystemCalls } from './system-calls.ts';
import type { Trace } from './trace.ts';

/** The connection stays open. */
const OPEN: Outcome = CloseReason.Open;

function failed(negative: number): Outcome {
  return packOutcome(CloseReason.Error, -negative);
}

/** Handles a request, the first `length` bytes of `buffer`, before its echo. Ends the connection unless Open. */
export type Handle = (fd: number, buffer: Uint8Array, length: number) => Outcome;

export class Echo {
  private readonly shared: SharedState;
  private readonly calls: SystemCalls;
  /** Called after each received request, before it is sent back. */
  private readonly handle: Handle | null;
  /** Non-null at log level trace. */
  private readonly trace: Trace | null;
  private readonly buffer = new Uint8Array(BUFFER_BYTES);
  private readonly bytesIn: number;
  private readonly bytesOut: number;
  private readonly echoes: number;
  private readonly spills: number;
  private readonly workerId: number;
  private readonly sample: EchoSample;

  constructor(
    shared: SharedState,
    workerId: number,
    calls: SystemCalls,
    handle: Handle | null,
    trace: Trace | null,
  ) {
    this.shared = shared;
    this.calls = calls;
    this.handle = handle;
    this.trace = trace;
    this.bytesIn = shared.workerDouble(workerId, BYTES_IN);
    this.bytesOut = shared.workerDouble(workerId, BYTES_OUT);
    this.echoes = shared.workerDouble(workerId, ECHOES);
    this.spills = shared.workerDouble(workerId, SPILLS);
    this.workerId = workerId;
    this.sample = new EchoSample(shared);
  }

  /** Handles one readiness event of a non-blocking socket: flushes its spill, or receives once and echoes. */
  turn(fd: number): Outcome {
    if (hasSpill(this.shared, fd)) return this.flush(fd);
    const room = this.room(fd);
    if (room === 0) return OPEN;
    const n = this.calls.recv(fd, room === BUFFER_BYTES ? this.buffer : this.buffer.subarray(0, room));
    if (n <= 0) return this.ended(n);
    if (!this.sample.next()) return this.echo(fd, n);
    const startMs = monotonicMs();
    const outcome = this.echo(fd, n);
    this.measured(startMs);
    return outcome;
  }

  /** How much to receive: a whole buffer, or while spill buffers are scarce, what the socket can take back. */
  private room(fd: number): number {
    const { shared } = this;
    const room = areScarce(shared) ? Math.min(BUFFER_BYTES, this.calls.sendRoom(fd)) : BUFFER_BYTES;
    if (room === 0 || awaitsRoom(shared, fd)) setAwaitsRoom(shared, fd, room === 0);
    return room;
  }

  private echo(fd: number, n: number): Outcome {
    const handled = this.received(fd, n);
    if (handled !== OPEN) return handled;
    const sent = this.calls.send(fd, this.buffer, 0, n);
    if (sent === n) {
      this.sent(fd, n);
      return OPEN;
    }
    return this.spill(fd, sent, n);
  }

  private measured(startMs: number): void {
    record(this.shared, this.workerId, Latency.echo, (monotonicMs() - startMs) * 1000);
  }

  /** Echoes on a blocking socket until the connection ends or the server stops. */
  serve(fd: number): Outcome {
    for (;;) {
      const n = this.calls.recv(fd, this.buffer);
      if (n > 0) {
        const startMs = this.sample.next() ? monotonicMs() : null;
        const handled = this.received(fd, n);
        const outcome = handled === OPEN ? this.sendAll(fd, n) : handled;
        if (startMs !== null) this.measured(startMs);
        if (outcome !== OPEN) return outcome;
        continue;
      }
      // EAGAIN: the receive timeout passed; check for a stop.
      const outcome = this.ended(n);
      if (outcome !== OPEN) return outcome;
      if (this.stopping()) return CloseReason.Cut;
    }
  }

  /** Waits in send while the peer takes nothing; the socket's send timeout lets it check for a stop. */
  private sendAll(fd: number, length: number): Outcome {
    for (let start = 0; ; ) {
      const n = this.calls.send(fd, this.buffer, start, length);
      if (n > 0) {
        this.sent(fd, n);
        start += n;
      }
      if (n < 0 && n !== -E.EAGAIN) return failed(n);
      if (start === length) return OPEN;
      if (this.stopping()) return CloseReason.Cut;
    }
  }

  private stopping(): boolean {
    return Atomics.load(this.shared.words, STOP) === 1;
  }

  /** recv returned 0 or a negative errno. */
  private ended(n: number): Outcome {
    if (n === 0) return CloseReason.Eof;
    return n === -E.EAGAIN ? OPEN : failed(n);
  }

  private received(fd: number, n: number): Outcome {
    const { shared } = this;
    addTo(shared.connDoubles, shared.connDouble(fd, CONN_BYTES_IN), n);
    addTo(shared.connDoubles, shared.connDouble(fd, CONN_ECHOES), 1);
    addTo(shared.doubles, this.bytesIn, n);
    addTo(shared.doubles, this.echoes, 1);
    const outcome = this.handle === null ? OPEN : this.handle(fd, this.buffer, n);
    if (this.trace !== null) this.trace.echo(fd, n);
    return outcome;
  }

  private sent(fd: number, n: number): void {
    const { shared } = this;
    // The connection's counter first: main checks connections again once a worker's counter has changed.
    addTo(shared.connDoubles, shared.connDouble(fd, CONN_BYTES_OUT), n);
    addTo(shared.doubles, this.bytesOut, n);
  }

  /** send took `sent` of `length` bytes, or returned a negative errno. */
  private spill(fd: number, sent: number, length: number): Outcome {
    if (sent < 0 && sent !== -E.EAGAIN) return failed(sent);
    const start = Math.max(0, sent);
    this.sent(fd, start);
    if (!keepSpill(this.shared, fd, this.buffer.subarray(start, length), monotonicMs()))
      return CloseReason.SpillLimit;
    if (excessSpills(this.shared) > 0) ring(this.shared); // main ends a connection with a spill
    addTo(this.shared.doubles, this.spills, 1);
    return OPEN;
  }

  private flush(fd: number): Outcome {
    const rest = spillRest(this.shared, fd);
    const n = this.calls.send(fd, rest, 0, rest.length);
    if (n < 0) return n === -E.EAGAIN ? OPEN : failed(n);
    this.sent(fd, n);
    consumeSpill(this.shared, fd, n);
    return OPEN;
  }
}
