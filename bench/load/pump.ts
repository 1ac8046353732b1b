/**
 * The event loop of the load generator.
 *
 * Runs on the main thread of the generator's process and never yields to Node's event loop: it waits only in
 * epoll_wait, or asleep for less than 1 ms, and every run() has a deadline. It passes events to a mode.
 */
import { EPOLLIN, EventList, epollWait } from '../../src/sys/epoll.ts';
import { libc } from '../../src/sys/libc.ts';
import type { Handler, Shared } from './client.ts';

const EVENTS_MAX = 512;
/** Interval of the timeout checks, hence how late a timeout may be noticed. */
const TICK_MS = 50;
const STDIN = 0;

const sleeper = new Int32Array(new SharedArrayBuffer(4)); // never written or notified, so a wait always times out

export class Pump {
  /** Standard input became readable or ended. */
  interrupted = false;
  private readonly events = new EventList(EVENTS_MAX);
  private readonly shared: Shared;
  private readonly handler: Handler;
  private nextTickMs = 0;

  constructor(shared: Shared, handler: Handler) {
    this.shared = shared;
    this.handler = handler;
  }

  /** Ends the current and every later run() once standard input is readable or has ended. */
  watchStdin(): void {
    const event = new EventList(1);
    event.words.fill(0);
    event.words[0] = EPOLLIN; // the data word stays 0, standard input's descriptor
    libc.epoll_ctl(this.shared.epfd, 1, STDIN, event.words); // fails for a regular file, which is fine
  }

  /** Handles events until `done`, `durationMs` have passed, or interrupted. */
  run(durationMs: number, done: () => boolean): void {
    const { handler } = this;
    let nowMs = performance.now();
    const deadlineMs = nowMs + durationMs;
    while (!this.interrupted) {
      if (nowMs >= this.nextTickMs) this.tick(nowMs);
      if (nowMs >= deadlineMs) return;
      const nextMs = Math.min(deadlineMs - nowMs, handler.due(nowMs), TICK_MS);
      if (done()) return;
      this.handle(this.wait(nextMs));
      nowMs = performance.now();
    }
  }

  /**
   * Waits for events for about `limitMs`. epoll_wait takes whole milliseconds, too coarse for work due sooner: when no
   * answer is outstanding, the thread sleeps instead; otherwise answers take precedence and work may be 1 ms late.
   */
  private wait(limitMs: number): number {
    const { shared, handler, events } = this;
    if (limitMs > 0 && limitMs < 1 && handler.outstanding() === 0) {
      Atomics.wait(sleeper, 0, 0, limitMs);
      return epollWait(shared.epfd, events, 0);
    }
    return epollWait(shared.epfd, events, limitMs < 1 ? Math.ceil(limitMs) : Math.floor(limitMs));
  }

  private tick(nowMs: number): void {
    this.nextTickMs = nowMs + TICK_MS;
    this.handler.tick(nowMs);
    this.shared.tally.serverCost.sample();
  }

  private handle(count: number): void {
    const { events, handler } = this;
    for (let i = 0; i < count; i++) {
      const fd = events.fd(i);
      if (fd === STDIN) this.interrupted = true;
      else handler.event(fd, events.events(i));
    }
  }
}
