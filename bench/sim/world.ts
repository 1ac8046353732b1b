/**
 * What the parts of a simulation share. sim.ts assembles it.
 */
import type { Balance, BalanceOptions } from '../../src/memory/balance.ts';
import type { SharedState } from '../../src/memory/layout.ts';
import type { Strategy } from '../../src/strategy/strategy.ts';
import type { Clock } from '../../src/sys/clock.ts';
import type { CoresOptions } from './cores.ts';
import type { Peers } from './peers.ts';
import type { Random } from './random.ts';
import type { Scheduler, SimThread } from './scheduler.ts';
import type { Worklists } from './worklists.ts';

export interface SimOptions {
  seed: number;
  /** CPU pools. */
  cpus: number;
  fdLimit: number;
  maxWorkers: number;
  maxActive: number;
  /** Events per epoll_wait. */
  batch: number;
  /** Whether the monitor can observe the threads; else it goes by declared sleeps and the clock. */
  canObserve: boolean;
  /** Each look of the monitor may be later than it should by up to this. */
  lookLateMs: number;
  /** An item with more CPU time than this is CPU-intensive; 0 = never. */
  threshMs: number;
  /** An item that takes longer hangs; 0 = never. */
  hangTimeoutMs: number;
  hangKill: boolean;
  createMs: number;
  /** Probability that a thread cannot be created or does not load, once the server is up. */
  createFails: number;
  idleTimeoutMs: number;
  cores: CoresOptions;
  /** Probability that another thread cuts in before an atomic operation. */
  cutIn: number;
  /** Null where connections stay in their CPU pools. */
  makeBalance: (options: BalanceOptions) => Targets | null;
}

/** Decides which connections move, and where to. */
export type Targets = Pick<Balance, 'target' | 'mayGive'>;

/** Observes what the workers really do, independently of shared memory. */
export interface Observer {
  begin(workerId: number, pool: number, fd: number): void;
  /** The worker has given up the slot in its item. */
  left(fd: number, intensive: boolean): void;
  asleep(fd: number, declared: boolean): void;
  awake(fd: number): void;
  /** The item has ended as the slot's holder, or is about to be put back. */
  end(fd: number): void;
  died(workerId: number): void;
  /** Main has handled a worker's death; `lost` is the descriptor of the connection that it cost, 0 = none. */
  deathHandled(workerId: number, lost: number): void;
  monitorDied(): void;
  /** Main has released the slot that the dead monitor was seizing. */
  monitorDeathHandled(): void;
  /** There is a monitor again. */
  monitorUp(): void;
}

export type TraceEvent = 'starts' | 'sleeps' | 'wakes' | 'finishes';

export interface World {
  readonly options: SimOptions;
  readonly shared: SharedState;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly worklists: Worklists;
  readonly peers: Peers;
  readonly cmwq: Strategy;
  /** Main's clock. */
  readonly clock: Clock;
  /** Runs a job on main, after those already posted. */
  post(job: () => void): void;
  /** Main has run a job; `lost` is the descriptor of the connection that a death has cost in it, 0 = none. */
  jobDone(lost: number): void;
  /** The thread of a worker; null when it has ended. */
  threadOf(workerId: number): SimThread | null;
  readonly observer: Observer | null;
  readonly trace: ((fd: number, event: TraceEvent) => void) | null;
  /** Whether the server has started. */
  readonly isUp: boolean;
  /** Workers' threads that have died. */
  died: number;
  /** Times a worker got a run slot, by a kick or by retaking it after its item. */
  handOffs: number;
}
