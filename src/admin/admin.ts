/**
 * The admin endpoint: its address, its start and its stop.
 *
 * Main thread only. It owns the listening socket and the thread that answers. It reads the server's status and changes
 * nothing; the echo path does not know it. It should listen before the server starts and close after the server has
 * stopped, so that /readyz reports both phases.
 */
import { ADMIN_ADDRESS_ALLOWED, type AdminAddress, parseAdminAddress } from '../options/admin-address.ts';
import { UsageError } from '../options/values.ts';
import { type AdminLogger, AdminThread, type StatusSource } from './admin-thread.ts';
import type { AdminTimeouts, EndpointOptions } from './endpoint.ts';
import { readStaticFiles, type StaticFile } from './files.ts';
import { isLoopback } from './guard.ts';
import { type AdminSocket, listenAt } from './listening.ts';

/** Maximum age of the figures in a response. */
const SNAPSHOT_AGE_MS = 100;
/** A main that takes longer to answer is busy; the thread then answers with the last figures. */
const LATE_MS = 250;
/** Main sends something each second. */
const STUCK_MS = 10_000;

const TIMEOUTS: AdminTimeouts = { headersMs: 5000, requestMs: 10_000, keepAliveMs: 5000, stalledMs: 30_000 };

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
  /** For tests: how long a response waits for main. @internal */
  lateMs?: number;
  /** For tests: silence of main after which /livez and /readyz fail. @internal */
  stuckMs?: number;
  /** For tests: a module in place of thread.ts. @internal */
  entry?: URL;
}

function defaultEntry(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./thread.${extension}`, import.meta.url);
}

export class Admin implements AsyncDisposable {
  private readonly source: StatusSource;
  private readonly options: AdminOptions;
  private readonly address: AdminAddress;
  private readonly files: ReadonlyMap<string, StaticFile>;
  private socket: AdminSocket | null = null;
  private thread: AdminThread | null = null;
  private starting: Promise<void> | null = null;
  private closing: Promise<void> | null = null;

  /** Reads the static files; opens no socket yet. Throws UsageError. */
  constructor(source: StatusSource, options: AdminOptions = {}) {
    const { listen = '127.0.0.1:0', dashboard } = options;
    const address = typeof listen === 'string' ? parseAdminAddress(listen) : null;
    if (address === null) throw new UsageError('listen', listen, ADMIN_ADDRESS_ALLOWED);
    this.source = source;
    this.options = options;
    this.address = address;
    this.files = readStaticFiles(dashboard);
  }

  /** Starts listening. Rejects with the system's error when it cannot (EADDRINUSE, EACCES, ...). */
  async listen(): Promise<{ url: string }> {
    if (this.isClosing) throw new Error('the admin endpoint was closed');
    this.starting = this.start();
    await this.starting;
    if (this.isClosing) throw new Error('the admin endpoint was closed while it started');
    const { url } = this;
    this.options.logger?.info({ url }, 'admin');
    return { url };
  }

  private async start(): Promise<void> {
    const { source, options } = this;
    const { logger, lateMs = LATE_MS, stuckMs = STUCK_MS, entry = defaultEntry() } = options;
    const socket = await listenAt(this.address);
    this.socket = socket;
    const data = { fd: socket.fd, options: this.endpointOptions(socket), lateMs, stuckMs };
    this.thread = new AdminThread({ source, logger, data, entry });
    try {
      await this.thread.start();
    } catch (error) {
      this.socket = null;
      socket.close();
      throw error;
    }
  }

  private endpointOptions({ ip }: AdminSocket): EndpointOptions {
    const { timeouts, snapshotAgeMs = SNAPSHOT_AGE_MS } = this.options;
    return {
      files: this.files,
      loopbackHost: this.loopbackHost(ip),
      timeouts: { ...TIMEOUTS, ...timeouts },
      snapshotAgeMs,
    };
  }

  private loopbackHost(ip: string | null): string | null {
    if (ip === null || this.address.kind === 'unix') return null;
    if (isLoopback(ip)) return this.address.host;
    this.options.logger?.warn({ address: ip }, 'admin endpoint is reachable from other machines');
    return null;
  }

  /** The listening address: `http://127.0.0.1:9090/`, or `unix:/run/kecho.sock`. */
  get url(): string {
    if (this.socket === null) throw new Error('the admin endpoint is not listening');
    return this.socket.url;
  }

  /** Ends the event streams and closes, within moments. A second call returns the same promise. */
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
    this.socket?.close(); // the thread still has its descriptor
    await this.thread?.close();
  }
}
