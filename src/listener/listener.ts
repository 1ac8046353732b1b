/**
 * The acceptor: binds, listens, accepts, and passes every accepted descriptor to one receiver.
 *
 * Main thread only. It owns the listening descriptor; an accepted one belongs to the receiver from the call on. The
 * receiver sees connections in the order in which the kernel completed them.
 *
 * When descriptors (EMFILE, ENFILE) or memory run out, it stops polling for PAUSE_MS and retries: clients wait in the
 * kernel's backlog, no CPU time is spent, and one line is logged. The same when accept(2) keeps failing with an error
 * that should concern a single connection: if a security module forbids it (EPERM), the connection stays in the backlog
 * and the next attempt fails too.
 *
 * When the listening socket is lost (listening-socket.ts), it logs that once, keeps serving open connections, and tries
 * every second to listen again on the same address and port.
 */
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
import { resolveHost } from './resolve-host.ts';
import { Rush } from './rush.ts';

/** Connections accepted before the event loop gets its turn. */
const BATCH = 256;
/** How long accepting pauses after it failed. */
const PAUSE_MS = 20;
/** After this many batches of failures only, the cause is not single connections. */
const FAILED_BATCHES = 2;
/** Between two attempts to listen again. */
const RELISTEN_MS = 1000;
/** Errors of a single connection, accept(2): the next one may be accepted at once. */
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

/** Errors of accept(2) when the descriptor is no longer a listening socket. */
const NO_LISTENER = new Set([E.EBADF, E.EINVAL, E.ENOTSOCK, E.EOPNOTSUPP]);

/** Takes the accepted connections. */
export interface Receiver {
  /** Called before a batch is accepted, to close finished connections first. */
  takeFinished(): void;
  /** Takes ownership of an accepted descriptor. `peer` is its sockaddr, valid until this returns. */
  onConnection(fd: number, peer: Uint8Array): void;
}

export interface ListenerOptions {
  host: string;
  port: number;
  backlog: number;
  reusePort: boolean;
  /** Options that accepted sockets inherit; with a blockingTimeoutMs the sockets block (kthread, workqueue). */
  accepted: AcceptedOptions;
  /** The listening socket's protocol does not support these options of `accepted`. */
  onUnsupported: (options: readonly string[]) => void;
  /** Accepting failed and pauses; called once until it works again. */
  onStarved: (code: string) => void;
  /** The listening socket was closed or shut down from outside. */
  onLost: () => void;
  /** Listening again failed; called once while the retries fail. */
  onRelistenFailed: (code: string) => void;
  onRelistened: (address: SocketAddress) => void;
}

export class Listener {
  private readonly options: ListenerOptions;
  private socket: ListeningSocket | null = null;
  private poll: ReadablePoll | null = null;
  private pauseTimer: NodeJS.Timeout | null = null;
  /** Accepting has paused, and the backlog has not been empty since. */
  private starved = false;
  /** Consecutive batches of failures only. */
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
   * Instead of `listen`, takes ownership of a listening socket. Throws TypeError when `fd` is not a listening TCP
   * socket, or SysError; the descriptor then stays the caller's.
   */
  adopt(fd: number): SocketAddress {
    return this.own(ListeningSocket.adopt(fd, this.options));
  }

  private own(socket: ListeningSocket): SocketAddress {
    this.socket = socket;
    if (socket.unsupported.length > 0) this.options.onUnsupported(socket.unsupported);
    return socket.address;
  }

  /** Whether the socket is lost and not yet restored. */
  get isLost(): boolean {
    return this.relistenTimer !== null;
  }

  /** Starts accepting for `receiver`. */
  accept(receiver: Receiver): void {
    this.receiver = receiver;
    this.resume();
  }

  private resume(): void {
    const { socket } = this;
    if (socket === null) return;
    // Polling a closed descriptor aborts the process.
    if (socket.isIntact()) this.poll = pollReadable(socket.fd, () => this.acceptBatch());
    else this.lost();
  }

  /**
   * Checks whether the socket still listens. Call it periodically: when a polled descriptor is closed, the kernel drops
   * it from epoll without an event.
   */
  check(): void {
    if (this.socket !== null && this.relistenTimer === null && !this.socket.isIntact()) this.lost();
  }

  private acceptBatch(): void {
    this.receiver?.takeFinished();
    this.rush.napAfter(this.acceptWaiting());
  }

  /** Accepts waiting connections, at most BATCH attempts to let the event loop turn. Returns how many succeeded. */
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
    else if (number !== 0 && !ONE_CONNECTION_ONLY.has(number)) this.acceptFailed(number);
    return accepted;
  }

  /** accept(2) failed with an error that does not concern a single connection. */
  private acceptFailed(number: number): void {
    if (number === E.EAGAIN) this.starved = false;
    else if (NO_LISTENER.has(number)) this.lost();
    else this.pause(number);
  }

  /** The accepted descriptor, or a negative errno. */
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
    this.socket?.putBack(); // so that epoll can drop it
    this.stopPolling();
    this.socket?.drop();
    this.relistenFailed = false;
    this.options.onLost();
    this.relisten();
  }

  /** The timer keeps the process alive, which has nothing else to wait for. */
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
   * Before a stop: accepts the clients in the backlog, which closing the socket would reset. Leaves the backlog of an
   * inherited socket to the next process.
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
   * Stops listening: the kernel resets clients in the backlog. An inherited socket keeps listening for the processes
   * that share it. Idempotent.
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
