/**
 * Chooses the CPU pool of a new connection.
 *
 * Main thread only. It takes the pool with the least load, not the one with the fewest connections: open connections that
 * are silent cost nothing, and a client that opens many and closes some of them must not decide where others go. The load
 * of a pool is the CPU time of its items, fading with a half-life of a second. A connection that is placed counts at once
 * as one that takes as much as the average, so that connections which come together spread before they have sent anything.
 *
 * Affinity scope `cpu`: only the pools of the processor on which the kernel handled the connection's last packet, if
 * there are any, so that its items run where their data is in the cache.
 */
import { CONNECTIONS, type SharedState } from '../memory/layout.ts';
import { ownCpus } from '../sys/affinity.ts';
import type { Clock } from '../sys/clock.ts';
import { incomingCpu } from '../sys/socket.ts';

const HALF_LIFE_MS = 1000;
/** Reading the CPU times costs about a microsecond for each worker. */
const UPDATE_MS = 20;
/** Loads that differ by less are equal. A new connection counts at least as much: it will do something. */
const LEAST_LOAD_MS = 1;

export interface PlacementOptions {
  shared: SharedState;
  clock: Pick<Clock, 'now'>;
  /** CPU time of each pool's items since the start. */
  cpuTimesMs: () => readonly number[];
}

export class Placement {
  private readonly options: PlacementOptions;
  /** By pool: recent CPU time in ms, and what its new connections are expected to take. */
  private readonly loads: number[];
  /** The CPU times when the loads were brought up to date. */
  private cpuTimesMs: readonly number[];
  /** Scope `cpu`: the process's processors, of which pool k has number k, counted round. */
  private readonly cpus: readonly number[] | null;
  private updatedMs: number;

  constructor(options: PlacementOptions) {
    this.options = options;
    const { cpus, affinityScope } = options.shared.config;
    this.loads = new Array<number>(cpus).fill(0);
    this.cpuTimesMs = this.loads.slice();
    this.cpus = affinityScope === 'cpu' ? ownCpus() : null;
    this.updatedMs = options.clock.now();
  }

  /** The pool for a connection that the caller then adds to it. */
  choose(fd: number): number {
    this.update();
    const pool = this.leastLoaded(this.cpus === null ? null : incomingCpu(fd));
    this.loads[pool] = this.load(pool) + this.averageLoad();
    return pool;
  }

  /** Of those on processor `cpu`, or of all; of equal ones the one with the fewest connections. */
  private leastLoaded(cpu: number | null): number {
    let [best, bestOnCpu] = [0, this.isOn(0, cpu)];
    for (let pool = 1; pool < this.loads.length; pool++) {
      const onCpu = this.isOn(pool, cpu);
      if (onCpu === bestOnCpu ? this.isBetter(pool, best) : onCpu) [best, bestOnCpu] = [pool, onCpu];
    }
    return best;
  }

  private isOn(pool: number, cpu: number | null): boolean {
    return this.cpus === null || this.cpus[pool % this.cpus.length] === cpu;
  }

  private isBetter(pool: number, other: number): boolean {
    const difference = this.load(pool) - this.load(other);
    if (Math.abs(difference) >= LEAST_LOAD_MS) return difference < 0;
    return this.connections(pool) < this.connections(other);
  }

  private update(): void {
    const { clock, cpuTimesMs } = this.options;
    const nowMs = clock.now();
    if (nowMs - this.updatedMs < UPDATE_MS) return;
    const fade = 0.5 ** ((nowMs - this.updatedMs) / HALF_LIFE_MS);
    const before = this.cpuTimesMs;
    this.updatedMs = nowMs;
    this.cpuTimesMs = cpuTimesMs();
    for (let pool = 0; pool < this.loads.length; pool++) {
      const used = (this.cpuTimesMs[pool] ?? 0) - (before[pool] ?? 0);
      this.loads[pool] = this.load(pool) * fade + used;
    }
  }

  /** Of an open connection. */
  private averageLoad(): number {
    let [load, connections] = [0, 0];
    for (let pool = 0; pool < this.loads.length; pool++) {
      load += this.load(pool);
      connections += this.connections(pool);
    }
    return Math.max(LEAST_LOAD_MS, load / Math.max(1, connections));
  }

  private load(pool: number): number {
    return this.loads[pool] as number; // pools are numbered below their number
  }

  private connections(pool: number): number {
    const { shared } = this.options;
    return Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
  }
}
