/**
 * Runs many scripts at a time on one thread, with epoll. It never yields to Node's event loop, so batches must be
 * bounded. A batch ends when all its scripts have, or at the first violation, and closes what it opened.
 *
 * A script without progress for `stallMs` is a violation too.
 */
import { Sources } from '../../bench/load/sources.ts';
import { EventList, epollCreate, epollWait } from '../../src/sys/epoll.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';
import { closeFd } from '../../src/sys/socket.ts';
import { Connection, type LoopContext, Violation } from './connection.ts';
import type { Script } from './script.ts';

const EVENTS_MAX = 256;
/** Connections started in a row before the open ones get their turn. */
const STARTS_PER_TURN = 16;
const STALL_LOOK_MS = 100;

export interface Failure {
  script: Script;
  /** Index of the operation that failed. */
  at: number;
  what: string;
}

/** The longest time that a script waited for data or for room to send. */
export interface LongestWait {
  waitMs: number;
  index: number;
}

/** Totals of a batch, for comparison with the server's counters. */
export interface BatchResult {
  failure: Failure | null;
  scripts: number;
  /** Scripts that ended with the FIN after the complete echo, or closed with nothing outstanding. */
  orderly: number;
  /** Bytes sent and received by all scripts, and by the orderly ones. */
  sent: number;
  received: number;
  orderlySent: number;
  longest: LongestWait;
}

/** A server on 127.0.0.1, and source addresses for `connections` to it. */
export class Target {
  readonly address: Uint8Array;
  readonly sources: Sources;

  constructor(port: number, connections: number) {
    this.address = encodeSockaddr('127.0.0.1', port);
    this.sources = new Sources('127.0.0.1', connections);
  }
}

class Batch {
  private readonly context: LoopContext;
  private readonly scripts: readonly Script[];
  private readonly concurrency: number;
  private readonly stallMs: number;
  private readonly open = new Map<number, Connection>();
  private readonly events = new EventList(EVENTS_MAX);
  private readonly result: BatchResult;
  private next = 0;
  private nextLookMs = 0;

  constructor(target: Target, scripts: readonly Script[], concurrency: number, stallMs: number) {
    this.context = { epfd: epollCreate(), target: target.address, sources: target.sources };
    this.scripts = scripts;
    this.concurrency = concurrency;
    this.stallMs = stallMs;
    this.result = {
      failure: null,
      scripts: scripts.length,
      orderly: 0,
      sent: 0,
      received: 0,
      orderlySent: 0,
      longest: { waitMs: 0, index: 0 },
    };
  }

  run(): BatchResult {
    try {
      while (this.result.failure === null && (this.next < this.scripts.length || this.open.size > 0))
        this.turn();
    } finally {
      for (const connection of this.open.values()) connection.abandon();
      closeFd(this.context.epfd);
    }
    return this.result;
  }

  private turn(): void {
    const nowMs = performance.now();
    this.begin(nowMs);
    const count = epollWait(this.context.epfd, this.events, this.wakeDue(nowMs));
    for (let i = 0; i < count; i++) {
      const connection = this.open.get(this.events.fd(i));
      if (connection !== undefined)
        this.guard(connection, () => connection.event(this.events.events(i), nowMs));
    }
    if (nowMs >= this.nextLookMs) this.lookForStalls(nowMs);
  }

  private begin(nowMs: number): void {
    for (let i = 0; i < STARTS_PER_TURN && this.open.size < this.concurrency; i++) {
      const script = this.scripts[this.next];
      if (script === undefined) return;
      this.next++;
      const connection = new Connection(script);
      this.guard(connection, () => connection.start(this.context, nowMs));
      if (!connection.done) this.open.set(connection.fd, connection);
    }
  }

  /** Steps the connections whose pause is over, and returns how long epoll may wait for the others. */
  private wakeDue(nowMs: number): number {
    let waitMs = STALL_LOOK_MS;
    if (this.next < this.scripts.length && this.open.size < this.concurrency) waitMs = 0;
    for (const connection of this.open.values()) {
      if (connection.turnsLeft > 0) {
        connection.turnsLeft--;
        waitMs = 0;
        if (connection.turnsLeft > 0) continue;
      } else if (connection.wakeAtMs === 0) continue;
      else if (connection.wakeAtMs > nowMs) {
        waitMs = Math.min(waitMs, Math.ceil(connection.wakeAtMs - nowMs));
        continue;
      }
      this.guard(connection, () => connection.step(nowMs));
      if (connection.turnsLeft > 0) waitMs = 0;
      if (connection.wakeAtMs > 0) waitMs = Math.min(waitMs, 1);
    }
    return waitMs;
  }

  private lookForStalls(nowMs: number): void {
    this.nextLookMs = nowMs + STALL_LOOK_MS;
    for (const connection of this.open.values()) {
      if (nowMs - connection.lastProgressMs < this.stallMs) continue;
      const { received, sent } = connection;
      this.fail(
        connection,
        `no progress for ${this.stallMs} ms, ${received} of ${sent} bytes sent were echoed`,
      );
    }
  }

  /** Runs an action on a connection, and settles the connection if it is done. */
  private guard(connection: Connection, action: () => void): void {
    const { fd } = connection;
    try {
      action();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(connection, error.message);
    }
    if (connection.done) this.settle(connection, fd);
  }

  private fail(connection: Connection, what: string): void {
    const { script, at, fd } = connection;
    this.result.failure ??= { script, at, what };
    connection.abandon();
    this.open.delete(fd);
  }

  private settle({ script, sent, received, orderly, longestWaitMs }: Connection, fd: number): void {
    const { result } = this;
    if (longestWaitMs > result.longest.waitMs)
      result.longest = { waitMs: longestWaitMs, index: script.index };
    this.open.delete(fd);
    result.sent += sent;
    result.received += received;
    if (!orderly) return;
    result.orderly++;
    result.orderlySent += sent;
  }
}

export function runScripts(
  target: Target,
  scripts: readonly Script[],
  concurrency: number,
  stallMs: number,
): BatchResult {
  return new Batch(target, scripts, concurrency, stallMs).run();
}
