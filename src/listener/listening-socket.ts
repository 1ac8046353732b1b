/**
 * The listening socket and what becomes of it: bound here or inherited, lost, restored, closed.
 *
 * Main thread only. It owns the descriptor, and of an inherited socket a second one, the spare. Others can reach
 * both: a stray close(2) in the process, a shutdown(2) by whoever shares the socket. So a number is closed only
 * while it names this very socket (its cookie says so); else it may belong to somebody by now.
 *
 * An inherited socket cannot be bound again, and its owner goes on to hold it: it is restored from the spare.
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

/** Where the spare is looked for: out of the way of whoever closes small numbers. */
const SPARE_FROM = 20;
const MAX_INT = 2 ** 31 - 1;

export class ListeningSocket {
  /** The descriptor; -1 while the socket is lost. */
  fd: number;
  readonly address: SocketAddress;
  private readonly backlog: number;
  private cookie: bigint | null;
  /** How it was bound, to be bound so again; null when it is inherited. */
  private readonly bound: ListenOptions | null;
  private spare = -1;
  private readonly accepted: AcceptedOptions;
  /** Options of `accepted` that the socket's protocol does not have, by name. */
  lacking: readonly string[];

  private constructor(
    { fd, lacking }: { fd: number; lacking: string[] },
    { backlog, accepted }: Pick<ListenOptions, 'backlog' | 'accepted'>,
    bound: ListenOptions | null,
  ) {
    this.fd = fd;
    this.lacking = lacking;
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

  /** Takes over a socket that listens. Throws TypeError when it is none, or SysError; `fd` stays the caller's then. */
  static adopt(fd: number, options: Pick<ListenOptions, 'backlog' | 'accepted'>): ListeningSocket {
    // A program may pass anything; the calls below take a C int and nothing else.
    const isNumber = Number.isInteger(fd) && fd >= 0 && fd <= MAX_INT;
    const other = isNumber ? notTcpListener(fd) : '';
    if (other !== null) {
      const what = other === '' ? '' : `: it is ${other}`;
      throw new TypeError(`descriptor ${shown(fd)} is not a TCP socket that listens${what}`);
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
    return this.cookie === null ? isListening(fd) : socketCookie(fd) === this.cookie; // no cookies before Linux 4.12
  }

  /** Whether the descriptor still names this socket, and the socket still listens. */
  isIntact(): boolean {
    return this.isOurs(this.fd) && isListening(this.fd);
  }

  /**
   * Sets on an accepted socket what it could not inherit. A client without Multipath TCP gets a plain TCP connection from
   * such a socket, which has all options.
   */
  complete(accepted: number): void {
    if (this.lacking.length === 0) return;
    try {
      setAccepted(accepted, this.accepted, 'preparing a connection');
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // the connection is served without
    }
  }

  /**
   * Gives an inherited socket whose descriptor was closed its number back, if nobody has taken it. Its owner keeps
   * the socket open, so epoll goes on to report it under this number, and could not be told to stop otherwise.
   */
  putBack(): void {
    if (this.fd < 0 || this.isOurs(this.fd) || !this.isOurs(this.spare)) return;
    try {
      const back = duplicate(this.spare, this.fd);
      if (back !== this.fd) closeFd(back);
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // EMFILE: no number is free, so this one is taken
    }
  }

  /** Gives the descriptor up, closing it unless it is somebody else's by now. */
  drop(): void {
    if (this.isOurs(this.fd)) closeFd(this.fd);
    this.fd = -1;
  }

  /** After `drop`: listens again on the same address and port. Throws SysError. */
  restore(): void {
    if (this.bound !== null) {
      ({ fd: this.fd, lacking: this.lacking } = listenTcp(this.bound));
      this.cookie = socketCookie(this.fd);
      return;
    }
    if (!this.isOurs(this.spare)) throw new SysError('listen', E.EBADF, 'listening again');
    if (!isListening(this.spare)) this.relisten();
    this.fd = duplicate(this.spare, 0);
  }

  /** After a shutdown(2): the socket keeps its port, if it was bound to a certain one. */
  private relisten(): void {
    const { port } = this.address;
    check('listen', libc.listen(this.spare, this.backlog), `listening again on port ${port}`);
    if (localAddress(this.spare).port === port) return;
    shutdownBoth(this.spare); // before listen(2) the kernel still says the old port
    throw new SysError('listen', E.EINVAL, 'listening again');
  }

  /** Closes what is still ours. An inherited socket is not shut down: it listens on for whoever else has it. */
  close(): void {
    this.drop();
    if (this.isOurs(this.spare)) closeFd(this.spare);
    this.spare = -1;
  }
}
