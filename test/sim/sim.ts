/**
 * A cmwq server without threads: real shared memory, real run slots, kicks and predicates; simulated clock,
 * processors, worklists and threads. This file puts the parts together.
 */
import { MAX_ACTIVE, SharedState } from '../../src/memory/layout.ts';
import { Cores, type CoresOptions } from './cores.ts';
import { Deaths } from './deaths.ts';
import { Ledger } from './ledger.ts';
import { SimMain } from './main.ts';
import type { Peers } from './peers.ts';
import { Random } from './random.ts';
import { Scheduler, type SimThread } from './scheduler.ts';
import { awakeLimitMs } from './watchdog.ts';
import { SimWorker } from './worker.ts';
import { Worklists } from './worklists.ts';

/** Events that a worker takes at a time: BATCH of workers/duty.ts. */
export const BATCH = 64;

export interface SimOptions {
  seed: number;
  /** CPU pools. */
  cpus: number;
  fdLimit: number;
  /** Workers made at the start. */
  firstWorkers: number;
  maxWorkers: number;
  maxActive: number;
  batch: number;
  /** An item awake for longer is CPU-intensive, 0 = never. */
  threshMs: number;
  createMs: number;
  createFails: number;
  idleTimeoutMs: number;
  cores: CoresOptions;
  /** How likely another thread cuts in before an atomic operation. */
  cutIn: number;
  /** Whether the rules are checked: see ledger.ts. */
  checked: boolean;
}

export type TraceEvent = 'starts' | 'sleeps' | 'wakes' | 'finishes';

export class Sim {
  readonly options: SimOptions;
  readonly shared: SharedState;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly worklists: Worklists;
  readonly ledger: Ledger | null;
  readonly main: SimMain;
  private readonly deaths: Deaths;
  /** Workers' threads that have died. */
  died = 0;
  /** Times a worker came into a run slot: kicked, or taking it again after its item. */
  handOffs = 0;
  trace: ((fd: number, event: TraceEvent) => void) | null = null;
  private connected: Peers | null = null;
  private onClosed: ((fd: number, how: 'eof' | 'lost') => void) | null = null;
  private readonly workers = new Map<SimThread, SimWorker>();
  private lastThreadId = 0;

  constructor(options: SimOptions) {
    const { cpus, maxWorkers, fdLimit, maxActive } = options;
    this.options = options;
    this.random = new Random(options.seed);
    this.shared = SharedState.create({ cpus, workers: maxWorkers + 1, fdLimit, spills: 0 });
    this.shared.words[MAX_ACTIVE] = maxActive;
    this.deaths = new Deaths(this.shared);
    this.scheduler = new Scheduler({
      random: this.random,
      cores: (timers) => new Cores(options.cores, timers),
      cutIn: options.cutIn,
      mayDieBefore: this.deaths.anywhere,
      onQuiet: () => this.ledger?.checkQuiet(),
    });
    this.worklists = new Worklists(cpus, fdLimit, this.scheduler, (fd) => this.peers.readable(fd));
    this.ledger = options.checked ? this.makeLedger() : null;
    this.main = new SimMain(this);
  }

  get peers(): Peers {
    if (this.connected === null) throw new Error('nobody is connected');
    return this.connected;
  }

  /** Who is at the other ends. */
  connect(peers: Peers, onClosed: (fd: number, how: 'eof' | 'lost') => void): void {
    this.connected = peers;
    this.onClosed = onClosed;
  }

  closed(fd: number, how: 'eof' | 'lost'): void {
    this.onClosed?.(fd, how);
  }

  /** Until nothing is left to happen. */
  run(): void {
    this.scheduler.spawn('main', this.main.run(), () => {});
    this.scheduler.run();
  }

  spawnWorker(rescuer: boolean, ended: () => void): void {
    const worker = new SimWorker(this);
    const threadId = ++this.lastThreadId;
    const steps = rescuer ? worker.rescuer(threadId) : worker.kworker(threadId);
    const thread = this.scheduler.spawn(`thread ${threadId}`, steps, (died) => {
      worker.gone();
      this.workers.delete(thread);
      if (died) {
        this.died++;
        this.ledger?.died(worker.id);
      }
      const noticed = () =>
        this.main.post(() => {
          this.main.threadEnded(threadId, died);
          ended();
        });
      this.scheduler.after(this.random.below(3), noticed);
    });
    this.workers.set(thread, worker);
  }

  /** Ends the thread of some worker: now, at one of the next places where that may happen, or in an ambush. */
  killSomebody(): void {
    const { random, scheduler, deaths } = this;
    const threads = [...this.workers.keys()];
    if (threads.length === 0) return;
    const thread = random.pick(threads);
    if (random.chance(0.5)) scheduler.doom(thread, random.below(40));
    else scheduler.doom(thread, random.below(3), random.pick([deaths.settling, deaths.puttingBack]));
  }

  /** Sum of a counter of the workers. */
  total(double: number): number {
    const { shared } = this;
    let total = 0;
    for (let id = 1; id <= shared.config.workers; id++) {
      total += shared.doubles[shared.workerDouble(id, double)] as number;
    }
    return total;
  }

  private makeLedger(): Ledger {
    const { shared, worklists, options } = this;
    return new Ledger({
      shared,
      worklists,
      maxActive: options.maxActive,
      awakeLimitMs: awakeLimitMs(options.threshMs),
      workers: () => this.workers.values(),
      nowMs: () => this.scheduler.nowMs,
    });
  }
}
