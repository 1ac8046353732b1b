/**
 * Everything behind the listener of a running server: the strategy, the admission that feeds it, and the supervision of
 * open connections.
 *
 * Main thread only. It owns all of these, the bell and a timer. Data flows one way, listener -> admission -> strategy
 * -> worker, and back as finished connections and counters, which main checks at each bell and about once a second.
 */
import type { Logger } from 'pino';
import type { Events } from '../log/events.ts';
import { Bell } from '../memory/completions.ts';
import { EchoCheck } from '../memory/latency.ts';
import { type SharedState, STOP } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import { workerTotals } from '../pool/roster.ts';
import { blocksInRecv, createStrategy } from '../strategy/index.ts';
import type { Strategy } from '../strategy/strategy.ts';
import { Admission } from './admission.ts';
import { Connections } from './connections.ts';
import { HandlerErrors } from './handler-errors.ts';
import { SpillEviction } from './spill-eviction.ts';
import type { EngineStats } from './stats.ts';
import { Timeouts } from './timeouts.ts';
import { Traces } from './traces.ts';

/** Longest wait for the threads to end. */
const THREADS_TIMEOUT_MS = 5000;

export interface EngineOptions {
  shared: SharedState;
  options: EffectiveOptions;
  limits: Limits;
  log: Logger;
  events: Events;
}

export class Engine {
  readonly connections: Connections;
  readonly strategy: Strategy;
  readonly admission: Admission;
  private readonly options: EngineOptions;
  private readonly timeouts: Timeouts;
  private readonly spillEviction: SpillEviction;
  private readonly traces: Traces;
  private readonly handlerErrors: HandlerErrors;
  private readonly echoCheck: EchoCheck;
  private readonly bell: Bell;

  /** Throws SysError when the strategy cannot be created. */
  constructor(engineOptions: EngineOptions) {
    this.options = engineOptions;
    const { shared, options, limits, log, events } = engineOptions;
    this.connections = new Connections(shared, options.service.length, options.userTimeoutMs);
    this.timeouts = new Timeouts(shared, this.connections, options, blocksInRecv(options.strategy));
    this.spillEviction = new SpillEviction(shared, this.connections, options.ipv6PrefixLength);
    this.traces = new Traces(shared, log);
    this.handlerErrors = new HandlerErrors(
      (details, what) => log.warn(details, what),
      () => this.connections.closedBy.handlerError,
    );
    this.strategy = createStrategy(options.strategy, {
      shared,
      options,
      limits,
      connectionLost: (fd) => this.admission.lost(fd),
      refuse: (fd, reason) => this.admission.refuse(fd, reason),
      nowMs: () => this.timeouts.nowMs(),
      warn: (what, details) => log.warn(details, what),
      note: (kind, detail) => events.add(kind, detail),
      onMessage: (message) => this.onMessage(message),
    });
    const { connections, strategy } = this;
    this.admission = new Admission({ shared, options, limits, log, events, connections, strategy });
    this.echoCheck = new EchoCheck(shared);
    this.bell = new Bell(shared, () => this.onBell());
  }

  /** Starts the first threads. */
  start(): Promise<void> {
    return this.strategy.start();
  }

  private onMessage(message: unknown): void {
    if (HandlerErrors.isMessage(message)) this.handlerErrors.take(message);
    else this.traces.take(message);
  }

  private onBell(): void {
    this.admission.takeFinished();
    this.spillEviction.evict();
    this.strategy.onBell();
  }

  /** Starts the periodic checks; `onTick` is called at each of them. */
  startTicking(onTick: () => void): void {
    this.timeouts.start((nowMs) => {
      this.admission.takeFinished(); // an ended connection must not expire
      onTick();
      this.strategy.onTick(nowMs);
      this.echoCheck.take(workerTotals(this.options.shared).echoes);
    });
  }

  stats(): EngineStats {
    const { connections, admission, strategy } = this;
    admission.takeFinished();
    return {
      connections: {
        accepted: connections.admitted,
        active: connections.size,
        lingering: admission.lingeringCount,
        closed: { ...connections.closedBy },
        refused: { ...admission.refused },
      },
      strategy: strategy.stats(),
    };
  }

  /** Sets STOP and wakes sleeping workers; otherwise the process would not exit until their waits time out. */
  wakeWorkers(): void {
    const { shared, options } = this.options;
    Atomics.store(shared.words, STOP, 1);
    Atomics.notify(shared.words, STOP); // items that sleep in a service
    if (blocksInRecv(options.strategy)) this.connections.endAnswered();
    this.strategy.wakeAll();
  }

  /** Ends the threads and closes the remaining connections. False when some threads did not end. */
  async stop(): Promise<boolean> {
    this.wakeWorkers();
    const threadsEnded = await this.strategy.stop(THREADS_TIMEOUT_MS);
    this.bell.close();
    this.timeouts.stop();
    this.traces.close();
    // Threads that did not end may still use their descriptors: leaking them is safer than reusing them.
    this.admission.close(threadsEnded);
    this.handlerErrors.close();
    return threadsEnded;
  }
}
