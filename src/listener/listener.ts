/**
 * The acceptor: binds, listens, accepts, and pushes every accepted descriptor on to one receiver.
 *
 * Main thread only. It owns the listening descriptor; an accepted one belongs to the receiver from the call
 * on. Order: the receiver sees connections in the order in which the kernel completed them.
 *
 * When descriptors run out (EMFILE, ENFILE) or memory does, it stops polling for PAUSE_MS and tries again:
 * the clients wait in the kernel's backlog, the processor does nothing, and it is said once. So it does when accept(2)
 * goes on to fail with what should concern one connection only: a security module that forbids it (EPERM) leaves the
 * connection in the backlog, and the next attempt fails as well.
 *
 * When the listening socket itself is gone (listening-socket.ts), it says so once, goes on with what is open, and
 * tries each second to listen again on the same address and port.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import {
  E,
  errno,
  errnoName,
  errnoNumber,
  libc,
  pollReadable,
  type ReadablePoll,
  SysError,
} from '../sys/libc.ts';
import { SOCKADDR_BYTES, type SocketAddress } from '../sys/sockaddr.ts';
import { type AcceptedOptions, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../sys/socket.ts';
import { fillStandardStreams, isStandard, moveFromStandard } from '../sys/standard-streams.ts';
import { ListeningSocket } from './listening-socket.ts';
import { Rush } from './rush.ts';

/** Connections accepted before the event loop gets its turn. */
const BATCH = 256;
/** How long accepting pauses when it cannot go on. */
const PAUSE_MS = 20;
/** So many batches of nothing but failures are no bad luck of single connections. */
const FAILED_BATCHES = 2;
/** How often it is tried to listen again. */
const RELISTEN_MS = 1000;
/** Errors of one connection that is gone already, accept(2): the next one may be accepted at once. */
const ONE_CONNECTION_ONLY = new Set([
  E.EINTR,
  E.ECONNABORTED,
  E.EPROTO,
  E.EPERM,
  E.ENETDOWN,
  E.ENETUNREACH,
  errnoNumber('EHOSTDOWN'),
  E.EHOSTUNREACH,
  E.ENOPROTOOPT,
  errnoNumber('ENONET'),
]);

/** What accept(2) says when the descriptor is no longer a socket that listens. */
const NO_LISTENER = new Set([E.EBADF, E.EINVAL, E.ENOTSOCK, E.EOPNOTSUPP]);

/** Who takes the connections. */
export interface Receiver {
  /** Connections are about to be accepted: a moment to close finished ones. */
  takeFinished(): void;
  /** Takes ownership of an accepted descriptor. `peer` is its sockaddr, until this returns. */
  onConnection(fd: number, peer: Uint8Array): void;
}

export interface ListenerOptions {
  host: string;
  port: number;
  backlog: number;
  reusePort: boolean;
  /** What accepted sockets inherit; those with a blockingTimeoutMs block (kthread, workqueue). */
  accepted: AcceptedOptions;
  /** The protocol of the listening socket does not have these options of `accepted`. */
  onLacking: (options: readonly string[]) => void;
  /** Accepting failed and pauses; told once until it works again. */
  onStarved: (code: string) => void;
  /** The listening socket is gone: closed or shut down by somebody. */
  onLost: () => void;
  /** Listening again failed; told once, and tried on. */
  onRelistenFailed: (code: string) => void;
  onRelistened: (address: SocketAddress) => void;
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
  private socket: ListeningSocket | null = null;
  private poll: ReadablePoll | null = null;
  private pauseTimer: NodeJS.Timeout | null = null;
  /** Accepting had to pause, and the backlog has not been empty since. */
  private starved = false;
  /** Batches of nothing but failures, one after another. */
  private failedBatches = 0;
  private relistenTimer: NodeJS.Timeout | null = null;
  private relistenFailed = false;
  private readonly rush = new Rush();
  /** Null until accepting begins. */
  private receiver: Receiver | null = null;
  private readonly peer = new Uint8Array(SOCKADDR_BYTES);
  private readonly peerLength = new Uint32Array(1);

  constructor(options: ListenerOptions) {
    this.options = options;
  }

  /** Binds and listens; accepting begins with `accept`. Throws SysError, or the resolver's error. */
  async listen(): Promise<SocketAddress> {
    const { host, port, backlog, reusePort, accepted } = this.options;
    const { address, scopeId } = await resolveHost(host);
    return this.own(ListeningSocket.bind({ address, port, backlog, scopeId, reusePort, accepted }));
  }

  /**
   * Takes a socket that listens already, instead of `listen`. It owns the descriptor from here on, unless this
   * throws: TypeError when it is no TCP socket that listens, or SysError.
   */
  adopt(fd: number): SocketAddress {
    return this.own(ListeningSocket.adopt(fd, this.options));
  }

  private own(socket: ListeningSocket): SocketAddress {
    this.socket = socket;
    if (socket.lacking.length > 0) this.options.onLacking(socket.lacking);
    return socket.address;
  }

  /** Whether the socket is lost and could not be restored yet. */
  get isLost(): boolean {
    return this.relistenTimer !== null;
  }

  /** Begins to accept, for `receiver`. */
  accept(receiver: Receiver): void {
    this.receiver = receiver;
    this.resume();
  }

  private resume(): void {
    const { socket } = this;
    if (socket === null) return;
    // A descriptor that is no longer open must not be polled: that ends the process.
    if (socket.isIntact()) this.poll = pollReadable(socket.fd, () => this.acceptBatch());
    else this.lost();
  }

  /**
   * Looks whether the socket is still there. To be called now and then: nobody is told when a descriptor that is
   * polled is closed, the kernel forgets it.
   */
  check(): void {
    if (this.socket !== null && this.relistenTimer === null && !this.socket.isIntact()) this.lost();
  }

  private acceptBatch(): void {
    this.receiver?.takeFinished();
    this.rush.napAfter(this.acceptWaiting());
  }

  /** Accepts what waits, in at most BATCH attempts, failed ones too: the event loop must turn. Returns how many. */
  private acceptWaiting(): number {
    const { receiver } = this;
    let [accepted, failed, number] = [0, 0, 0];
    while (receiver !== null && this.socket !== null && accepted + failed < BATCH) {
      const fd = this.acceptOne(this.socket.fd);
      if (fd >= 0) {
        accepted++;
        this.socket.complete(fd);
        receiver.onConnection(fd, this.peer);
        continue;
      }
      number = -fd;
      if (!ONE_CONNECTION_ONLY.has(number)) break;
      failed++;
    }
    this.failedBatches = failed === BATCH ? this.failedBatches + 1 : 0;
    if (this.failedBatches >= FAILED_BATCHES) this.pause(number);
    else if (number !== 0 && !ONE_CONNECTION_ONLY.has(number)) this.acceptingEnds(number);
    return accepted;
  }

  /** Accepting failed for another reason than a single connection's. */
  private acceptingEnds(number: number): void {
    if (number === E.EAGAIN) this.starved = false;
    else if (NO_LISTENER.has(number)) this.lost();
    else this.pause(number);
  }

  /** The accepted descriptor, or the errno made negative. */
  private acceptOne(listening: number): number {
    const { accepted } = this.options;
    this.peerLength[0] = SOCKADDR_BYTES;
    const flags = SOCK_CLOEXEC | (accepted.blockingTimeoutMs > 0 ? 0 : SOCK_NONBLOCK);
    const fd = libc.accept4(listening, this.peer, this.peerLength, flags);
    if (fd < 0) return -errno();
    return isStandard(fd) ? moveFromStandard(fd) : fd;
  }

  private pause(number: number): void {
    this.stopPolling();
    if (!this.starved) this.options.onStarved(errnoName(number));
    this.starved = true;
    this.pauseTimer = setTimeout(() => {
      this.pauseTimer = null;
      this.resume();
    }, PAUSE_MS);
  }

  private lost(): void {
    this.socket?.putBack(); // so that the poll can be taken off it
    this.stopPolling();
    this.socket?.drop();
    this.relistenFailed = false;
    this.options.onLost();
    this.relisten();
  }

  /** The timer holds the process: it is to go on although it has nothing to wait for. */
  private relisten(): void {
    this.relistenTimer = null;
    try {
      fillStandardStreams();
      this.socket?.restore();
    } catch (error) {
      const code = error instanceof SysError ? error.code : String(error);
      if (!this.relistenFailed) this.options.onRelistenFailed(code);
      this.relistenFailed = true;
      this.relistenTimer = setTimeout(() => this.relisten(), RELISTEN_MS);
      return;
    }
    if (this.socket === null) return; // closed by a callback
    this.options.onRelistened(this.socket.address);
    this.resume();
  }

  /**
   * Before a stop: accepts who waits in the backlog, whom closing the socket would reset. Not with an inherited
   * socket, whose backlog waits for the next process.
   */
  acceptLast(): void {
    if (this.poll === null || this.socket?.isInherited !== false) return;
    let left = this.options.backlog;
    for (let accepted = BATCH; accepted === BATCH && left > 0; left -= accepted)
      accepted = this.acceptWaiting();
  }

  private stopPolling(): void {
    if (this.pauseTimer !== null) clearTimeout(this.pauseTimer);
    this.pauseTimer = null;
    this.poll?.close();
    this.poll = null;
  }

  /**
   * Stops listening: the kernel resets who waits in the backlog. An inherited socket listens on, its backlog is for
   * whoever else has it. Safe to call twice.
   */
  close(): void {
    const { socket } = this;
    this.socket = null;
    if (this.relistenTimer !== null) clearTimeout(this.relistenTimer);
    this.relistenTimer = null;
    socket?.putBack();
    this.stopPolling();
    socket?.close();
  }
}
