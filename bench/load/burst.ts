/**
 * Burst mode: all clients connect at once, each sends its requests one after another, and closes.
 *
 * The shape of kecho's own measurements. After its last echo a client ends its sending side and reads until
 * the server ends too: bytes that a server sends too many, or only when its client leaves, are found so. That
 * farewell is outside the window, which is from the first connect to the last echo.
 */
import { EPOLLIN, EPOLLOUT } from '../../src/sys/epoll.ts';
import { ERRORS_MAX, type Handler, type Shared } from './client.ts';
import type { LoadOptions } from './load-options.ts';
import type { Pump } from './pump.ts';
import { Session } from './session.ts';

// Connects between two looks at what has been answered, so that the first clients need not wait for the last.
const CONNECTS_PER_TURN = 16;
/** A server that does not end in this time after its client's end is left alone. */
const FAREWELL_MS = 1_000;
const WARM_BURSTS_MAX = 20;

export class Burst implements Handler {
  /** Clients that have not got their last echo, nor failed. */
  unfinished = 0;
  /** Clients that wait for the server's end. */
  leaving = 0;
  private toOpen = 0;
  private byFd: (Session | undefined)[] = [];
  private readonly shared: Shared;
  private readonly clients: number;
  private readonly requests: number;

  constructor(shared: Shared, clients: number, requests: number) {
    this.shared = shared;
    this.clients = clients;
    this.requests = requests;
  }

  begin(): void {
    this.byFd = [];
    this.unfinished = this.clients;
    this.toOpen = this.clients;
    this.leaving = 0;
  }

  /** Opens the next few connections. */
  due(): number {
    const turn = Math.min(this.toOpen, CONNECTS_PER_TURN);
    for (let i = 0; i < turn; i++) this.openOne();
    this.toOpen -= turn;
    return this.toOpen > 0 ? 0 : Number.POSITIVE_INFINITY;
  }

  private openOne(): void {
    const session = new Session(this.shared);
    session.left = this.requests - 1;
    const opened = session.open(EPOLLIN, performance.now());
    if (opened) this.byFd[session.fd] = session;
    if (!opened || !session.requestEarly(false)) this.unfinished--;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd < 0) return;
    if (!session.busy) this.left(session);
    else if ((bits & EPOLLOUT) !== 0 && !session.sendAfterConnect()) this.unfinished--;
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.unfinished--;
  }

  private answered(session: Session): void {
    const nowMs = performance.now();
    if (!session.inTime(nowMs)) {
      this.unfinished--;
      return;
    }
    this.shared.tally.sample(session.startedMs, nowMs);
    if (session.left-- > 0) {
      if (!session.request(nowMs, nowMs)) this.unfinished--;
      return;
    }
    this.unfinished--;
    this.leaving++;
    session.sayEnd();
  }

  outstanding(): number {
    return this.unfinished + this.leaving;
  }

  private left(session: Session): void {
    if (!session.ended()) return;
    session.close();
    this.leaving--;
  }

  tick(nowMs: number): void {
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0 || !session.busy) continue;
      if (nowMs - session.sinceMs <= this.shared.timeoutMs) continue;
      session.timedOut();
      this.unfinished--;
    }
  }

  finish(): void {
    for (const session of this.byFd) session?.close();
  }
}

/** One burst and its farewell. */
function burstOnce(burst: Burst, pump: Pump, shared: Shared, options: LoadOptions, measured: boolean): void {
  // Each answer has its own deadline; this is only above all of them.
  const limitMs = options.timeoutMs * (options.requests + 2);
  burst.begin();
  if (measured) shared.tally.begin();
  pump.run(limitMs, () => burst.unfinished === 0);
  shared.tally.end();
  pump.run(Math.min(FAREWELL_MS, options.timeoutMs), () => burst.leaving === 0);
  burst.finish();
}

/** The warm-up's bursts, then the measured ones: one, or as many as the duration has room for. */
export function driveBursts(burst: Burst, pump: Pump, shared: Shared, options: LoadOptions): void {
  const { tally } = shared;
  const { clients, warmupMs, durationMs, maxConnections } = options;
  const room = (limit: number) =>
    !pump.interrupted && tally.errorCount < ERRORS_MAX && tally.opened + clients <= limit;
  const warmUntilMs = performance.now() + warmupMs;
  for (let n = 0; n < WARM_BURSTS_MAX && performance.now() < warmUntilMs; n++) {
    if (n > 0 && !room(maxConnections / 4)) break;
    burstOnce(burst, pump, shared, options, false);
  }
  if (pump.interrupted) return;
  tally.forgetConnects();
  tally.serverCost.begin();
  const untilMs = performance.now() + durationMs;
  do burstOnce(burst, pump, shared, options, true);
  while (performance.now() < untilMs && room(maxConnections));
  tally.serverCost.end();
}
