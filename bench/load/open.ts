/**
 * Open mode: requests are due at a fixed rate, whether the server keeps up or not.
 *
 * Each request has an intended send time (arrivals.ts) and takes the connection that has been free longest, so that all
 * carry the load. Without one it waits, and its response time still counts from the intended time: a server that stalls
 * is charged with every request due meanwhile, not with one per connection (coordinated omission). The time from the
 * actual send is reported beside it, and so is the generator's own lateness: from the moment when a request was due and
 * its connection free to the send. It is an error of the response time.
 *
 * The window has exactly rate times duration requests, by number and not by the clock. Each becomes a sample, an
 * error or unsent.
 */
import { seededRandom } from '../random.ts';
import { type Schedule, scheduleOf } from './arrivals.ts';
import type { Shared } from './client.ts';
import type { LoadOptions } from './load-options.ts';
import type { Session } from './session.ts';
import { Standing } from './standing.ts';

/** A request sent later than this after its intended time, for whatever reason, counts in `missedSends`. */
const LATE_MS = 2;
/**
 * How long before a request is due the generator wakes up, and polls from then on: waking an idle processor takes 30 to 80 us,
 * and the first code after that runs from cold caches. At most this share of the time between two requests, which
 * bounds what polling takes from a server on the same processors.
 */
const LEAD_MS = 0.2;
const LEAD_SHARE = 0.1;

export type OpenOptions = Pick<LoadOptions, 'clients' | 'rate' | 'durationMs' | 'arrivals' | 'seed'>;

export class OpenClient extends Standing {
  private readonly options: OpenOptions;
  private readonly gapMs: number;
  private readonly leadMs: number;
  /** Requests due in the window. */
  private readonly planned: number;
  private readonly gapRandom: () => number;
  /** First in, first out. */
  private readonly free: Session[] = [];
  /** Null before the load. */
  private schedule: Schedule | null = null;
  /** Requests that the schedule still has. */
  private left = 0;
  /** Requests sent in the window, or due in it and sent later. */
  private sent = 0;
  private stoppedMs = 0;
  private measuring = false;
  private gaveUp = false;

  constructor(shared: Shared, options: OpenOptions) {
    super(shared, options.clients);
    this.options = options;
    this.gapMs = 1000 / options.rate;
    this.leadMs = Math.min(LEAD_MS, LEAD_SHARE * this.gapMs);
    // The tolerance keeps a rounding error from adding a request.
    this.planned = Math.ceil(options.durationMs / this.gapMs - 1e-6);
    this.gapRandom = seededRandom(~options.seed); // Zipf's law draws from `seed`
  }

  private plan(fromMs: number, count: number): void {
    this.schedule = scheduleOf(this.options.arrivals, fromMs, this.gapMs, count, this.gapRandom);
    this.left = count;
  }

  start(nowMs: number): void {
    this.running = true;
    if (!this.measuring) this.plan(nowMs, Number.POSITIVE_INFINITY);
    for (const session of this.byFd) {
      if (session === undefined || session.fd < 0) continue;
      session.freeSinceMs = nowMs;
      this.free.push(session);
    }
  }

  /** Requests that the warm-up could not send do not delay the window's. */
  measure(nowMs: number): void {
    this.measuring = true;
    this.plan(nowMs, this.planned);
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
    this.gaveUp = true;
  }

  outstanding(): number {
    const unsent = this.running || this.gaveUp || this.live === 0 ? 0 : this.left;
    return this.waiting + unsent;
  }

  override due(nowMs: number): number {
    const { schedule } = this;
    while (schedule !== null && this.left > 0 && !this.gaveUp) {
      const { dueMs } = schedule;
      if (dueMs > nowMs) return Math.max(0, dueMs - nowMs - this.leadMs);
      if (!this.take(dueMs, performance.now())) break;
      this.next(schedule);
    }
    return Number.POSITIVE_INFINITY;
  }

  private next(schedule: Schedule): void {
    schedule.advance();
    this.left--;
  }

  /** Takes a request that is due. False when no connection is free for it. */
  protected take(intendedMs: number, nowMs: number): boolean {
    const session = this.takeFree();
    if (session === undefined) return false;
    this.send(session, intendedMs, nowMs);
    return true;
  }

  protected send(session: Session, intendedMs: number, nowMs: number): void {
    this.ask(session, intendedMs, nowMs);
    if (!this.measuring) return;
    const { tally } = this.shared;
    this.sent++;
    if (nowMs - intendedMs > LATE_MS) tally.missedSends++;
    tally.sentLate(nowMs - Math.max(intendedMs, session.freeSinceMs));
  }

  private takeFree(): Session | undefined {
    let session = this.free.shift();
    while (session !== undefined && session.fd < 0) session = this.free.shift();
    return session;
  }

  protected answered(session: Session): void {
    const nowMs = session.receivedMs;
    const { tally } = this.shared;
    session.sample(nowMs);
    tally.sampleRaw(session.startedMs, session.sinceMs, nowMs);
    session.freeSinceMs = nowMs;
    this.freed(session, nowMs);
  }

  /** The connection can carry another request. */
  protected freed(session: Session, _nowMs: number): void {
    this.free.push(session);
  }

  override finish(cutShort: boolean): void {
    const { tally } = this.shared;
    const nowMs = performance.now();
    if (this.schedule === null && !cutShort) this.measure(nowMs); // the load never started
    // In a run cut short, only requests due before stop() count.
    const untilMs = cutShort ? this.stoppedMs : Number.POSITIVE_INFINITY;
    for (const { schedule } = this; schedule !== null && this.left > 0 && schedule.dueMs < untilMs; ) {
      tally.neverSent(schedule.dueMs, nowMs);
      this.next(schedule);
    }
    tally.due = this.sent + tally.unsent;
    super.finish(cutShort);
  }
}
