/**
 * What is behind the listener while the server runs: the strategy, the admission that feeds it, and what looks after open
 * connections.
 *
 * Main thread only. It owns all of these, the bell and a timer. Data flows one way, listener -> admission -> strategy ->
 * worker, and back as finished connections and counters. Main looks at them when a worker rings, and about once a second.
 */
import type { Logger } from 'pino';
import type { Events } from '../log/events.ts';
import { Bell } from '../memory/completions.ts';
import { type SharedState, STOP } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import { blocksInRecv, createStrategy } from '../strategy/index.ts';
import type { Strategy } from '../strategy/strategy.ts';
import { Admission } from './admission.ts';
import { Connections } from './connections.ts';
import { SpillEviction } from './spill-eviction.ts';
import type { EngineStats } from './stats.ts';
import { Timeouts } from './timeouts.ts';
import { Traces } from './traces.ts';

/** How long the threads may take to end. */
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
  private readonly bell: Bell;

  /** Throws SysError when the strategy cannot be made. */
  constructor(engineOptions: EngineOptions) {
    this.options = engineOptions;
    const { shared, options, limits, log, events } = engineOptions;
    this.connections = new Connections(shared, options.service.length, options.userTimeoutMs);
    this.timeouts = new Timeouts(shared, this.connections, options, blocksInRecv(options.strategy));
    this.spillEviction = new SpillEviction(shared, this.connections, options.ipv6PrefixLength);
    this.traces = new Traces(shared, log);
    this.strategy = createStrategy(options.strategy, {
      shared,
      options,
      limits,
      connectionLost: (fd) => this.admission.lost(fd),
      refuse: (fd, reason) => this.admission.refuse(fd, reason),
      nowMs: () => this.timeouts.nowMs(),
      warn: (what, details) => log.warn(details, what),
      note: (kind, detail) => events.add(kind, detail),
      onMessage: (message) => this.traces.take(message),
    });
    const { connections, strategy } = this;
    this.admission = new Admission({ shared, options, limits, log, events, connections, strategy });
    this.bell = new Bell(shared, () => this.onBell());
  }

  /** Makes the first threads. */
  start(): Promise<void> {
    return this.strategy.start();
  }

  private onBell(): void {
    this.admission.takeFinished();
    this.spillEviction.look();
    this.strategy.onBell();
  }

  /** Looks for what time brings from now on, and calls `also` each time. */
  startLooking(also: () => void): void {
    this.timeouts.start((nowMs) => {
      this.admission.takeFinished(); // what has ended does not expire
      also();
      this.strategy.onTick(nowMs);
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

  /** Sets STOP and wakes whoever sleeps. Else the end of the process would wait out their timeouts. */
  wakeWorkers(): void {
    const { shared, options } = this.options;
    Atomics.store(shared.words, STOP, 1);
    Atomics.notify(shared.words, STOP); // items that sleep in a service
    if (blocksInRecv(options.strategy)) this.connections.endAnswered();
    this.strategy.wakeAll();
  }

  /** Ends the threads and closes what is left. False when some threads would not end. */
  async stop(): Promise<boolean> {
    this.wakeWorkers();
    const threadsEnded = await this.strategy.stop(THREADS_TIMEOUT_MS);
    this.bell.close();
    this.timeouts.stop();
    this.traces.close();
    // Threads that would not end may still use their descriptors: better leaked than used twice.
    this.admission.close(threadsEnded);
    return threadsEnded;
  }
}
