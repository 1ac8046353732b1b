/**
 * Persistent connections: the common part of closed and open mode.
 *
 * All connections are open before the first byte is sent. A failed connection stays closed: reopening it would hide
 * the failure.
 */
import { EPOLLOUT } from '../../src/sys/epoll.ts';
import { type Client, ERRORS_MAX, type Shared } from './client.ts';
import { Session } from './session.ts';

// Below any listen(2) backlog in use, so that connecting does not overflow it.
const CONNECTING_MAX = 128;

export abstract class Standing implements Client {
  protected readonly shared: Shared;
  protected readonly byFd: (Session | undefined)[] = [];
  protected live = 0;
  /** Requests in flight. */
  protected waiting = 0;
  protected running = false;
  /** To open before the load. */
  protected connections: number;
  private opened = 0;
  private connecting = 0;

  constructor(shared: Shared, connections: number) {
    this.shared = shared;
    this.connections = connections;
  }

  abstract start(nowMs: number): void;
  abstract measure(nowMs: number): void;
  abstract outstanding(): number;
  /** Called for a complete, correct echo within the timeout. */
  protected abstract answered(session: Session): void;

  connect(): void {
    while (this.connecting < CONNECTING_MAX && this.opened < this.connections) {
      this.opened++;
      const session = new Session(this.shared);
      if (!session.open(EPOLLOUT, performance.now())) continue;
      this.connecting++;
      this.byFd[session.fd] = session;
    }
  }

  get ready(): boolean {
    return this.opened === this.connections && this.connecting === 0;
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
    if ((bits & EPOLLOUT) !== 0 && !session.sendRest()) this.countLost(busy);
    else if ((bits & ~EPOLLOUT) === 0) return;
    else if (session.receive()) this.took(session);
    else if (session.fd < 0) this.countLost(busy);
  }

  private took(session: Session): void {
    if (!session.inTime(session.receivedMs)) {
      this.countLost(true);
      return;
    }
    this.waiting--;
    this.answered(session);
  }

  /** The connections that asked in the window. */
  protected asked(): Session[] {
    return this.byFd.filter((session) => session !== undefined && session.spentMs > 0) as Session[];
  }

  protected ask(session: Session, startedMs: number, nowMs: number): void {
    this.waiting++;
    if (!session.request(startedMs, nowMs)) this.countLost(true);
  }

  /** Counts a failed session, which was `busy` or idle. */
  protected countLost(busy: boolean): void {
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
      if (!connecting) this.countLost(true);
      else {
        this.connecting--;
        this.connect();
      }
    }
  }

  finish(cutShort: boolean): void {
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      // In a run cut short, requests in flight did not have their full timeout.
      if (session.busy) {
        if (!cutShort) session.timedOut();
      } else session.expectSilence();
      session.close();
    }
    this.shared.tally.served = this.asked();
  }
}
