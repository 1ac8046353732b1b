/**
 * The acceptor: binds, listens, accepts, and hands every accepted descriptor to one callback.
 *
 * Main thread only. It owns the listening descriptor; an accepted one belongs to the callback from the call
 * on. Order: the callback sees connections in the order in which the kernel completed them.
 *
 * When descriptors run out (EMFILE, ENFILE) or memory does, it stops polling for PAUSE_MS and tries again:
 * the clients wait in the kernel's backlog, the processor does nothing, and it is said once.
 */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { E, errno, errnoName, libc, pollReadable, type ReadablePoll } from './sys/libc.ts';
import { decodeSockaddr, SOCKADDR_BYTES, type SocketAddress } from './sys/sockaddr.ts';
import { closeFd, listenTcp, localAddress, SOCK_CLOEXEC, SOCK_NONBLOCK } from './sys/socket.ts';

/** Connections accepted before the event loop gets its turn. */
const BATCH = 256;
/** How long accepting pauses when descriptors ran out. */
const PAUSE_MS = 20;
/** See ListenOptions.acceptedTimeoutMs: how soon a thread in recv notices a stop by itself. */
const BLOCKING_TIMEOUT_MS = 1000;

/** Errors of one connection that is gone already, accept(2): the next one may be accepted at once. */
const ONE_CONNECTION_ONLY = new Set([
  E.EINTR,
  E.ECONNABORTED,
  E.EPROTO,
  E.EPERM,
  E.ENETDOWN,
  E.ENETUNREACH,
  E.EHOSTDOWN,
  E.EHOSTUNREACH,
  E.ENOPROTOOPT,
  E.ENONET,
]);

export interface ListenerOptions {
  host: string;
  port: number;
  backlog: number;
  /** Whether accepted sockets block (kthread, workqueue) or not (cmwq). */
  blocking: boolean;
  onConnection: (fd: number) => void;
  /** Accepting failed and pauses; told once until it works again. */
  onStarved: (code: string) => void;
}

/** net.core.somaxconn, to which the kernel cuts a backlog; null when it cannot be read. */
export function somaxconn(): number | null {
  try {
    return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
  } catch {
    return null;
  }
}

/** The address that a host stands for, and the interface index of a link-local one. */
async function resolveHost(host: string): Promise<{ address: string; scopeId: number }> {
  const [plain = host, zone] = host.split('%');
  if (isIP(plain) !== 0) return { address: plain, scopeId: zone === undefined ? 0 : scopeOf(zone) };
  const { address } = await lookup(host);
  return { address, scopeId: 0 };
}

function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  const addresses = networkInterfaces()[zone] ?? [];
  return addresses.find((a) => a.family === 'IPv6')?.scopeid ?? 0;
}

export class Listener {
  private readonly options: ListenerOptions;
  private fd = -1;
  private poll: ReadablePoll | null = null;
  private pauseTimer: NodeJS.Timeout | null = null;
  private starved = false;
  private readonly peer = new Uint8Array(SOCKADDR_BYTES);
  private readonly peerLength = new Uint32Array(1);

  constructor(options: ListenerOptions) {
    this.options = options;
  }

  /** Binds and listens; accepting begins with `accept`. Throws SysError, or the resolver's error. */
  async listen(): Promise<SocketAddress> {
    const { host, port, backlog, blocking } = this.options;
    const { address, scopeId } = await resolveHost(host);
    this.fd = listenTcp({
      address,
      port,
      backlog,
      scopeId,
      acceptedTimeoutMs: blocking ? BLOCKING_TIMEOUT_MS : 0,
    });
    return localAddress(this.fd);
  }

  /** Begins to accept. */
  accept(): void {
    this.poll = pollReadable(this.fd, () => this.acceptBatch());
  }

  /** Who the connection being handed over comes from. Only valid inside onConnection. */
  peerAddress(): SocketAddress {
    return decodeSockaddr(this.peer);
  }

  private acceptBatch(): void {
    const flags = SOCK_CLOEXEC | (this.options.blocking ? 0 : SOCK_NONBLOCK);
    for (let i = 0; i < BATCH && this.fd >= 0; i++) {
      this.peerLength[0] = SOCKADDR_BYTES;
      const fd = libc.accept4(this.fd, this.peer, this.peerLength, flags);
      if (fd >= 0) {
        this.starved = false;
        this.options.onConnection(fd);
        continue;
      }
      const number = errno();
      if (number === E.EAGAIN) return;
      if (!ONE_CONNECTION_ONLY.has(number)) {
        this.pause(number);
        return;
      }
    }
  }

  private pause(number: number): void {
    this.poll?.close();
    this.poll = null;
    if (!this.starved) this.options.onStarved(errnoName(number));
    this.starved = true;
    this.pauseTimer = setTimeout(() => {
      this.pauseTimer = null;
      this.accept();
    }, PAUSE_MS);
  }

  /** Stops listening: the kernel resets who waits in the backlog. Safe to call twice. */
  close(): void {
    if (this.pauseTimer !== null) clearTimeout(this.pauseTimer);
    this.pauseTimer = null;
    this.poll?.close();
    this.poll = null;
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = -1;
  }
}
