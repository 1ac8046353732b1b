/**
 * The event loop of the load generator.
 *
 * Runs on the main thread of a process of its own and never yields to Node's event loop: epoll_wait is the
 * only wait, and every call ends at a deadline. It hands events to a mode and keeps no state of theirs.
 */
import { EPOLLIN, EventList, epollWait } from '../../src/sys/epoll.ts';
import { libc } from '../../src/sys/libc.ts';
import type { Handler, Shared } from './client.ts';

const EVENTS_MAX = 512;
/** How often what takes too long is looked for, and so how late a deadline may be noticed. */
const TICK_MS = 50;
const STDIN = 0;

const sleeper = new Int32Array(new SharedArrayBuffer(4)); // nobody changes it, so a wait ends with its time

export class Pump {
  /** Standard input has said that the run is to end. */
  interrupted = false;
  private readonly events = new EventList(EVENTS_MAX);
  private readonly shared: Shared;
  private readonly handler: Handler;
  private nextTickMs = 0;

  constructor(shared: Shared, handler: Handler) {
    this.shared = shared;
    this.handler = handler;
  }

  /** Ends every later run() at once as soon as standard input can be read or has ended. */
  watchStdin(): void {
    const event = new EventList(1);
    event.words.fill(0);
    event.words[0] = EPOLLIN; // its data stays 0, which is standard input's descriptor
    libc.epoll_ctl(this.shared.epfd, 1, STDIN, event.words); // a file cannot be watched, and need not be
  }

  /** Handles events until `done`, for at most `durationMs`, or until interrupted. */
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
   * Waits for events, at most about `limitMs`. epoll_wait counts whole milliseconds, which is too coarse for
   * what is due sooner: when no answer can come, the thread sleeps that long without it; when one can, its
   * coming matters more, and what is due may be up to 1 ms late.
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
