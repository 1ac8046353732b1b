/**
 * Open mode: requests are due at a fixed rate, whether the server keeps up or not.
 *
 * Each request has an intended time, and takes any connection that is free. When none is, it goes out as
 * soon as one is, and its response time counts from the intended time: so a server that stops for a moment
 * is charged with every request that would have come meanwhile, and not with one per connection. The time
 * from the actual send is reported beside it.
 */
import type { Shared } from './client.ts';
import type { Session } from './session.ts';
import { Standing } from './standing.ts';

/** Sent later than this after its intended time, a request has missed it. epoll_wait counts in steps of 1 ms. */
const LATE_MS = 2;

export class OpenClient extends Standing {
  private readonly gapMs: number;
  private readonly free: Session[] = [];
  private baseMs = 0;
  /** The number of the next request; it is due at baseMs + next * gapMs. */
  private next = 0;
  /** Requests from this number on were not due, and from `end` on are not sent. */
  private planned = Number.POSITIVE_INFINITY;
  private end = Number.POSITIVE_INFINITY;
  private sendUntilMs = Number.POSITIVE_INFINITY;
  private measuring = false;

  constructor(shared: Shared, connections: number, ratePerSecond: number) {
    super(shared, connections);
    this.gapMs = 1000 / ratePerSecond;
  }

  private numberAt(nowMs: number): number {
    return Math.ceil((nowMs - this.baseMs) / this.gapMs);
  }

  start(nowMs: number): void {
    this.running = true;
    this.baseMs = nowMs;
    for (const session of this.byFd) if (session !== undefined && session.fd >= 0) this.free.push(session);
  }

  measure(_nowMs: number): void {
    this.measuring = true;
  }

  /** What was due until now still goes out, for as long as an answer may take. */
  override stop(nowMs: number): void {
    super.stop(nowMs);
    this.planned = Math.max(this.next, this.numberAt(nowMs));
    this.end = this.planned;
    this.sendUntilMs = nowMs + this.shared.timeoutMs;
  }

  override tick(nowMs: number): void {
    super.tick(nowMs);
    if (nowMs >= this.sendUntilMs) this.end = this.next;
  }

  outstanding(): number {
    const unsent = this.running || this.live === 0 ? 0 : this.end - this.next;
    return this.waiting + unsent;
  }

  override due(nowMs: number): number {
    while (this.next < this.end) {
      const intendedMs = this.baseMs + this.next * this.gapMs;
      if (!this.ready || this.baseMs === 0) break;
      if (intendedMs > nowMs) return intendedMs - nowMs;
      const session = this.takeFree();
      if (session === undefined) break;
      this.next++;
      if (this.measuring && nowMs - intendedMs > LATE_MS) this.shared.tally.missedSends++;
      this.ask(session, intendedMs, nowMs);
    }
    return Number.POSITIVE_INFINITY;
  }

  private takeFree(): Session | undefined {
    let session = this.free.pop();
    while (session !== undefined && session.fd < 0) session = this.free.pop();
    return session;
  }

  protected answered(session: Session): void {
    const nowMs = performance.now();
    const { tally } = this.shared;
    this.waiting--;
    if (!session.inTime(nowMs)) {
      this.live--;
      return;
    }
    tally.sample(session.startedMs, nowMs);
    tally.sampleRaw(session.startedMs, session.sinceMs, nowMs);
    this.free.push(session);
  }

  override finish(cutShort: boolean): void {
    const { tally } = this.shared;
    if (this.measuring && !cutShort) {
      tally.neverSent = this.planned - this.next;
      tally.missedSends += tally.neverSent;
    }
    super.finish(cutShort);
  }
}
