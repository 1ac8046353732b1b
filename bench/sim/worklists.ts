/**
 * The worklists of all CPU pools, modelled on the ready list of an epoll instance in Linux: level-triggered, first in,
 * first out; a reported descriptor goes to the end, and leaves the list only when the next look finds it not readable.
 * Adding a descriptor twice throws, as epoll_ctl fails with EEXIST.
 */
import type { Worklist } from '../../src/queue/worklist.ts';
import type { Scheduler, Waiters } from './scheduler.ts';

export class Worklists {
  private readonly scheduler: Scheduler;
  private readonly readable: (fd: number) => boolean;
  /** By descriptor: its pool + 1 while it is in that worklist, 0 = in none. */
  readonly poolOf: Int16Array;
  private made = 0;
  // The ready lists: circular, doubly linked by descriptor; the heads follow the descriptors.
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  private readonly fdLimit: number;
  private readonly waiting: Waiters[] = [];

  constructor(cpus: number, fdLimit: number, scheduler: Scheduler, readable: (fd: number) => boolean) {
    this.scheduler = scheduler;
    this.readable = readable;
    this.fdLimit = fdLimit;
    this.poolOf = new Int16Array(fdLimit);
    this.next = new Int32Array(fdLimit + cpus).fill(-1);
    this.previous = new Int32Array(fdLimit + cpus);
    for (let pool = 0; pool < cpus; pool++) {
      const head = fdLimit + pool;
      this.next[head] = head;
      this.previous[head] = head;
      this.waiting.push(new Set());
    }
  }

  /** The next CPU pool's worklist as main uses it. */
  ofNextPool(): Worklist {
    const pool = this.made++;
    return {
      epollFd: -1,
      wakeFd: -1,
      add: (fd) => this.add(pool, fd),
      delete: (fd) => this.delete(pool, fd),
      has: (fd) => this.has(pool, fd),
      wake: () => {},
      close: () => {},
    };
  }

  /** EPOLL_CTL_ADD. */
  add(pool: number, fd: number): void {
    this.scheduler.cut();
    if (this.poolOf[fd] !== 0) throw new Error(`epoll_ctl: EEXIST: ${fd} is already in a worklist`);
    this.poolOf[fd] = pool + 1;
    if (this.readable(fd)) this.append(pool, fd);
  }

  /** EPOLL_CTL_DEL. False when the descriptor is not in this worklist. */
  delete(pool: number, fd: number): boolean {
    this.scheduler.cut();
    if (this.poolOf[fd] !== pool + 1) return false;
    this.poolOf[fd] = 0;
    this.unlink(fd);
    return true;
  }

  has(pool: number, fd: number): boolean {
    this.scheduler.cut();
    return this.poolOf[fd] === pool + 1;
  }

  /** The descriptor has become readable. */
  arrived(fd: number): void {
    const pool = (this.poolOf[fd] as number) - 1;
    if (pool >= 0 && this.next[fd] === -1) this.append(pool, fd);
  }

  /** The descriptor is closed. */
  closed(fd: number): void {
    this.poolOf[fd] = 0;
    this.unlink(fd);
  }

  /** epoll_wait with timeout 0: fills `events` with at most `max` descriptors and returns how many. */
  take(pool: number, events: number[], max: number): number {
    const head = this.fdLimit + pool;
    const end = this.previous[head] as number; // descriptors put back below come behind it
    events.length = 0;
    for (let fd = this.next[head] as number; fd !== head && events.length < max; ) {
      const after = fd === end ? head : (this.next[fd] as number);
      this.unlink(fd);
      if (this.readable(fd)) {
        events.push(fd);
        this.link(pool, fd);
      }
      fd = after;
    }
    return events.length;
  }

  /** The threads in epoll_wait. */
  waiters(pool: number): Waiters {
    return this.waiting[pool] as Waiters; // one per pool
  }

  /** How many items could be begun. */
  ready(pool: number): number {
    const head = this.fdLimit + pool;
    let count = 0;
    for (let fd = this.next[head] as number; fd !== head; fd = this.next[fd] as number) {
      if (this.readable(fd)) count++;
    }
    return count;
  }

  private append(pool: number, fd: number): void {
    this.link(pool, fd);
    this.scheduler.wake(this.waiters(pool));
  }

  private link(pool: number, fd: number): void {
    const head = this.fdLimit + pool;
    const last = this.previous[head] as number;
    this.next[last] = fd;
    this.previous[fd] = last;
    this.next[fd] = head;
    this.previous[head] = fd;
  }

  private unlink(fd: number): void {
    const after = this.next[fd] as number;
    if (after === -1) return;
    const before = this.previous[fd] as number;
    this.next[before] = after;
    this.previous[after] = before;
    this.next[fd] = -1;
  }
}
