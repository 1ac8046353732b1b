/**
 * Churn mode: connect, send one message, check its echo, close; a fixed number of connections at a time.
 *
 * One sample is one connection, from before socket() to after close(). The client closes first and so
 * keeps the TIME_WAIT; `maxConnections` bounds how many there are, and sources.ts spreads them.
 */
import { EPOLLIN, EPOLLOUT } from '../../src/sys/epoll.ts';
import type { Client } from './drive.ts';
import { Session, type Shared } from './session.ts';
import { ERRORS_MAX } from './tally.ts';

export class ChurnClient implements Client {
  readonly ready = true;
  private readonly shared: Shared;
  private readonly concurrency: number;
  private readonly maxConnections: number;
  private readonly byFd: (Session | undefined)[] = [];
  private inFlight = 0;
  private running = false;

  constructor(shared: Shared, concurrency: number, maxConnections: number) {
    this.shared = shared;
    this.concurrency = concurrency;
    this.maxConnections = maxConnections;
  }

  connect(): void {
    // Each sample connects for itself.
  }

  start(): void {
    this.running = true;
    for (let i = 0; i < this.concurrency; i++) {
      this.inFlight++;
      this.next(new Session(this.shared));
    }
  }

  warm(): boolean {
    return this.inFlight === 0 || this.shared.tally.opened >= this.maxConnections / 4;
  }

  exhausted(): boolean {
    return this.inFlight === 0 || this.shared.tally.opened >= this.maxConnections;
  }

  stop(): void {
    this.running = false;
  }

  outstanding(): number {
    return this.inFlight;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd !== fd) return;
    if ((bits & EPOLLOUT) !== 0 && !session.sendRest()) this.next(session);
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.next(session);
  }

  private answered(session: Session): void {
    session.close();
    this.shared.tally.sample(session.startedMs, performance.now());
    this.next(session);
  }

  /** Begins the slot's next connection. The slot is given up when there is to be none. */
  private next(session: Session): void {
    const { tally } = this.shared;
    while (this.running && tally.opened < this.maxConnections && tally.errorCount < ERRORS_MAX) {
      const startedMs = performance.now();
      // On loopback connect() has usually finished when it returns EINPROGRESS, so sending at once saves
      // a wait; when it has not, send() says EAGAIN and the session waits for EPOLLOUT.
      if (!session.open(EPOLLIN)) continue;
      this.byFd[session.fd] = session;
      if (session.request(startedMs)) return;
    }
    this.inFlight--;
  }

  finish(): void {
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      // After too many errors the run ended early: what is still under way had no fair time to end.
      if (this.shared.tally.errorCount < ERRORS_MAX) session.timedOut('while waiting for an echo');
      session.close();
    }
  }
}
