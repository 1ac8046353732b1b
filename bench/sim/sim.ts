/**
 * A cmwq server without threads: the real strategy (src/strategy/cmwq.ts and its parts) on the real shared memory, with
 * simulated clock, processors, worklists and threads.
 */
import { Balance } from '../../src/memory/balance.ts';
import { MAX_ACTIVE, SharedState } from '../../src/memory/layout.ts';
import { Cmwq, type CmwqContext } from '../../src/strategy/cmwq.ts';
import type { Clock } from '../../src/sys/clock.ts';
import { virtualClock } from './clock.ts';
import { Cores } from './cores.ts';
import { SimMain } from './main.ts';
import { SimMonitor } from './monitor.ts';
import type { Peers } from './peers.ts';
import { Random } from './random.ts';
import { FOREVER, Scheduler, type SimThread } from './scheduler.ts';
import { SimThreads } from './threads.ts';
import { Worklists } from './worklists.ts';
import type { Observer, SimOptions, TraceEvent, World } from './world.ts';

/** Events per epoll_wait without services: BATCH of workers/duty.ts. */
export const BATCH = 64;

const DEFAULTS = {
  maxActive: 1024,
  batch: 1,
  canObserve: true,
  lookLateMs: 0,
  threshMs: 0,
  hangTimeoutMs: 0,
  hangKill: false,
  createMs: 2,
  createFails: 0,
  idleTimeoutMs: FOREVER,
  cores: { count: FOREVER, quantumMs: FOREVER },
  cutIn: 0,
  makeBalance: Balance.for,
};

export class Sim implements World {
  readonly options: SimOptions;
  readonly shared: SharedState;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly worklists: Worklists;
  readonly main: SimMain;
  readonly clock: Clock;
  readonly cmwq: Cmwq;
  isUp = false;
  died = 0;
  handOffs = 0;
  observer: Observer | null = null;
  trace: ((fd: number, event: TraceEvent) => void) | null = null;
  private simThreads: SimThreads | null = null;
  private simMonitor: SimMonitor | null = null;
  private connected: Peers | null = null;

  constructor(options: Partial<SimOptions> & Omit<SimOptions, keyof typeof DEFAULTS>) {
    this.options = { ...DEFAULTS, ...options };
    const { seed, cpus, maxWorkers, fdLimit, maxActive, cores, cutIn } = this.options;
    this.random = new Random(seed);
    // Any service: without one cmwq has no monitor.
    const services = [{ cpuIntensive: false, steps: [] }];
    this.shared = SharedState.create({ cpus, workers: maxWorkers + 1, fdLimit, spills: 0, services });
    this.shared.words[MAX_ACTIVE] = maxActive;
    this.scheduler = new Scheduler({
      random: this.random,
      cores: (timers) => new Cores(cores, timers),
      cutIn,
    });
    this.worklists = new Worklists(cpus, fdLimit, this.scheduler, (fd) => this.peers.readable(fd));
    this.main = new SimMain(this);
    this.clock = virtualClock(this.scheduler, (job) => this.post(job));
    this.cmwq = new Cmwq(this.context(), {
      clock: this.clock,
      makeThreads: (threadsOptions) => {
        if (threadsOptions.module === 'monitor') {
          this.simMonitor = new SimMonitor(this, threadsOptions);
          return this.simMonitor;
        }
        this.simThreads = new SimThreads(this, threadsOptions);
        return this.simThreads;
      },
      makeWorklist: () => this.worklists.ofNextPool(),
    });
  }

  private context(): CmwqContext {
    const { cpus, maxWorkers, threshMs, hangTimeoutMs, hangKill, idleTimeoutMs } = this.options;
    return {
      shared: this.shared,
      options: {
        cpus,
        cpuIntensiveThreshMs: threshMs,
        hangTimeoutMs,
        hangKill,
        idleTimeoutMs,
      },
      limits: { maxWorkers },
      connectionLost: (fd) => this.main.connectionLost(fd),
      nowMs: () => this.scheduler.nowMs,
      warn: () => {},
      note: () => {},
      onMessage: () => {},
    };
  }

  get threads(): SimThreads {
    if (this.simThreads === null) throw new Error('no strategy yet');
    return this.simThreads;
  }

  get monitor(): SimMonitor {
    if (this.simMonitor === null) throw new Error('no strategy yet');
    return this.simMonitor;
  }

  get peers(): Peers {
    if (this.connected === null) throw new Error('no peers are connected');
    return this.connected;
  }

  /** Sets the peers of all connections. */
  connect(peers: Peers): void {
    this.connected = peers;
  }

  post(job: () => void): void {
    this.main.post(job);
  }

  jobDone(lost: number): void {
    this.threads.noteHandled(lost);
  }

  threadOf(workerId: number): SimThread | null {
    return this.threads.threadOf(workerId);
  }

  /** Starts the server. Times are planned afterwards, as the start advances the clock. */
  async start(): Promise<void> {
    this.scheduler.spawn('main', this.main.run(), () => {});
    const started = Promise.withResolvers<void>();
    this.post(() => started.resolve(this.cmwq.start()));
    this.scheduler.run();
    await started.promise;
    this.isUp = true;
  }

  /** Runs until no awaited event is left, and stops the server. */
  run(): void {
    try {
      this.scheduler.run();
    } finally {
      void this.cmwq.stop(0); // its rate limits use timers of the real clock
    }
  }

  /** Sum of a counter over all workers. */
  total(double: number): number {
    const { shared } = this;
    let total = 0;
    for (let id = 1; id <= shared.config.workers; id++) {
      total += shared.doubles[shared.workerDouble(id, double)] as number;
    }
    return total;
  }
}
