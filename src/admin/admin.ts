/**
 * The admin endpoint: a separate HTTP server that publishes the echo server's figures.
 *
 * Main thread only. It owns its listening socket, its connections (at most MAX_CONNECTIONS) and the watchers' timer.
 * It reads the server's status and changes nothing; the echo path does not know it. It should listen before the server
 * starts and close after the server has stopped, so that /readyz reports both phases.
 *
 * Invariant: no client can make it throw, block, or hold more than a bounded amount of memory; the limits are below.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { ADMIN_ADDRESS_ALLOWED, type AdminAddress, parseAdminAddress } from '../options/admin-address.ts';
import { UsageError } from '../options/values.ts';
import type { ServerStatus } from '../schema/status.ts';
import { readStaticFiles } from './files.ts';
import { ALLOW, Guard, type HostCheck, isLoopback, loopbackHosts, refuse } from './guard.ts';
import { Metrics } from './metrics.ts';
import { makeRequestHandler, type StatusSource } from './routes.ts';
import { Snapshot, Snapshots } from './snapshots.ts';
import { listenOnUnixSocket, removeStaleSocket } from './unix-socket.ts';
import { Watchers } from './watchers.ts';

/** Connections beyond it are dropped. limits.ts reserves their descriptors. */
const MAX_CONNECTIONS = 64;
/** Request line and headers together. */
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_REQUESTS_PER_SOCKET = 1000;
/** How long close() waits for responses in progress; without any it does not wait. */
const CLOSE_GRACE_MS = 100;

/** Limits on a client's time. */
export interface AdminTimeouts {
  /** For the headers of a request; also for the silence before the first one. */
  headersMs: number;
  requestMs: number;
  keepAliveMs: number;
  /** Without a byte in either direction: the client does not read its response or its frames. */
  stalledMs: number;
}

/** Maximum age of the figures in a response. */
const SNAPSHOT_AGE_MS = 100;

const TIMEOUTS: AdminTimeouts = { headersMs: 5000, requestMs: 10_000, keepAliveMs: 5000, stalledMs: 30_000 };
/** How often Node checks connections against headersMs and requestMs. */
const CHECK_INTERVAL_MS = 1000;

/** The subset of a pino logger that is used. */
export interface AdminLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface AdminOptions {
  /** As `--admin`: `9090`, `127.0.0.1:9090`, `[::1]:9090`, or a path for a Unix socket. Default: any free port of 127.0.0.1. */
  listen?: string;
  /** Receives the listening address, and defects. */
  logger?: AdminLogger;
  /** For tests. @internal */
  timeouts?: Partial<AdminTimeouts>;
  /** For tests. @internal */
  dashboard?: URL;
  /** For tests: 0 takes a snapshot per response. @internal */
  snapshotAgeMs?: number;
}

export class Admin implements AsyncDisposable {
  private readonly address: AdminAddress;
  private readonly logger: AdminLogger | undefined;
  private readonly http: Server;
  /** Set once it listens. */
  private guard: Guard | null = null;
  /** @internal */
  readonly watchers: Watchers;
  private connectionsDropped = 0;
  private starting: Promise<void> | null = null;
  private closing: Promise<void> | null = null;

  /** Reads the static files; opens no socket yet. Throws UsageError. */
  constructor(source: StatusSource, options: AdminOptions = {}) {
    const { listen = '127.0.0.1:0', logger, timeouts, dashboard, snapshotAgeMs = SNAPSHOT_AGE_MS } = options;
    const address = typeof listen === 'string' ? parseAdminAddress(listen) : null;
    if (address === null) throw new UsageError('listen', listen, ADMIN_ADDRESS_ALLOWED);
    this.address = address;
    this.logger = logger;
    const onError = (error: Error) =>
      this.logger?.error({ err: error }, 'admin endpoint failed to answer a request');
    const metrics = new Metrics();
    const makeMetrics = (status: ServerStatus) => metrics.text(status, this.figures);
    const snapshots = new Snapshots(() => new Snapshot(source.status(), makeMetrics), snapshotAgeMs);
    this.watchers = new Watchers(snapshots, onError);
    const handle = makeRequestHandler({
      source,
      snapshots,
      metricsType: metrics.contentType,
      watchers: this.watchers,
      files: readStaticFiles(dashboard),
      onError,
    });
    this.http = this.makeServer(handle, { ...TIMEOUTS, ...timeouts });
  }

  /** Starts listening. Rejects with the system's error when it cannot (EADDRINUSE, EACCES, ...). */
  async listen(): Promise<{ url: string }> {
    if (this.isClosing) throw new Error('the admin endpoint was closed');
    this.starting = this.bind();
    await this.starting;
    if (this.isClosing) throw new Error('the admin endpoint was closed while it started');
    this.guard = new Guard(this.hostCheck());
    const { url } = this;
    this.logger?.info({ url }, 'admin');
    return { url };
  }

  private async bind(): Promise<void> {
    const { address, http } = this;
    if (address.kind === 'unix') await removeStaleSocket(address.path);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    http.once('listening', resolve);
    http.on('error', (error) => {
      if (http.listening) this.logger?.error({ err: error }, 'admin endpoint failed to accept a connection');
      reject(error); // no effect once it listens
    });
    if (address.kind === 'unix') listenOnUnixSocket(http, address.path);
    else http.listen({ host: address.host, port: address.port });
    await promise;
  }

  /** The listening address: `http://127.0.0.1:9090/`, or `unix:/run/kecho.sock`. */
  get url(): string {
    if (this.address.kind === 'unix') return `unix:${this.address.path}`;
    const bound = this.http.address() as AddressInfo | null; // a string only for a Unix socket
    if (bound === null) throw new Error('the admin endpoint is not listening');
    return `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}/`;
  }

  /** Ends the event streams and closes, within CLOSE_GRACE_MS. A second call returns the same promise. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private get isClosing(): boolean {
    return this.closing !== null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private async shutDown(): Promise<void> {
    await this.starting?.catch(() => {}); // listen() rejects
    this.watchers.close();
    if (!this.http.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.http.close(() => resolve()); // also removes the Unix socket's file
    this.http.closeIdleConnections();
    const timer = setTimeout(() => this.http.closeAllConnections(), CLOSE_GRACE_MS);
    await promise;
    clearTimeout(timer);
  }

  private hostCheck(): HostCheck | null {
    const bound = this.http.address();
    if (this.address.kind === 'unix' || bound === null || typeof bound === 'string') return null;
    if (isLoopback(bound.address)) return loopbackHosts(this.address.host);
    this.logger?.warn({ address: bound.address }, 'admin endpoint is reachable from other machines');
    return null;
  }

  private get figures() {
    const { sent, lost } = this.watchers.frames;
    return {
      watchers: this.watchers.size,
      framesSent: sent,
      framesLost: lost,
      connectionsDropped: this.connectionsDropped,
    };
  }

  private makeServer(
    handle: (response: ServerResponse) => Promise<void>,
    { headersMs, requestMs, keepAliveMs, stalledMs }: AdminTimeouts,
  ): Server {
    const http = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, headersMs),
    });
    http.maxConnections = MAX_CONNECTIONS;
    http.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
    http.timeout = stalledMs;
    http.on('drop', () => {
      this.connectionsDropped++;
    });
    http.on('request', (request, response) => {
      if (this.guard?.admit(request, response) === true) void handle(response);
    });
    http.on('checkContinue', (_, response: ServerResponse) => refuse(response, 417));
    http.on('checkExpectation', (_, response: ServerResponse) => refuse(response, 417));
    http.on('connect', (_, socket) => rejectRaw(socket, `405 Method Not Allowed\r\nAllow: ${ALLOW}`));
    http.on('clientError', (error: NodeJS.ErrnoException, socket) => rejectRaw(socket, statusOf(error)));
    return http;
  }
}

/** The status line for malformed input, as Node itself would choose it. */
function statusOf({ code }: NodeJS.ErrnoException): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
}

/** Answers a connection without a ServerResponse, and closes it whatever the peer does. */
function rejectRaw(socket: Duplex, statusAndHeaders: string): void {
  socket.on('error', () => {});
  if (socket.writable)
    socket.write(`HTTP/1.1 ${statusAndHeaders}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroy();
}
