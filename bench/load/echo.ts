/**
 * An echo server for the load generator's warm-up and for the self-check: the generator's own system calls, one thread.
 *
 *     node bench/load/echo.ts
 *
 * Prints "listening PORT" and ends with its standard input, so it cannot outlive the program that started it. Its
 * connections are blocking: send() waits for the generator, which always reads before it waits for anything else.
 */
import { EPOLLIN, EventList, epollAdd, epollCreate, epollDelete, epollWait } from '../../src/sys/epoll.ts';
import { E, errno, libc } from '../../src/sys/libc.ts';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import {
  closeFd,
  listenTcp,
  localAddress,
  PLAIN,
  recvInto,
  SOCK_CLOEXEC,
  sendFrom,
} from '../../src/sys/socket.ts';

const STDIN = 0;
const EVENTS_MAX = 512;
const BUFFER_BYTES = 64 * 1024;
/** Above the clients of a burst, as far as the kernel allows (somaxconn). */
const BACKLOG = 16_384;
/** A client that reads nothing holds the others up no longer. */
const SEND_TIMEOUT_MS = 500;
/** Without a free descriptor it does not look at the listening socket for so long: clients wait in the backlog. */
const ACCEPT_PAUSE_MS = 100;
const NONE_FREE = [E.EMFILE, E.ENFILE];

const listening = listenTcp({
  address: LOOPBACK,
  port: 0,
  backlog: BACKLOG,
  reusePort: false,
  accepted: { ...PLAIN, blockingTimeoutMs: 2 * SEND_TIMEOUT_MS },
});
const listenFd = listening.fd;
const epfd = epollCreate();
const events = new EventList(EVENTS_MAX);
const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

let resumeAtMs: number | null = null;

function accept(): void {
  const fd = libc.accept4(listenFd, null, null, SOCK_CLOEXEC);
  if (fd >= 0) epollAdd(epfd, fd, EPOLLIN);
  else if (NONE_FREE.includes(errno())) {
    epollDelete(epfd, listenFd);
    resumeAtMs = performance.now() + ACCEPT_PAUSE_MS;
  } // otherwise the connection is gone again
}

function resumeAccepting(): void {
  if (resumeAtMs === null || performance.now() < resumeAtMs) return;
  resumeAtMs = null;
  epollAdd(epfd, listenFd, EPOLLIN);
}

/** Whether all of what was received is sent back. */
function echo(fd: number): boolean {
  const length = recvInto(fd, buffer, BUFFER_BYTES);
  if (length <= 0) return false;
  for (let sent = 0; sent < length; ) {
    const n = sendFrom(fd, sent === 0 ? buffer : buffer.subarray(sent), length - sent);
    if (n <= 0) return false;
    sent += n;
  }
  return true;
}

/** False at the end of standard input. */
function handle(fd: number): boolean {
  if (fd === STDIN) return false;
  if (fd === listenFd) accept();
  else if (!echo(fd)) closeFd(fd);
  return true;
}

function serve(): void {
  for (;;) {
    const count = epollWait(epfd, events, resumeAtMs === null ? -1 : ACCEPT_PAUSE_MS);
    for (let i = 0; i < count; i++) if (!handle(events.fd(i))) return;
    resumeAccepting();
  }
}

process.stdout.write(`listening ${localAddress(listenFd).port}\n`, () => {
  epollAdd(epfd, listenFd, EPOLLIN);
  epollAdd(epfd, STDIN, EPOLLIN);
  serve();
  process.exit(0);
});
