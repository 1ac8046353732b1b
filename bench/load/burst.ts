/**
 * Burst mode: all clients connect at once, each sends its requests one after another, and closes.
 *
 * The shape of kecho's own measurements. A client's first sample begins at its connect(): a connection that the server
 * accepts late, or whose SYN a full backlog drops, is a slow response. After its last echo a client sends FIN and reads
 * until the server's FIN, which finds surplus bytes, also those sent only on disconnect. The window, from the first
 * connect to the last echo, excludes this closing phase.
 */
import { EPOLLIN, EPOLLOUT } from '../../src/sys/epoll.ts';
import { ERRORS_MAX, type Handler, type Shared } from './client.ts';
import type { LoadOptions } from './load-options.ts';
import type { Pump } from './pump.ts';
import { Session } from './session.ts';

// Connects between two epoll waits, so that the first clients need not wait for the last.
const CONNECTS_PER_TURN = 16;
/** How long to wait for the server's FIN after the client's. */
const FIN_TIMEOUT_MS = 1_000;
const WARM_BURSTS_MAX = 20;

export class Burst implements Handler {
  /** Clients without their last echo that have not failed. */
  unfinished = 0;
  /** Clients that wait for the server's FIN. */
  closing = 0;
  private unopened = 0;
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
    this.unopened = this.clients;
    this.closing = 0;
  }

  /** Opens the next few connections. */
  due(): number {
    const turn = Math.min(this.unopened, CONNECTS_PER_TURN);
    for (let i = 0; i < turn; i++) this.openOne();
    this.unopened -= turn;
    return this.unopened > 0 ? 0 : Number.POSITIVE_INFINITY;
  }

  private openOne(): void {
    const session = new Session(this.shared);
    session.requestsLeft = this.requests - 1;
    const opened = session.open(EPOLLIN, performance.now());
    if (opened) this.byFd[session.fd] = session;
    if (!opened || !session.requestEarly()) this.unfinished--;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd < 0) return;
    if (!session.busy) this.awaitFin(session);
    else if ((bits & EPOLLOUT) !== 0 && !session.sendAfterConnect()) this.unfinished--;
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.unfinished--;
  }

  private answered(session: Session): void {
    const nowMs = session.receivedMs;
    if (!session.inTime(nowMs)) {
      this.unfinished--;
      return;
    }
    this.shared.tally.sample(session.startedMs, nowMs);
    if (session.requestsLeft-- > 0) {
      if (!session.request(nowMs, nowMs)) this.unfinished--;
      return;
    }
    this.unfinished--;
    this.closing++;
    session.sendFin();
  }

  outstanding(): number {
    return this.unfinished + this.closing;
  }

  private awaitFin(session: Session): void {
    if (!session.receivedFin()) return;
    session.close();
    this.closing--;
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

/** One burst and its closing phase. */
function burstOnce(burst: Burst, pump: Pump, shared: Shared, options: LoadOptions, measured: boolean): void {
  // Each answer has its own deadline; this limit is above their sum.
  const limitMs = options.timeoutMs * (options.requests + 2);
  burst.begin();
  if (measured) shared.tally.begin();
  pump.run(limitMs, () => burst.unfinished === 0);
  shared.tally.end();
  pump.run(Math.min(FIN_TIMEOUT_MS, options.timeoutMs), () => burst.closing === 0);
  burst.finish();
}

/** The warm-up's bursts, then the measured ones: at least one, until the duration is over. */
export function driveBursts(burst: Burst, pump: Pump, shared: Shared, options: LoadOptions): void {
  const { tally } = shared;
  const { clients, warmupMs, durationMs, maxConnections } = options;
  const hasRoom = (limit: number) =>
    !pump.interrupted && tally.errorCount < ERRORS_MAX && tally.opened + clients <= limit;
  const warmUntilMs = performance.now() + warmupMs;
  for (let n = 0; n < WARM_BURSTS_MAX && performance.now() < warmUntilMs; n++) {
    if (n > 0 && !hasRoom(maxConnections / 4)) break;
    burstOnce(burst, pump, shared, options, false);
  }
  if (pump.interrupted) return;
  tally.forgetConnects();
  tally.serverCost.begin();
  shared.live.enter('window');
  const untilMs = performance.now() + durationMs;
  do burstOnce(burst, pump, shared, options, true);
  while (performance.now() < untilMs && hasRoom(maxConnections));
  tally.serverCost.end();
}
