/**
 * Connections that stay open: what closed and open mode have in common.
 *
 * All connections are open before the first byte is sent. A connection that fails stays closed: opening it
 * again would hide the failure in the numbers.
 */
import { EPOLLOUT } from '../../src/sys/epoll.ts';
import { type Client, ERRORS_MAX, type Shared } from './client.ts';
import { Session } from './session.ts';

// Fewer than any listen(2) backlog in use, so that connecting itself overflows nothing.
const CONNECTING_MAX = 128;

export abstract class Standing implements Client {
  protected readonly shared: Shared;
  protected readonly byFd: (Session | undefined)[] = [];
  protected live = 0;
  /** Requests under way. */
  protected waiting = 0;
  protected running = false;
  private readonly target: number;
  private begun = 0;
  private connecting = 0;

  constructor(shared: Shared, connections: number) {
    this.shared = shared;
    this.target = connections;
  }

  abstract start(nowMs: number): void;
  abstract measure(nowMs: number): void;
  abstract outstanding(): number;
  /** The whole echo is there, and right. */
  protected abstract answered(session: Session): void;

  connect(): void {
    while (this.connecting < CONNECTING_MAX && this.begun < this.target) {
      this.begun++;
      const session = new Session(this.shared);
      if (!session.open(EPOLLOUT, performance.now())) continue;
      this.connecting++;
      this.byFd[session.fd] = session;
    }
  }

  get ready(): boolean {
    return this.begun === this.target && this.connecting === 0;
  }

  warm(): boolean {
    return this.exhausted();
  }

  exhausted(): boolean {
    return this.live === 0 || this.shared.tally.errorCount >= ERRORS_MAX;
  }

  stop(_nowMs: number): void {
    this.running = false;
  }

  due(_nowMs: number): number {
    return Number.POSITIVE_INFINITY;
  }

  event(fd: number, bits: number): void {
    const session = this.byFd[fd];
    if (session === undefined || session.fd < 0) return;
    if (session.connecting) this.connected(session);
    else this.exchange(session, bits);
  }

  private connected(session: Session): void {
    this.connecting--;
    if (session.connected()) {
      this.live++;
      session.expectAnswers();
    }
    this.connect();
  }

  private exchange(session: Session, bits: number): void {
    const { busy } = session;
    if ((bits & EPOLLOUT) !== 0 && !session.sendRest()) this.lost(busy);
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.answered(session);
    else if (session.fd < 0) this.lost(busy);
  }

  protected ask(session: Session, startedMs: number, nowMs: number): void {
    this.waiting++;
    if (!session.request(startedMs, nowMs)) this.lost(true);
  }

  /** The session failed: with a request under way, or idle. */
  protected lost(busy: boolean): void {
    this.live--;
    if (busy) this.waiting--;
  }

  tick(nowMs: number): void {
    const { timeoutMs } = this.shared;
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0 || !session.busy) continue;
      if (nowMs - session.sinceMs <= timeoutMs) continue;
      const { connecting } = session;
      session.timedOut();
      if (!connecting) this.lost(true);
      else {
        this.connecting--;
        this.connect();
      }
    }
  }

  finish(cutShort: boolean): void {
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      // What is under way when the run is cut short had no fair time to end.
      if (session.busy) {
        if (!cutShort) session.timedOut();
      } else session.expectSilence();
      session.close();
    }
  }
}
