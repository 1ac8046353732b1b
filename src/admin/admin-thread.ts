/**
 * Main's side of the endpoint's thread: makes it, answers its questions, and makes another one when it dies or hangs.
 *
 * Main thread only. It owns the thread and two timers: of the pings, and of the pause before the next thread. The
 * pause doubles with each death or failure, and is halved for each ping that is answered. Nothing that the thread does
 * reaches the echo service: main never waits for it except in start() and close().
 */
import { Worker } from 'node:worker_threads';
import type { SharedBuffers } from '../memory/layout.ts';
import { causeOf, noDeaths } from '../pool/deaths.ts';
import type { MainStatus } from '../pool/shared-figures.ts';
import type { ServerStatus } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';
import {
  decodeError,
  encodeError,
  type FromThread,
  type Taken,
  type ThreadData,
  type ToThread,
} from './messages.ts';

/** Enough for the largest status and its texts; responses are outside the heap. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 };
const PING_MS = 1000;
/** Pings without an answer until the thread counts as hung. They are counted, as main itself may be held up. */
const MAX_UNANSWERED = 5;
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
/** How long close() waits for the thread to end in order. */
const CLOSE_MS = 2000;

/** The subset of a pino logger that is used. */
export interface AdminLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** The server as the endpoint sees it: EchoServer. */
export interface StatusSource {
  /** Why it cannot serve now, as text; null when it can. Must not throw. */
  readonly notReadyReason: string | null;
  status(): ServerStatus;
  /** What only main knows of the status; the thread reads the rest from `sharedBuffers`. @internal */
  mainStatus?(): MainStatus;
  /** @internal */
  readonly sharedBuffers?: SharedBuffers;
}

/** Of each kind of message. */
type WithoutReason<T> = T extends unknown ? Omit<T, 'reason'> : never;

export interface AdminThreadOptions {
  source: StatusSource;
  logger: AdminLogger | undefined;
  data: Omit<ThreadData, 'reason' | 'taken'>;
  entry: URL;
}

export class AdminThread {
  private readonly options: AdminThreadOptions;
  private worker: Worker | null = null;
  private isUp = false;
  private failure: Error | null = null;
  /** A failure to make a thread was logged, and none has come up since. */
  private failureLogged = false;
  /** The memory that the present thread knows. */
  private knownBuffers: SharedBuffers | null = null;
  private readonly threads = { created: 0, died: noDeaths() };
  private unanswered = 0;
  private pauseMs = MIN_PAUSE_MS;
  private pings: NodeJS.Timeout | null = null;
  private restart: NodeJS.Timeout | null = null;
  /** Settles when the first thread has come up or failed. */
  private readonly first = Promise.withResolvers<void>();
  /** Resolves when the present thread has come up, or ended. */
  private loaded = Promise.withResolvers<void>();
  /** Resolves when the present thread has ended. */
  private ended = Promise.withResolvers<void>();
  private isClosing = false;

  constructor(options: AdminThreadOptions) {
    this.options = options;
  }

  /** Resolves when the endpoint answers. Rejects when the first thread cannot be made; another one is not tried. */
  async start(): Promise<void> {
    this.make();
    try {
      await this.first.promise;
    } catch (error) {
      await this.close();
      throw error;
    }
    this.pings = setInterval(() => this.ping(), PING_MS).unref();
  }

  /** Ends the thread in order; by force when that takes too long. */
  async close(): Promise<void> {
    this.isClosing = true;
    if (this.pings !== null) clearInterval(this.pings);
    if (this.restart !== null) clearTimeout(this.restart);
    const { worker } = this;
    if (worker === null) return;
    await this.loaded.promise; // it must not be terminated before
    this.post({ kind: 'close', taken: this.takeStatus() });
    const timer = setTimeout(() => void worker.terminate(), CLOSE_MS);
    await this.ended.promise;
    clearTimeout(timer);
  }

  private make(): void {
    const { source, data, entry } = this.options;
    this.restart = null;
    this.isUp = false;
    this.failure = null;
    this.knownBuffers = null;
    this.unanswered = 0;
    this.loaded = Promise.withResolvers<void>();
    this.ended = Promise.withResolvers<void>();
    try {
      fillStandardStreams(); // the thread's event loop must not get descriptors 0 to 2
      const workerData: ThreadData = { ...data, reason: source.notReadyReason, taken: this.takeStatus() };
      const worker = new Worker(entry, { workerData, resourceLimits: RESOURCE_LIMITS });
      this.worker = worker;
      worker.on('message', (message: FromThread) => this.take(message));
      worker.once('error', (error: Error) => {
        this.failure = error;
      });
      worker.once('exit', () => this.onExit());
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private take(message: FromThread): void {
    const { logger } = this.options;
    if (message.kind === 'up') this.cameUp();
    else if (message.kind === 'pong') this.answered();
    else if (message.kind === 'error') logger?.error({ err: decodeError(message.error) }, message.what);
    else if (message.what === 'ready') this.post({ kind: 'ready' });
    else this.post({ kind: 'status', taken: this.takeStatus() });
  }

  private post(message: WithoutReason<ToThread>): void {
    const { notReadyReason: reason } = this.options.source;
    this.worker?.postMessage({ ...message, reason });
  }

  private takeStatus(): Taken {
    const { source } = this.options;
    const common = { threads: this.threads, atMs: monotonicMs() };
    try {
      const { sharedBuffers } = source;
      if (source.mainStatus === undefined || sharedBuffers === undefined)
        return { ...common, kind: 'whole', status: source.status() };
      const status = source.mainStatus();
      const buffers = sharedBuffers === this.knownBuffers ? null : sharedBuffers;
      this.knownBuffers = sharedBuffers;
      return { ...common, kind: 'main', status, buffers };
    } catch (error) {
      return { ...common, kind: 'failed', error: encodeError(error) };
    }
  }

  private cameUp(): void {
    this.threads.created++;
    this.isUp = true;
    this.failureLogged = false;
    this.loaded.resolve();
    this.first.resolve();
  }

  private ping(): void {
    if (!this.isUp) return;
    if (this.unanswered++ < MAX_UNANSWERED) this.post({ kind: 'ping' });
    else void this.worker?.terminate();
  }

  private answered(): void {
    this.unanswered = 0;
    this.pauseMs = Math.max(MIN_PAUSE_MS, this.pauseMs / 2);
  }

  private onExit(): void {
    const { failure, isUp } = this;
    this.worker = null;
    this.isUp = false;
    this.loaded.resolve();
    this.ended.resolve();
    if (this.isClosing) return;
    if (isUp) this.died(failure);
    else this.failed(failure ?? new Error('the thread of the admin endpoint ended while it loaded'));
  }

  private died(failure: Error | null): void {
    const cause = causeOf(failure);
    const hung = this.unanswered > MAX_UNANSWERED;
    this.threads.died[cause]++;
    const details = { cause, hung, err: failure ?? undefined };
    this.options.logger?.error(details, 'admin endpoint died; it is started again');
    this.makeLater();
  }

  private failed(error: Error): void {
    this.first.reject(error); // no effect once a thread has come up
    if (this.isClosing) return;
    if (!this.failureLogged)
      this.options.logger?.error({ err: error }, 'admin endpoint cannot be started; trying again');
    this.failureLogged = true;
    this.makeLater();
  }

  private makeLater(): void {
    this.restart = setTimeout(() => this.make(), this.pauseMs);
    this.pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.pauseMs);
  }
}
