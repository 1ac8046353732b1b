/**
 * The server: connects the listener to the engine, and orders their start and stop.
 *
 * Main thread only. It owns both. States: new -> starting -> listening -> draining -> stopped, never backwards.
 *
 *   start: strategy (threads ready) -> listener -> accept
 *   stop:  not ready, but accepting for the drain delay -> backlog accepted, listener closed -> connections end, or are
 *          cut at the deadline -> threads end -> remaining descriptors closed
 */
import { isMainThread } from 'node:worker_threads';
import type { Logger } from 'pino';
import { Listener } from '../listener/listener.ts';
import { Events } from '../log/events.ts';
import { createLogger, logListening } from '../log/log.ts';
import {
  BUFFER_BYTES,
  HANDLER_FAILED,
  type HandlerSpec,
  MAX_ACTIVE,
  MONITOR,
  type SharedBuffers,
  SharedState,
  TRACE,
} from '../memory/layout.ts';
import { parseHandler } from '../options/handler-spec.ts';
import {
  checkNames,
  type EffectiveOptions,
  type GivenOptions,
  resolveOptions,
  UsageError,
} from '../options/index.ts';
import { computeLimits, type Limits } from '../options/limits.ts';
import { parseService } from '../options/service-spec.ts';
import { handlerFailure } from '../pool/handler-check.ts';
import { workerDetails } from '../pool/roster.ts';
import { type MainStatus, sharedParts } from '../pool/shared-figures.ts';
import { ThreadActivity } from '../pool/thread-activity.ts';
import type { ServerState, ServerStats, ServerStatus, WorkerStatus } from '../schema/status.ts';
import { blocksInRecv } from '../strategy/index.ts';
import { canSetAffinity } from '../sys/affinity.ts';
import { afterRunning } from '../sys/clock.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { descriptorLimit } from '../sys/socket.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';
import { Engine } from './engine.ts';
import { collectStats, noEngineStats } from './stats.ts';
import { collectMainStatus } from './status.ts';
import { acceptedOptions } from './timeouts.ts';

/**
 * A thread that ends with a running server aborts the whole process: by its poll handle, or by its own threads while
 * they load koffi. None of our code runs at that point, so the descriptors would leak as well.
 */
const NOT_IN_A_THREAD =
  'listen() works only on the main thread of a process, and this is a worker thread: ' +
  'start the server in a process of its own (in a test runner, in its pool of processes)';

/** The outcome of a stop. */
export interface CloseResult {
  /** Connections that were open at the deadline and were cut. */
  cut: number;
  /** False when some threads run until the process exits. */
  threadsEnded: boolean;
}

function handlerSpec({ handler, handlerHeapBytes }: EffectiveOptions): HandlerSpec | null {
  if (handler === undefined) return null;
  const heap = handlerHeapBytes === undefined ? {} : { heapBytes: handlerHeapBytes };
  return { ...parseHandler(handler), ...heap };
}

function checkAffinity({ affinityScope }: EffectiveOptions): void {
  if (affinityScope !== 'cpu' || canSetAffinity()) return;
  throw new UsageError(
    'affinityScope',
    affinityScope,
    'only system, as the kernel refuses sched_setaffinity(2) here',
  );
}

export class EchoServer {
  readonly options: Readonly<EffectiveOptions>;
  readonly limits: Readonly<Limits>;
  private readonly log: Logger;
  private readonly handler: HandlerSpec | null;
  private readonly shared: SharedState;
  private readonly activity: ThreadActivity;
  private readonly listener: Listener;
  /** Created by `listen`. */
  private engine: Engine | null = null;
  private bound: SocketAddress | null = null;
  private currentState: ServerState = 'new';
  private readonly events = new Events();
  private closing: Promise<CloseResult> | null = null;
  private closeCalled = false;
  private handlerChecked: Promise<void> | null = null;
  private readonly cutRequested = Promise.withResolvers<void>();
  private readonly onExit = () => this.engine?.wakeWorkers();

  /** Checks the options; opens nothing. Throws UsageError. */
  constructor(options: GivenOptions = {}, logger?: Logger) {
    this.options = resolveOptions(options);
    this.limits = computeLimits(this.options, descriptorLimit(), options);
    this.log = logger ?? createLogger(this.options);
    this.handler = handlerSpec(this.options);
    checkAffinity(this.options);
    this.shared = SharedState.create({
      cpus: this.options.strategy === 'cmwq' ? this.options.cpus : 0,
      workers: this.limits.maxWorkers + (this.options.strategy === 'cmwq' ? 1 : 0), // and the rescuer
      fdLimit: Math.min(this.limits.descriptors, 1 << 20),
      spills: Math.floor(this.options.maxSpillBytes / BUFFER_BYTES),
      services: this.options.service.map(parseService),
      ...(this.handler === null ? {} : { handler: this.handler }),
      affinityScope: this.options.affinityScope,
    });
    this.activity = new ThreadActivity(this.shared);
    this.shared.words[MAX_ACTIVE] = this.options.maxActive;
    this.shared.words[TRACE] = this.log.isLevelEnabled('trace') ? 1 : 0;
    this.listener = new Listener({
      host: this.options.host,
      port: this.options.port,
      backlog: this.options.backlog,
      reusePort: this.options.reusePort,
      accepted: acceptedOptions(this.options, blocksInRecv(this.options.strategy)),
      onUnsupported: (options) =>
        this.log.warn({ options }, 'the listening socket does not support some options'),
      onStarved: (code) => this.log.error({ code }, 'accepting paused; clients wait in the backlog'),
      onLost: () => this.listeningLost(),
      onRelistenFailed: (code) => this.log.error({ code }, 'cannot listen again; retrying every second'),
      onRelistened: (bound) => this.relistened(bound),
    });
  }

  get state(): ServerState {
    return this.currentState;
  }

  /**
   * Binds, starts the first threads and begins to accept. Resolves with the bound address.
   * Rejects with SysError when it cannot bind (EADDRINUSE, EACCES, ...), leaving nothing open.
   *
   * With `fd` it takes ownership of a listening TCP socket instead of binding to `host` and `port`. Rejects with
   * TypeError for any other descriptor, with UsageError for an unknown option. A stop closes the socket without
   * shutting it down: clients in the backlog wait for the next process that has it.
   *
   * Rejects in a worker thread before it opens anything.
   */
  async listen(options: { fd?: number } = {}): Promise<SocketAddress> {
    checkNames(options, ['fd']);
    if (!isMainThread) throw new Error(NOT_IN_A_THREAD);
    const { fd } = options;
    if (this.currentState !== 'new')
      throw new Error(`the server is ${this.currentState}: it can be started once`);
    this.currentState = 'starting';
    process.once('exit', this.onExit);
    try {
      fillStandardStreams();
      await this.checkHandler();
      this.assertStarting();
      this.bound = fd === undefined ? await this.listener.listen() : this.listener.adopt(fd);
      this.assertStarting();
      const { shared, options, limits, log, events } = this;
      this.engine = new Engine({ shared, options, limits, log, events });
      await this.engine.start();
      this.assertStarting();
    } catch (error) {
      this.listener.close(); // it may have started listening after a close()
      this.closing ??= this.shutDown().then((threadsEnded) => ({ cut: 0, threadsEnded }));
      await this.closing;
      throw (error as NodeJS.ErrnoException).code === HANDLER_FAILED
        ? new UsageError('handler', this.options.handler, (error as Error).message)
        : error;
    }
    this.currentState = 'listening';
    this.listener.accept(this.engine.admission);
    this.events.add('listening', { address: this.bound.address, port: this.bound.port });
    this.engine.startTicking(() => this.checkDescriptors());
    const log = fd === undefined ? this.log : this.log.child({ inherited: true });
    logListening(log, this.bound, this.options, this.limits, this.engine.strategy.stats().threads.alive);
    return this.bound;
  }

  /** Tries the handler, once. Rejects with UsageError if it cannot be used. Part of `listen`. */
  checkHandler(): Promise<void> {
    this.handlerChecked ??= this.tryHandler();
    return this.handlerChecked;
  }

  private async tryHandler(): Promise<void> {
    if (this.handler === null) return;
    const failure = await handlerFailure(this.handler);
    if (failure !== null) throw new UsageError('handler', this.options.handler, failure);
  }

  /** After each await of the start: close() may have been called meanwhile. */
  private assertStarting(): void {
    if (this.currentState !== 'starting') throw new Error('the server was closed while it started');
  }

  /** Whether close() was called. */
  get isClosing(): boolean {
    return this.closeCalled;
  }

  /** The bound address; null unless listening, and while the listening socket is lost. */
  address(): SocketAddress | null {
    return this.currentState === 'listening' && !this.listener.isLost ? this.bound : null;
  }

  /** Why the server cannot serve now; null when it can. Makes no calls that can fail. */
  get notReadyReason(): string | null {
    if (this.currentState !== 'listening') return this.currentState;
    if (this.closeCalled) return 'drain delay';
    if (this.listener.isLost) return 'listening socket lost';
    return this.engine?.strategy.canServe === false ? 'no thread can be made' : null;
  }

  /**
   * The counters. `connections` and `threads` are counted by the main thread and agree with each other; a connection that
   * a worker has ended is active until main has been told. Workers count on while the other figures are read, one after
   * the other, so these may differ by what happened meanwhile: `bytesOut` may exceed `bytesIn`.
   */
  stats(): ServerStats {
    const engine = this.engine?.stats() ?? noEngineStats();
    return collectStats({ state: this.currentState, options: this.options, shared: this.shared, engine });
  }

  /** The full state of the server, as the admin endpoint shows it: `stats()` and more, which is read after it. */
  status(): ServerStatus {
    return { ...this.mainStatus(), ...sharedParts(this.shared, this.activity), snapshotAgeMs: 0 };
  }

  /** For the admin endpoint, which reads the rest from `sharedBuffers`. @internal */
  mainStatus(): MainStatus {
    const { options, limits, shared, events } = this;
    const [address, stats] = [this.address(), this.stats()];
    return collectMainStatus({ options, limits, shared, address, stats, events });
  }

  /** The memory that the workers share. @internal */
  get sharedBuffers(): SharedBuffers {
    return this.shared.buffers;
  }

  /** For tests: each worker. @internal */
  workers(): WorkerStatus[] {
    return workerDetails(this.shared, this.activity);
  }

  /** For tests: ends the thread of a worker. False when it has none. @internal */
  terminateWorker(workerId: number): boolean {
    return this.engine?.strategy.terminateWorker(workerId) ?? false;
  }

  /** For tests: whether the monitor looks at items. @internal */
  get monitorLooks(): boolean {
    return this.currentState === 'listening' && Atomics.load(this.shared.words, MONITOR) === 1;
  }

  /** Logs one `stats` line. */
  logStats(): void {
    this.log.info(this.stats(), 'stats');
  }

  /**
   * After the drain delay stops accepting, lets open connections end within `drainTimeoutMs` (default: the option), cuts
   * the rest and ends the threads. Throws UsageError for an unknown option or a value out of range. A second call
   * returns the same promise; a 0 given to either call skips the delay and cuts at once.
   */
  close(options: { drainTimeoutMs?: number } = {}): Promise<CloseResult> {
    checkNames(options, ['drainTimeoutMs']);
    const { drainTimeoutMs: given = this.options.drainTimeoutMs } = options;
    const { drainTimeoutMs } = resolveOptions({ drainTimeoutMs: given });
    this.closeCalled = true;
    if (options.drainTimeoutMs === 0) this.cutRequested.resolve();
    this.closing ??= this.drain(drainTimeoutMs);
    return this.closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Restores descriptors that the host program may have closed. */
  private checkDescriptors(): void {
    try {
      fillStandardStreams();
    } catch {
      // Retried at the next tick. Meanwhile new threads and connections guard themselves.
    }
    this.listener.check();
  }

  private listeningLost(): void {
    this.events.add('listeningLost');
    this.log.error('listening socket lost: it was closed or shut down');
  }

  private relistened({ address, port }: SocketAddress): void {
    this.events.add('listening', { address, port });
    this.log.warn({ address, port }, 'listening again');
  }

  private async drain(drainTimeoutMs: number): Promise<CloseResult> {
    if (this.currentState === 'new') {
      this.currentState = 'stopped';
      return { cut: 0, threadsEnded: true };
    }
    if (this.currentState === 'listening' && this.options.drainDelayMs > 0) await this.delayDrain();
    if (this.currentState === 'listening' && drainTimeoutMs > 0) this.listener.acceptLast();
    this.currentState = 'draining';
    this.listener.close();
    const { engine } = this;
    const connections = engine?.connections.size ?? 0;
    this.events.add('draining', { connections });
    this.log.info({ connections, drainTimeoutMs }, 'draining');
    const cut = (await engine?.admission.drain(drainTimeoutMs, this.cutRequested.promise)) ?? 0;
    const threadsEnded = await this.shutDown();
    this.log.info({ accepted: engine?.connections.admitted ?? 0, cut, threadsEnded }, 'stopped');
    return { cut, threadsEnded };
  }

  /** Keeps accepting while `notReadyReason` tells balancers to stop sending, unless a cut is requested. */
  private async delayDrain(): Promise<void> {
    const { drainDelayMs } = this.options;
    this.log.info({ drainDelayMs }, 'not ready; still accepting before the drain');
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const cancel = afterRunning(drainDelayMs, resolve);
    await Promise.race([over, this.cutRequested.promise]);
    cancel();
  }

  /** Ends the threads and closes what is left. The last step of every stop and of a failed start. */
  private async shutDown(): Promise<boolean> {
    this.currentState = 'stopped';
    this.listener.close();
    const threadsEnded = (await this.engine?.stop()) ?? true;
    process.removeListener('exit', this.onExit);
    return threadsEnded;
  }
}
