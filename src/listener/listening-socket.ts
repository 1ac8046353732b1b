/**
 * The listening socket and its life cycle: bound here or inherited, lost, restored, closed.
 *
 * Main thread only. It owns the descriptor, and for an inherited socket a duplicate, the spare. Either can be lost to a
 * stray close(2) in the process or a shutdown(2) by another process that shares the socket. So a descriptor is closed
 * only while its cookie shows that it names this socket; otherwise it may have been reused.
 *
 * An inherited socket cannot be bound again while its owner holds it: it is restored from the spare.
 */
import { shown } from '../options/values.ts';
import { shutdownBoth } from '../sys/connection.ts';
import { duplicate, notTcpListener, prepareInherited, socketCookie } from '../sys/inherited-socket.ts';
import { check, E, libc, SysError } from '../sys/libc.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import {
  type AcceptedOptions,
  closeFd,
  isListening,
  type ListenOptions,
  listenTcp,
  localAddress,
  setAccepted,
} from '../sys/socket.ts';

/** Lowest number for the spare: beyond the small ones that stray closes tend to hit. */
const SPARE_FROM = 20;
const MAX_INT = 2 ** 31 - 1;

export class ListeningSocket {
  /** The descriptor; -1 while the socket is lost. */
  fd: number;
  readonly address: SocketAddress;
  private readonly backlog: number;
  private cookie: bigint | null;
  /** How to bind it again; null when inherited. */
  private readonly bound: ListenOptions | null;
  private spare = -1;
  private readonly accepted: AcceptedOptions;
  /** Names of the `accepted` options that the socket's protocol does not support. */
  unsupported: readonly string[];

  private constructor(
    { fd, lacking: unsupported }: { fd: number; lacking: string[] },
    { backlog, accepted }: Pick<ListenOptions, 'backlog' | 'accepted'>,
    bound: ListenOptions | null,
  ) {
    this.fd = fd;
    this.unsupported = unsupported;
    this.accepted = accepted;
    this.address = localAddress(fd);
    this.backlog = backlog;
    this.cookie = socketCookie(fd);
    this.bound = bound === null ? null : { ...bound, port: this.address.port };
  }

  /** Binds and listens. Throws SysError. */
  static bind(options: ListenOptions): ListeningSocket {
    return new ListeningSocket(listenTcp(options), options, options);
  }

  /** Takes ownership of a listening TCP socket. Throws TypeError or SysError; `fd` then stays the caller's. */
  static adopt(fd: number, options: Pick<ListenOptions, 'backlog' | 'accepted'>): ListeningSocket {
    // A caller may pass anything; the calls below need a C int.
    const isNumber = Number.isInteger(fd) && fd >= 0 && fd <= MAX_INT;
    const other = isNumber ? notTcpListener(fd) : '';
    if (other !== null) {
      const what = other === '' ? '' : `: it is ${other}`;
      throw new TypeError(`descriptor ${shown(fd)} is not a listening TCP socket${what}`);
    }
    prepareInherited(fd);
    const lacking = setAccepted(fd, options.accepted, `preparing descriptor ${fd}`);
    const socket = new ListeningSocket({ fd, lacking }, options, null);
    socket.spare = duplicate(fd, SPARE_FROM);
    return socket;
  }

  get isInherited(): boolean {
    return this.bound === null;
  }

  private isOurs(fd: number): boolean {
    if (fd < 0) return false;
    return this.cookie === null ? isListening(fd) : socketCookie(fd) === this.cookie; // Linux has cookies since 4.12
  }

  /** Whether the descriptor still names this socket and the socket still listens. */
  isIntact(): boolean {
    return this.isOurs(this.fd) && isListening(this.fd);
  }

  /**
   * Sets the options that an accepted socket could not inherit. A client without Multipath TCP gets a plain TCP
   * connection from such a socket, which supports them all.
   */
  complete(accepted: number): void {
    if (this.unsupported.length === 0) return;
    try {
      setAccepted(accepted, this.accepted, 'preparing a connection');
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // served without these options
    }
  }

  /**
   * Restores a closed descriptor of an inherited socket if its number is still free. The owner keeps the socket open,
   * so epoll keeps reporting it under that number, which EPOLL_CTL_DEL needs to be open.
   */
  putBack(): void {
    if (this.fd < 0 || this.isOurs(this.fd) || !this.isOurs(this.spare)) return;
    try {
      const back = duplicate(this.spare, this.fd);
      if (back !== this.fd) closeFd(back);
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // EMFILE: no number is free
    }
  }

  /** Gives up the descriptor; closes it unless it has been reused. */
  drop(): void {
    if (this.isOurs(this.fd)) closeFd(this.fd);
    this.fd = -1;
  }

  /** After `drop`: listens again on the same address and port. Throws SysError. */
  restore(): void {
    if (this.bound !== null) {
      ({ fd: this.fd, lacking: this.unsupported } = listenTcp(this.bound));
      this.cookie = socketCookie(this.fd);
      return;
    }
    if (!this.isOurs(this.spare)) throw new SysError('listen', E.EBADF, 'listening again');
    if (!isListening(this.spare)) this.relisten();
    this.fd = duplicate(this.spare, 0);
  }

  /** After a shutdown(2): the socket keeps its port only if it was bound to a specific one. */
  private relisten(): void {
    const { port } = this.address;
    check('listen', libc.listen(this.spare, this.backlog), `listening again on port ${port}`);
    if (localAddress(this.spare).port === port) return;
    shutdownBoth(this.spare); // only after listen(2) does the kernel show the new port
    throw new SysError('listen', E.EINVAL, 'listening again');
  }

  /** Closes what is still ours. An inherited socket is not shut down: other processes may share it. */
  close(): void {
    this.drop();
    if (this.isOurs(this.spare)) closeFd(this.spare);
    this.spare = -1;
  }
}
