/**
 * Closed mode: every connection sends its next message as soon as the whole echo of the last is back.
 *
 * So there is exactly one request under way per connection, and the rate is what server and generator
 * reach together. All connections are open before the first byte is sent. A connection that fails stays
 * closed: opening it again would hide the failure in the numbers.
 */
import { EPOLLOUT } from '../../src/sys/epoll.ts';
import type { Client } from './drive.ts';
import { Session, type Shared } from './session.ts';
import { ERRORS_MAX } from './tally.ts';

// Fewer than any listen(2) backlog in use, so that connecting itself overflows nothing.
const CONNECTING_MAX = 128;

export class ClosedClient implements Client {
  private readonly shared: Shared;
  private readonly target: number;
  private readonly byFd: (Session | undefined)[] = [];
  private opened = 0;
  private connecting = 0;
  private live = 0;
  private waiting = 0;
  private running = false;

  constructor(shared: Shared, connections: number) {
    this.shared = shared;
    this.target = connections;
  }

  connect(): void {
    while (this.connecting < CONNECTING_MAX && this.opened < this.target) {
      this.opened++;
      const session = new Session(this.shared);
      if (!session.open(EPOLLOUT)) continue;
      this.connecting++;
      this.byFd[session.fd] = session;
    }
  }

  get ready(): boolean {
    return this.opened === this.target && this.connecting === 0;
  }

  start(nowMs: number): void {
    this.running = true;
    for (const session of this.byFd) if (session !== undefined && session.fd >= 0) this.ask(session, nowMs);
  }

  warm(): boolean {
    return this.live === 0;
  }

  exhausted(): boolean {
    return this.live === 0;
  }

  stop(): void {
    this.running = false;
  }

  outstanding(): number {
    return this.waiting;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd < 0) return;
    if (this.opened < this.target || this.connecting > 0) this.connected(session);
    else this.exchange(session, bits);
  }

  private connected(session: Session): void {
    this.connecting--;
    if (session.connected()) this.live++;
    this.connect();
  }

  private exchange(session: Session, bits: number): void {
    const { busy } = session;
    if ((bits & EPOLLOUT) !== 0 && !session.sendRest()) this.lost(busy);
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.lost(busy);
  }

  private answered(session: Session): void {
    const nowMs = performance.now();
    this.waiting--;
    this.shared.tally.sample(session.startedMs, nowMs);
    if (this.running) this.ask(session, nowMs);
  }

  private ask(session: Session, nowMs: number): void {
    this.waiting++;
    if (!session.request(nowMs)) this.lost(true);
  }

  /** The session failed: with a request under way, or idle during the drain. */
  private lost(busy: boolean): void {
    this.live--;
    if (busy) this.waiting--;
  }

  finish(): void {
    const { tally } = this.shared;
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      // After too many errors the run ended early: what is still under way had no fair time to end.
      if (tally.errorCount >= ERRORS_MAX) session.close();
      else if (!this.ready) session.timedOut('while connecting');
      else if (session.busy) session.timedOut('while waiting for an echo');
      else session.expectSilence();
      session.close();
    }
  }
}
