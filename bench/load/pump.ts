/**
 * The event loop of the load generator.
 *
 * Runs on the main thread of the generator's process and never yields to Node's event loop: it waits only in
 * epoll_pwait2, and every run() has a deadline. It passes events to a mode.
 */
import { EPOLLIN, EventList, epollWait, epollWaitFine } from '../../src/sys/epoll.ts';
import { libc } from '../../src/sys/libc.ts';
import type { Handler, Shared } from './client.ts';

const EVENTS_MAX = 512;
/** Interval of the timeout checks, hence how late a timeout may be noticed. */
const TICK_MS = 50;
const STDIN = 0;
const PR_SET_TIMERSLACK = 29;

export class Pump {
  /** Standard input became readable or ended. */
  interrupted = false;
  private readonly events = new EventList(EVENTS_MAX);
  private readonly shared: Shared;
  private readonly handler: Handler;
  private nextTickMs = 0;
  private canWaitFine = true;
  private isExact = false;

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
   * Waits for events for `limitMs`: for work due before the next tick to the nanosecond, where the kernel can;
   * otherwise in whole milliseconds, which cost less.
   */
  private wait(limitMs: number): number {
    const { shared, events } = this;
    if (this.canWaitFine && limitMs > 0 && limitMs < TICK_MS) {
      this.makeExact();
      const count = epollWaitFine(shared.epfd, events, limitMs);
      if (count !== null) return count;
      this.canWaitFine = false;
    }
    return epollWait(shared.epfd, events, Math.ceil(limitMs));
  }

  /** From here on this thread's waits end on time, not up to 50 us later. */
  private makeExact(): void {
    if (this.isExact) return;
    libc.prctl(PR_SET_TIMERSLACK, 1);
    this.isExact = true;
  }

  private tick(nowMs: number): void {
    this.nextTickMs = nowMs + TICK_MS;
    this.handler.tick(nowMs);
    this.shared.tally.serverCost.sample();
    this.shared.live.tick(nowMs);
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
