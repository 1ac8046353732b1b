/**
 * Closed mode: every connection sends its next message as soon as the previous echo is complete.
 *
 * So each connection has exactly one request in flight, and the rate is what server and generator reach together.
 */
import type { Shared } from './client.ts';
import type { Session } from './session.ts';
import { Standing } from './standing.ts';

export class ClosedClient extends Standing {
  /** Requests per connection in the window; infinite when the duration ends it. */
  private readonly requests: number;
  private measuring = false;

  constructor(shared: Shared, connections: number, requests: number) {
    super(shared, connections);
    this.requests = requests === 0 ? Number.POSITIVE_INFINITY : requests;
  }

  start(nowMs: number): void {
    this.running = true;
    for (const session of this.senders()) {
      if (session === undefined || session.fd < 0) continue;
      session.requestsLeft = this.measuring ? this.requests - 1 : Number.POSITIVE_INFINITY;
      this.ask(session, nowMs, nowMs);
    }
  }

  /** The connections that send. */
  protected senders(): readonly (Session | undefined)[] {
    return this.byFd;
  }

  /** Also those whose request before the window is still unanswered. */
  protected override asked(): Session[] {
    return this.senders().filter((session) => session !== undefined);
  }

  measure(_nowMs: number): void {
    this.measuring = true;
    // The request in flight started in the warm-up and does not count.
    for (const session of this.byFd) if (session !== undefined) session.requestsLeft = this.requests;
  }

  override exhausted(): boolean {
    return this.waiting === 0 || super.exhausted();
  }

  outstanding(): number {
    return this.waiting;
  }

  protected answered(session: Session): void {
    const nowMs = session.receivedMs;
    session.sample(nowMs);
    if (this.running && session.requestsLeft-- > 0) this.ask(session, nowMs, nowMs);
  }
}
