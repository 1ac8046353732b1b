/**
 * Chooses the CPU pool of a new connection.
 *
 * Main thread only. It takes the pool with the least load, not the one with the fewest connections: open connections that
 * are silent cost nothing, and a client that opens many and closes some of them must not decide where others go. The load
 * of a pool is the number of items begun, fading with a half-life of a second. A connection that is placed counts at once
 * as one that does as much as the average, so that connections which come together spread before they have sent anything.
 *
 * Affinity scope `cpu`: only the pools of the processor on which the kernel handled the connection's last packet, if
 * there are any, so that its items run where their data is in the cache.
 */
import { CONNECTIONS, ITEMS, type SharedState } from '../memory/layout.ts';
import { ownCpus } from '../sys/affinity.ts';
import type { Clock } from '../sys/clock.ts';
import { incomingCpu } from '../sys/socket.ts';

const HALF_LIFE_MS = 1000;

export class Placement {
  private readonly shared: SharedState;
  private readonly clock: Pick<Clock, 'now'>;
  /** By pool: recent items, and what its new connections are expected to add. */
  private readonly loads: number[];
  /** By pool: ITEMS when its load was brought up to date. */
  private readonly items: number[];
  /** Scope `cpu`: the process's processors, of which pool k has number k, counted round. */
  private readonly cpus: readonly number[] | null;
  private updatedMs: number;

  constructor(shared: SharedState, clock: Pick<Clock, 'now'>) {
    this.shared = shared;
    this.clock = clock;
    this.loads = new Array<number>(shared.config.cpus).fill(0);
    this.items = new Array<number>(shared.config.cpus).fill(0);
    this.cpus = shared.config.affinityScope === 'cpu' ? ownCpus() : null;
    this.updatedMs = clock.now();
  }

  /** The pool for a connection that the caller then adds to it. */
  choose(fd: number): number {
    this.update();
    const pool = this.leastLoaded(this.cpus === null ? null : incomingCpu(fd));
    this.loads[pool] = this.load(pool) + this.averageLoad();
    return pool;
  }

  /** Of those on processor `cpu`, or of all. Differences below one item do not count; then it has fewer connections. */
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
    const difference = Math.floor(this.load(pool)) - Math.floor(this.load(other));
    return difference < 0 || (difference === 0 && this.connections(pool) < this.connections(other));
  }

  private update(): void {
    const { words } = this.shared;
    const nowMs = this.clock.now();
    const fade = 0.5 ** ((nowMs - this.updatedMs) / HALF_LIFE_MS);
    this.updatedMs = nowMs;
    for (let pool = 0; pool < this.loads.length; pool++) {
      const items = Atomics.load(words, this.shared.poolWord(pool, ITEMS));
      const begun = (items - (this.items[pool] as number)) >>> 0; // it wraps
      this.loads[pool] = this.load(pool) * fade + begun;
      this.items[pool] = items;
    }
  }

  /** Of an open connection; at least one item, since it will do something. */
  private averageLoad(): number {
    let [load, connections] = [0, 0];
    for (let pool = 0; pool < this.loads.length; pool++) {
      load += this.load(pool);
      connections += this.connections(pool);
    }
    return Math.max(1, load / Math.max(1, connections));
  }

  private load(pool: number): number {
    return this.loads[pool] as number; // pools are numbered below their number
  }

  private connections(pool: number): number {
    return Atomics.load(this.shared.words, this.shared.poolWord(pool, CONNECTIONS));
  }
}
