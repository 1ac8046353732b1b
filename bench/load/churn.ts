/**
 * Churn mode: connect, send one message, check its echo, close; a fixed number of connections at a time.
 *
 * One sample is one connection, from before socket() to after close(). The client closes first, so TIME_WAIT is on
 * its side; `maxConnections` bounds those sockets, and sources.ts spreads them over addresses.
 */
import { EPOLLIN, EPOLLOUT } from '../../src/sys/epoll.ts';
import { type Client, ERRORS_MAX, type Shared } from './client.ts';
import { Session } from './session.ts';

export class ChurnClient implements Client {
  readonly ready = true;
  private readonly shared: Shared;
  private readonly concurrency: number;
  private readonly requests: number;
  private readonly maxConnections: number;
  private readonly byFd: (Session | undefined)[] = [];
  /** Maximum number of connections opened so far. */
  private limit: number;
  private inFlight = 0;
  private running = false;

  constructor(shared: Shared, concurrency: number, requests: number, maxConnections: number) {
    this.shared = shared;
    this.concurrency = concurrency;
    this.requests = requests;
    this.maxConnections = maxConnections;
    this.limit = maxConnections;
  }

  connect(): void {
    // Each sample opens its own connection.
  }

  start(): void {
    this.running = true;
    for (let i = 0; i < this.concurrency; i++) {
      this.inFlight++;
      this.connectNext(new Session(this.shared));
    }
  }

  warm(): boolean {
    return this.inFlight === 0 || this.shared.tally.opened >= this.maxConnections / 4;
  }

  measure(): void {
    const { tally } = this.shared;
    tally.forgetConnects();
    if (this.requests === 0) return;
    this.limit = Math.min(this.maxConnections, tally.opened + this.concurrency * this.requests);
  }

  exhausted(): boolean {
    return this.inFlight === 0 || (this.requests === 0 && this.shared.tally.opened >= this.limit);
  }

  stop(): void {
    this.running = false;
  }

  outstanding(): number {
    return this.inFlight;
  }

  due(): number {
    return Number.POSITIVE_INFINITY;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd !== fd) return;
    if ((bits & EPOLLOUT) !== 0 && !session.sendAfterConnect()) this.connectNext(session);
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.connectNext(session);
  }

  private answered(session: Session): void {
    const late = !session.inTime(performance.now());
    session.close();
    if (!late) this.shared.tally.sample(session.startedMs, performance.now());
    this.connectNext(session);
  }

  /** Opens the slot's next connection, or gives up the slot at the end of the run. */
  private connectNext(session: Session): void {
    const { tally } = this.shared;
    while (this.running && tally.opened < this.limit && tally.errorCount < ERRORS_MAX) {
      if (!session.open(EPOLLIN, performance.now())) continue;
      this.byFd[session.fd] = session;
      if (session.requestEarly()) return;
    }
    this.inFlight--;
  }

  tick(nowMs: number): void {
    const { timeoutMs } = this.shared;
    // A session reopened here may be visited again at its new descriptor; it is not late then.
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0 || nowMs - session.sinceMs <= timeoutMs) continue;
      session.timedOut();
      this.connectNext(session);
    }
  }

  finish(cutShort: boolean): void {
    // After ERRORS_MAX errors the run ended early: connections in flight did not have their full timeout.
    const countTimeouts = !cutShort && this.shared.tally.errorCount < ERRORS_MAX;
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      if (countTimeouts) session.timedOut();
      session.close();
    }
  }
}
