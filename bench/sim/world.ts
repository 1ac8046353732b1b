/**
 * What the parts of a simulation have in common. sim.ts puts it together.
 */
import type { SharedState } from '../../src/memory/layout.ts';
import type { Strategy } from '../../src/strategy/strategy.ts';
import type { Clock } from '../../src/sys/clock.ts';
import type { CoresOptions } from './cores.ts';
import type { Peers } from './peers.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Worklists } from './worklists.ts';

export interface SimOptions {
  seed: number;
  /** CPU pools. */
  cpus: number;
  fdLimit: number;
  maxWorkers: number;
  maxActive: number;
  /** Events that a worker takes at a time. */
  batch: number;
  /** An item awake for longer is CPU-intensive, 0 = never. */
  threshMs: number;
  /** An item that takes longer hangs, 0 = never. */
  hangTimeoutMs: number;
  hangKill: boolean;
  createMs: number;
  /** How likely it is that a thread cannot be made or does not load, once the server is up. */
  createFails: number;
  idleTimeoutMs: number;
  cores: CoresOptions;
  /** How likely another thread cuts in before an atomic operation. */
  cutIn: number;
}

/** Is told what the workers really do. */
export interface Observer {
  begin(workerId: number, pool: number, fd: number): void;
  /** The worker has given the slot up in its item. */
  left(fd: number, intensive: boolean): void;
  asleep(fd: number): void;
  awake(fd: number): void;
  /** The handler is through; the descriptor has not been put back yet. */
  end(fd: number): void;
  died(workerId: number): void;
  /** Main has seen to a dead worker; `lost` is the connection that this cost, 0 = none. */
  buried(workerId: number, lost: number): void;
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
  /** Runs a job on main's thread, after those that were posted before. */
  post(job: () => void): void;
  readonly observer: Observer | null;
  readonly trace: ((fd: number, event: TraceEvent) => void) | null;
  /** Whether the server has started. */
  readonly isUp: boolean;
  /** Workers' threads that have died. */
  died: number;
  /** The connection that the death which main sees to has cost: a descriptor, 0 = none. */
  lostFd: number;
  /** Times a worker came into a run slot: kicked, or taking it again after its item. */
  handOffs: number;
}
