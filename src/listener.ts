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
import {
  type AcceptedOptions,
  closeFd,
  listenTcp,
  localAddress,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from './sys/socket.ts';

/** Connections accepted before the event loop gets its turn. */
const BATCH = 256;
/** How long accepting pauses when descriptors ran out. */
const PAUSE_MS = 20;
/** From this rate on accepting naps between batches (measured: a quarter less CPU per short connection). */
const RUSH_PER_SECOND = 10_000;
const NAP_MS = 0.1;
const WINDOW_MS = 10;
const napWord = new Int32Array(new SharedArrayBuffer(4));

function nap(): void {
  Atomics.wait(napWord, 0, 0, NAP_MS);
}

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
  reusePort: boolean;
  /** What accepted sockets inherit; those with a blockingTimeoutMs block (kthread, workqueue). */
  accepted: AcceptedOptions;
  /** Connections are about to be accepted: a moment to close finished ones. */
  onBatch: () => void;
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
  private windowStartMs = 0;
  private windowAccepts = 0;
  private rush = false;
  private readonly peer = new Uint8Array(SOCKADDR_BYTES);
  private readonly peerLength = new Uint32Array(1);

  constructor(options: ListenerOptions) {
    this.options = options;
  }

  /** Binds and listens; accepting begins with `accept`. Throws SysError, or the resolver's error. */
  async listen(): Promise<SocketAddress> {
    const { host, port, backlog, reusePort, accepted } = this.options;
    const { address, scopeId } = await resolveHost(host);
    this.fd = listenTcp({ address, port, backlog, scopeId, reusePort, accepted });
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
    this.options.onBatch();
    const accepted = this.acceptWaiting();
    if (this.isRush(accepted)) nap();
  }

  /**
   * Whether connections come faster than RUSH_PER_SECOND. Then a short nap makes the next batch larger, which
   * costs less per connection than waking up for each; below that it would only cost latency.
   */
  private isRush(accepted: number): boolean {
    this.windowAccepts += accepted;
    const nowMs = performance.now();
    const spanMs = nowMs - this.windowStartMs;
    if (spanMs >= WINDOW_MS) {
      this.rush = this.windowAccepts > (RUSH_PER_SECOND * spanMs) / 1000;
      this.windowStartMs = nowMs;
      this.windowAccepts = 0;
    }
    return this.rush;
  }

  /** Accepts what waits, at most BATCH, and returns how many. */
  private acceptWaiting(): number {
    const flags = SOCK_CLOEXEC | (this.options.accepted.blockingTimeoutMs > 0 ? 0 : SOCK_NONBLOCK);
    let accepted = 0;
    while (accepted < BATCH && this.fd >= 0) {
      this.peerLength[0] = SOCKADDR_BYTES;
      const fd = libc.accept4(this.fd, this.peer, this.peerLength, flags);
      if (fd >= 0) {
        accepted++;
        this.starved = false;
        this.options.onConnection(fd);
        continue;
      }
      const number = errno();
      if (number === E.EAGAIN) break;
      if (!ONE_CONNECTION_ONLY.has(number)) {
        this.pause(number);
        break;
      }
    }
    return accepted;
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
