/**
 * The demo's echo server, which is replaced on the same port when the strategy changes, and one admin endpoint for all.
 *
 * Main thread only. Owns the running server and the admin endpoint until close(). It is the endpoint's StatusSource and
 * passes on the running server's status.
 */
import { type Admin, createAdmin, type StatusSource } from '../admin/index.ts';
import type { SharedBuffers } from '../memory/layout.ts';
import type { HandlerOptions } from '../options/index.ts';
import type { StrategyName } from '../options/types.ts';
import type { MainStatus } from '../pool/shared-figures.ts';
import type { ServerStatus } from '../schema/status.ts';
import { EchoServer } from '../server/server.ts';

/** A lecture machine has at least this many processors. */
export const WORKERS = 2;
export const CPUS = 2;
/** Assigned to connections in turn: three handlers that sleep, one that computes longer than cpu_intensive allows. */
const SLEEPS = 'burn:1ms,sleep:100ms,burn:1ms';
export const SERVICES: readonly string[] = [SLEEPS, SLEEPS, SLEEPS, 'burn:20ms'];
/** Short, as the clients have closed already. */
const DRAIN_TIMEOUT_MS = 500;

/** The admin endpoint could not listen. */
export class CannotListen extends Error {
  override readonly name = 'CannotListen';
}

function makeServer(
  strategy: StrategyName,
  port: number,
  admin: string,
  handler: HandlerOptions,
): EchoServer {
  return new EchoServer({
    strategy,
    port,
    admin,
    ...(handler.handler === undefined ? { service: SERVICES } : handler),
    drainTimeoutMs: DRAIN_TIMEOUT_MS,
    logLevel: 'silent',
    ...(strategy === 'workqueue' ? { workers: WORKERS } : {}),
    ...(strategy === 'cmwq' ? { cpus: CPUS } : {}),
  });
}

export class Stage implements StatusSource {
  private readonly adminText: string;
  private readonly handler: HandlerOptions;
  private readonly admin: Admin;
  private server: EchoServer;
  /** 0 until it listens. */
  port = 0;
  /** Address of the dashboard: http://127.0.0.1:9090/, or unix:path. */
  url = '';

  constructor(strategy: StrategyName, admin: string, handler: HandlerOptions) {
    this.adminText = admin;
    this.handler = handler;
    this.server = makeServer(strategy, 0, admin, handler);
    this.admin = createAdmin(this, { listen: admin });
  }

  get notReadyReason(): string | null {
    return this.server.notReadyReason;
  }

  status(): ServerStatus {
    return this.server.status();
  }

  mainStatus(): MainStatus {
    return this.server.mainStatus();
  }

  get sharedBuffers(): SharedBuffers {
    return this.server.sharedBuffers;
  }

  /** Module of the operator's handler; null if handlers are the demo's own. */
  get handlerName(): string | null {
    return this.server.options.handler ?? null;
  }

  get strategy(): StrategyName {
    return this.server.options.strategy;
  }

  /** Rejects with CannotListen when the admin endpoint cannot listen. */
  async open(): Promise<void> {
    try {
      this.url = (await this.admin.listen()).url;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new CannotListen(`cannot listen on --admin ${this.adminText}: ${code ?? message}`);
    }
    this.port = (await this.server.listen()).port;
  }

  /** Cuts connections that are still open. */
  async switchTo(strategy: StrategyName): Promise<void> {
    await this.server.close();
    this.server = makeServer(strategy, this.port, this.adminText, this.handler);
    await this.server.listen();
  }

  async close(): Promise<void> {
    await this.server.close();
    await this.admin.close(); // last: it reports the stop
  }
}
