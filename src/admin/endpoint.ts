/**
 * The admin endpoint's HTTP server, which publishes the echo server's figures.
 *
 * Runs on the endpoint's own thread (thread.ts). It owns a descriptor of the listening socket, its connections (at most
 * MAX_CONNECTIONS) and the watchers' timer. It changes nothing of the echo server.
 *
 * Invariant: no client can make it throw, block, or hold more than a bounded amount of memory; the limits are below.
 */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ServerStatus } from '../schema/status.ts';
import type { StaticFile } from './files.ts';
import { ALLOW, Guard, loopbackHosts, refuse } from './guard.ts';
import { Metrics } from './metrics.ts';
import { type EndpointSource, makeRequestHandler } from './routes.ts';
import { Snapshot, Snapshots } from './snapshots.ts';
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

/** How often Node checks connections against headersMs and requestMs. */
const CHECK_INTERVAL_MS = 1000;

export interface EndpointOptions {
  files: ReadonlyMap<string, StaticFile>;
  /** The name or address of an endpoint on loopback, as configured; null: any Host is allowed. */
  loopbackHost: string | null;
  timeouts: AdminTimeouts;
  /** Maximum age of the figures in a response. */
  snapshotAgeMs: number;
}

export class Endpoint {
  private readonly http: Server;
  private readonly onError: (error: Error, what: string) => void;
  private readonly source: EndpointSource;
  readonly watchers: Watchers;
  private connectionsDropped = 0;

  /** `onError` gets defects. */
  constructor(
    source: EndpointSource,
    { files, loopbackHost, timeouts, snapshotAgeMs }: EndpointOptions,
    onError: (error: Error, what: string) => void,
  ) {
    this.source = source;
    this.onError = onError;
    const failed = (error: Error) => onError(error, 'admin endpoint failed to answer a request');
    const metrics = new Metrics();
    const makeMetrics = (status: ServerStatus) => metrics.text(status, this.figures);
    const snapshots = new Snapshots(
      async () => new Snapshot(await source.status(), makeMetrics),
      snapshotAgeMs,
    );
    this.watchers = new Watchers(snapshots, failed);
    const handle = makeRequestHandler({
      source,
      snapshots,
      metricsType: metrics.contentType,
      watchers: this.watchers,
      files,
      onError: failed,
    });
    const guard = new Guard(loopbackHost === null ? null : loopbackHosts(loopbackHost));
    this.http = makeServer(timeouts, (request, response) => {
      if (guard.admit(request, response)) void handle(response);
    });
    this.http.on('drop', () => {
      this.connectionsDropped++;
    });
  }

  /** Accepts connections on a listening socket, and takes ownership of the descriptor. */
  async listen(fd: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.http.once('listening', resolve);
    this.http.on('error', (error) => {
      if (this.http.listening) this.onError(error, 'admin endpoint failed to accept a connection');
      reject(error); // no effect once it listens
    });
    this.http.listen({ fd });
    await promise;
  }

  /** Ends the event streams and closes, within CLOSE_GRACE_MS. */
  async close(): Promise<void> {
    await this.watchers.close();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.http.close(() => resolve());
    this.http.closeIdleConnections();
    const timer = setTimeout(() => this.http.closeAllConnections(), CLOSE_GRACE_MS);
    await promise;
    clearTimeout(timer);
  }

  private get figures() {
    const { sent, lost } = this.watchers.frames;
    return {
      watchers: this.watchers.size,
      framesSent: sent,
      framesLost: lost,
      connectionsDropped: this.connectionsDropped,
      threads: this.source.threads,
    };
  }
}

function makeServer(
  { headersMs, requestMs, keepAliveMs, stalledMs }: AdminTimeouts,
  onRequest: RequestListener,
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
  http.on('request', onRequest);
  http.on('checkContinue', (_, response: ServerResponse) => refuse(response, 417));
  http.on('checkExpectation', (_, response: ServerResponse) => refuse(response, 417));
  http.on('connect', (_, socket) => rejectRaw(socket, `405 Method Not Allowed\r\nAllow: ${ALLOW}`));
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => rejectRaw(socket, statusOf(error)));
  return http;
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
