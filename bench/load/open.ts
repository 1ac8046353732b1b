/**
 * Open mode: requests are due at a fixed rate, whether the server keeps up or not.
 *
 * Each request has an intended send time and takes any free connection. Without one it waits, and its response time
 * still counts from the intended time: a server that stalls is charged with every request due meanwhile, not with one
 * per connection (coordinated omission). The time from the actual send is reported beside it.
 *
 * The window has exactly rate times duration requests, by number and not by the clock. Each becomes a sample, an
 * error or unsent.
 */
import type { Shared } from './client.ts';
import type { Session } from './session.ts';
import { Standing } from './standing.ts';

/** A request sent later than this after its intended time counts as late. epoll_wait has a resolution of 1 ms. */
const LATE_MS = 2;

export class OpenClient extends Standing {
  private readonly gapMs: number;
  /** Requests due in the window. */
  private readonly planned: number;
  private readonly free: Session[] = [];
  private baseMs = 0;
  /** The number of the next request; it is due at baseMs + next * gapMs. */
  private next = 0;
  /** The number of the window's first request. */
  private first = 0;
  /** Requests from this number on are not sent. */
  private end = Number.POSITIVE_INFINITY;
  /** Requests sent in the window, or due in it and sent later. */
  private sent = 0;
  private stoppedMs = 0;
  private measuring = false;

  constructor(shared: Shared, connections: number, ratePerSecond: number, durationMs: number) {
    super(shared, connections);
    this.gapMs = 1000 / ratePerSecond;
    // The tolerance keeps a rounding error from adding a request.
    this.planned = Math.ceil(durationMs / this.gapMs - 1e-6);
  }

  private numberAt(nowMs: number): number {
    return Math.ceil((nowMs - this.baseMs) / this.gapMs);
  }

  start(nowMs: number): void {
    this.running = true;
    this.baseMs = nowMs;
    for (const session of this.byFd) if (session !== undefined && session.fd >= 0) this.free.push(session);
  }

  measure(nowMs: number): void {
    this.measuring = true;
    // Without a warm-up the load starts only now. Requests the warm-up could not send do not delay the window's.
    this.first = this.running ? Math.max(this.next, this.numberAt(nowMs)) : 0;
    this.next = this.first;
    this.end = this.first + this.planned;
  }

  /** Requests due until now are still sent, for up to one timeout. */
  override stop(nowMs: number): void {
    super.stop(nowMs);
    this.stoppedMs = nowMs;
  }

  override tick(nowMs: number): void {
    super.tick(nowMs);
    if (this.stoppedMs > 0 && nowMs >= this.stoppedMs + this.shared.timeoutMs) this.giveUp();
  }

  /** Sends no more requests. */
  protected giveUp(): void {
    this.end = this.next;
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
      if (!this.take(intendedMs, nowMs)) break;
      this.next++;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Takes a request that is due. False when no connection is free for it. */
  protected take(intendedMs: number, nowMs: number): boolean {
    const session = this.takeFree();
    if (session === undefined) return false;
    this.send(session, intendedMs, nowMs);
    return true;
  }

  protected send(session: Session, intendedMs: number, nowMs: number): void {
    if (this.measuring) {
      this.sent++;
      if (nowMs - intendedMs > LATE_MS) this.shared.tally.missedSends++;
    }
    this.ask(session, intendedMs, nowMs);
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
    this.freed(session, nowMs);
  }

  /** The connection can carry another request. */
  protected freed(session: Session, _nowMs: number): void {
    this.free.push(session);
  }

  override finish(cutShort: boolean): void {
    const { tally } = this.shared;
    // In a run cut short, only requests due before stop() count.
    const untilStop = this.numberAt(this.stoppedMs) - this.first;
    tally.due = cutShort ? Math.max(0, Math.min(this.planned, untilStop)) : this.planned;
    tally.unsent = Math.max(0, tally.due - this.sent);
    tally.missedSends += tally.unsent;
    super.finish(cutShort);
  }
}
