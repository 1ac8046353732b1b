/**
 * The worklist of a CPU pool: an epoll instance whose ready list is the list of pending work items.
 *
 * Main creates it, adds connections and closes it; the holder of the run slot waits on it. It owns two
 * descriptors, the epoll instance and the eventfd in it that wakes the worker on duty for a stop. It does not own the
 * connections: closing the worklist closes none of them. Pending items are in the order in which they became ready
 * (level-triggered epoll appends to its ready list).
 */
import {
  EPOLLIN,
  epollAdd,
  epollCreate,
  epollDelete,
  epollModify,
  eventfdCreate,
  eventfdSignal,
} from '../sys/epoll.ts';
import { closeFd } from '../sys/socket.ts';

export class Worklist {
  readonly epollFd: number;
  readonly wakeFd: number;

  constructor() {
    this.epollFd = epollCreate();
    try {
      this.wakeFd = eventfdCreate();
    } catch (error) {
      closeFd(this.epollFd);
      throw error;
    }
    epollAdd(this.epollFd, this.wakeFd, EPOLLIN);
  }

  /** From now on the connection is a pending item whenever it is readable. Throws SysError (ENOMEM, ENOSPC). */
  add(fd: number): void {
    epollAdd(this.epollFd, fd, EPOLLIN);
  }

  /** False when it was not in the worklist. */
  delete(fd: number): boolean {
    return epollDelete(this.epollFd, fd);
  }

  /**
   * Whether an open descriptor is in the worklist. Checks with EPOLL_CTL_MOD, which adds nothing, setting the `events`
   * that the connection already waits for. A worker in its item may change them at the same time: the words that
   * `events` reads, then the entry. So main reads again after its MOD, and the last MOD is the right one:
   *
   *   main                                holder
   *   events() -> IN
   *                                       spills: events() is OUT
   *                                       MOD OUT
   *   MOD IN          (would never be ready)
   *   events() -> OUT, not IN
   *   MOD OUT
   */
  has(fd: number, events: () => number): boolean {
    for (let expected = events(); ; ) {
      const isPresent = epollModify(this.epollFd, fd, expected);
      const now = events();
      if (now === expected) return isPresent;
      expected = now;
    }
  }

  /** Wakes the worker on duty, for good: only for a stop. */
  wake(): void {
    eventfdSignal(this.wakeFd);
  }

  close(): void {
    closeFd(this.epollFd);
    closeFd(this.wakeFd);
  }
}
