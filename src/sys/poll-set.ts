/**
 * Many descriptors in one poll(2), which changes nothing about them.
 *
 * Runs on every thread. Owns no descriptor; one that is closed is not ready.
 */
import { EPOLLIN, EPOLLOUT } from './epoll.ts';
import { libc } from './libc.ts';

// struct pollfd: int fd; short events; short revents. POLLIN and POLLOUT are the bits of EPOLLIN and EPOLLOUT.
const WORDS = 2;
const NOT_OPEN = 0x20; // POLLNVAL

export class PollSet {
  private readonly words: Int32Array;
  private readonly shorts: Int16Array;
  private count = 0;

  /** `capacity` must not exceed the limit on open descriptors by much: poll(2) refuses more (EINVAL). */
  constructor(capacity: number) {
    this.words = new Int32Array(capacity * WORDS);
    this.shorts = new Int16Array(this.words.buffer);
  }

  clear(): void {
    this.count = 0;
  }

  /** False when the set is full. */
  add(fd: number, until: 'readable' | 'writable'): boolean {
    const at = this.count * WORDS;
    if (at === this.words.length) return false;
    this.words[at] = fd;
    this.shorts[2 * at + 2] = until === 'readable' ? EPOLLIN : EPOLLOUT;
    this.count++;
    return true;
  }

  /** Calls `onReady` for each descriptor that is ready now. */
  poll(onReady: (fd: number) => void): void {
    if (libc.poll(this.words, this.count, 0) <= 0) return;
    for (let i = 0; i < this.count; i++) {
      const ready = this.shorts[2 * i * WORDS + 3] as number; // within the count
      if (ready !== 0 && (ready & NOT_OPEN) === 0) onReady(this.words[i * WORDS] as number);
    }
  }
}
