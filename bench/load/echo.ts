/**
 * An echo server for the load generator's warm-up and for the self-check: the generator's own system calls, one thread.
 *
 *     node bench/load/echo.ts
 *
 * Prints "listening PORT" and ends with its standard input, so it cannot outlive the program that started it. Its
 * connections are blocking: send() waits for the generator, which always reads before it waits for anything else.
 */
import { EPOLLIN, EventList, epollAdd, epollCreate, epollWait } from '../../src/sys/epoll.ts';
import { libc } from '../../src/sys/libc.ts';
import { closeFd, listenTcp, localAddress, recvInto, SOCK_CLOEXEC, sendFrom } from '../../src/sys/socket.ts';

const STDIN = 0;
const EVENTS_MAX = 512;
const BUFFER_BYTES = 64 * 1024;
/** Above the clients of a burst, as far as the kernel allows (somaxconn). */
const BACKLOG = 16_384;
/** A client that reads nothing holds the others up no longer. */
const SEND_TIMEOUT_MS = 500;
const ACCEPTED = {
  blockingTimeoutMs: 2 * SEND_TIMEOUT_MS,
  keepaliveTimeMs: 0,
  keepaliveIntervalMs: 0,
  keepaliveProbes: 0,
  userTimeoutMs: 0,
};

const listening = listenTcp({
  address: '127.0.0.1',
  port: 0,
  backlog: BACKLOG,
  reusePort: false,
  accepted: ACCEPTED,
});
const listenFd = listening.fd;
const epfd = epollCreate();
const events = new EventList(EVENTS_MAX);
const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

function accept(): void {
  const fd = libc.accept4(listenFd, null, null, SOCK_CLOEXEC);
  if (fd >= 0) epollAdd(epfd, fd, EPOLLIN); // otherwise it is gone again, or no descriptor is left
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
    const count = epollWait(epfd, events, -1);
    for (let i = 0; i < count; i++) if (!handle(events.fd(i))) return;
  }
}

process.stdout.write(`listening ${localAddress(listenFd).port}\n`, () => {
  epollAdd(epfd, listenFd, EPOLLIN);
  epollAdd(epfd, STDIN, EPOLLIN);
  serve();
  process.exit(0);
});
