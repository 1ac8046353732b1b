/**
 * epoll and eventfd: level-triggered readiness of descriptors (epoll(7), eventfd(2)).
 *
 * Runs on every thread. The data of every event is its descriptor.
 */
import { check, E, EPOLL_PWAIT2, errno, libc, SysError } from './libc.ts';

/** Bits of epoll_event.events, <sys/epoll.h>. */
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLL_CLOEXEC = 0o2000000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

// struct epoll_event is packed on x86-64 only: 12 bytes with the data at 4, elsewhere 16 with the data at 8.
const PACKED = process.arch === 'x64';
const WORDS_PER_EVENT = PACKED ? 3 : 4;
const DATA_WORD = PACKED ? 1 : 2;

/** A buffer of `capacity` events for epoll_wait(2). */
export class EventList {
  readonly capacity: number;
  readonly words: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.words = new Int32Array(capacity * WORDS_PER_EVENT);
  }

  /** The descriptor of event i, which must be below the result of the last wait. */
  fd(i: number): number {
    return this.words[i * WORDS_PER_EVENT + DATA_WORD] as number;
  }

  /** The event bits of event i. */
  events(i: number): number {
    return this.words[i * WORDS_PER_EVENT] as number;
  }
}

const scratch = new EventList(1);

function event(events: number, fd: number): Int32Array {
  scratch.words[0] = events;
  scratch.words[DATA_WORD] = fd;
  return scratch.words;
}

export function epollCreate(): number {
  return check('epoll_create1', libc.epoll_create1(EPOLL_CLOEXEC), 'creating a worklist');
}

/** A non-blocking eventfd with count 0. */
export function eventfdCreate(): number {
  return check('eventfd', libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'creating an eventfd');
}

const one = new BigUint64Array([1n]);

/** Makes an eventfd readable, which wakes the threads that poll it. It stays readable until it is read. */
export function eventfdSignal(fd: number): void {
  libc.write(fd, one, 8);
}

/** Adds `fd` to the set. Throws SysError (ENOMEM, ENOSPC, ...). */
export function epollAdd(epfd: number, fd: number, events: number): void {
  check('epoll_ctl', libc.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, event(events, fd)), 'adding to a worklist');
}

/** Changes the events that `fd` is polled for. False when it is not in the set. */
export function epollModify(epfd: number, fd: number, events: number): boolean {
  return unlessAbsent(
    libc.epoll_ctl(epfd, EPOLL_CTL_MOD, fd, event(events, fd)),
    'changing a worklist entry',
  );
}

/** Removes `fd` from the set. False when it was not there, which is not an error: two threads may race to remove it. */
export function epollDelete(epfd: number, fd: number): boolean {
  return unlessAbsent(libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, null), 'removing from a worklist');
}

// struct pollfd: int fd; short events; short revents.
const pollfd = new Int32Array(2);
new Int16Array(pollfd.buffer)[2] = EPOLLIN; // POLLIN has the same bit

/** Whether a wait would return at once. Unlike a wait this keeps the order of the ready list (poll(2)). */
export function epollHasReady(epfd: number): boolean {
  pollfd[0] = epfd;
  return libc.poll(pollfd, 1, 0) === 1;
}

/** As many as these are counted. */
const counted = new EventList(256);

/**
 * How many descriptors a wait would report, at most 256. All that it reports keep their order, behind those that it does
 * not: level-triggered epoll puts them at the end of its ready list again.
 */
export function epollCountReady(epfd: number): number {
  return epollWait(epfd, counted, 0);
}

function unlessAbsent(result: number, doing: string): boolean {
  if (result === 0) return true;
  const number = errno();
  if (number === E.ENOENT || number === E.EBADF) return false;
  throw new SysError('epoll_ctl', number, doing);
}

/**
 * Waits for events, at most `timeoutMs`, and returns their number; 0 on timeout and on EINTR.
 *
 * Deliberately a separate function: V8 checks for termination when a JavaScript function is entered, so a
 * bare loop around the FFI call could never be terminated.
 */
export function epollWait(epfd: number, events: EventList, timeoutMs: number): number {
  const n = libc.epoll_wait(epfd, events.words, events.capacity, timeoutMs);
  return n >= 0 ? n : noEvents(errno(), 'epoll_wait');
}

function noEvents(number: number, syscall: string): 0 {
  if (number === E.EINTR) return 0;
  throw new SysError(syscall, number, 'waiting on a worklist');
}

/** struct timespec, in 32-bit words, as BigInts would be allocated for each call. */
const timespec = new Uint32Array(4);

/**
 * Waits for events like epollWait(), at most `timeoutMs` with fractions (epoll_pwait2(2)). Null: the kernel (before Linux
 * 5.11) or a filter (seccomp(2)) has no such call, and nothing was waited for.
 */
export function epollWaitFine(epfd: number, events: EventList, timeoutMs: number): number | null {
  const ns = Math.max(0, Math.round(timeoutMs * 1e6));
  timespec[0] = Math.floor(ns / 1e9);
  timespec[2] = ns % 1e9;
  const n = libc.epoll_pwait2(EPOLL_PWAIT2, epfd, events.words, events.capacity, timespec, null, 8);
  if (n >= 0) return n;
  const number = errno();
  return number === E.ENOSYS || number === E.EPERM ? null : noEvents(number, 'epoll_pwait2');
}
