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
import { mainCpus } from '../sys/affinity.ts';
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

/** Of a CPU pool. */
interface Load {
  /** CPU time in ms, fading. */
  used: number;
  /** What its new connections are expected to take, fading alike. */
  expected: number;
  /** CPU time since the start, at the last update. */
  total: number;
}

export class Placement {
  private readonly options: PlacementOptions;
  /** By pool. */
  private readonly loads: Load[];
  /** Connections placed, fading like the loads. */
  private placed = 0;
  private readonly byCpu: boolean;
  private updatedMs: number;

  constructor(options: PlacementOptions) {
    this.options = options;
    const { cpus, affinityScope } = options.shared.config;
    this.loads = Array.from({ length: cpus }, () => ({ used: 0, expected: 0, total: 0 }));
    this.byCpu = affinityScope === 'cpu';
    this.updatedMs = options.clock.now();
  }

  /** The pool for a connection that the caller then adds to it. */
  choose(fd: number): number {
    this.update();
    const pool = this.leastLoaded(this.byCpu ? incomingCpu(fd) : null);
    this.load(pool).expected += this.averageMs();
    this.placed++;
    return pool;
  }

  /** Of those on processor `cpu`, or of all if there are none; of equal ones the one with the fewest connections. */
  private leastLoaded(cpu: number | null): number {
    const { length } = this.loads;
    const cpus = cpu === null ? [] : mainCpus();
    const first = cpus.indexOf(cpu ?? -1); // pool k is on the k-th, counted round
    const [from, step] = first >= 0 && first < length ? [first, cpus.length] : [0, 1];
    let best = from;
    for (let pool = from + step; pool < length; pool += step) if (this.isBetter(pool, best)) best = pool;
    return best;
  }

  private isBetter(pool: number, other: number): boolean {
    const difference = this.loadMs(pool) - this.loadMs(other);
    if (Math.abs(difference) >= LEAST_LOAD_MS) return difference < 0;
    return this.connections(pool) < this.connections(other);
  }

  private update(): void {
    const { clock, cpuTimesMs } = this.options;
    const nowMs = clock.now();
    if (nowMs - this.updatedMs < UPDATE_MS) return;
    const fade = 0.5 ** ((nowMs - this.updatedMs) / HALF_LIFE_MS);
    this.updatedMs = nowMs;
    this.placed *= fade;
    const totals = cpuTimesMs();
    for (const [pool, load] of this.loads.entries()) {
      const total = totals[pool] ?? 0;
      load.used = load.used * fade + total - load.total;
      load.expected *= fade;
      load.total = total;
    }
  }

  /**
   * What a connection uses: of the open ones, or of those placed of late where most are soon closed. Expectations are not
   * in it: they would grow without bounds as connections come and go.
   */
  private averageMs(): number {
    let [used, open] = [0, 0];
    for (let pool = 0; pool < this.loads.length; pool++) {
      used += this.load(pool).used;
      open += this.connections(pool);
    }
    return Math.max(LEAST_LOAD_MS, used / Math.max(1, open, this.placed));
  }

  private load(pool: number): Load {
    return this.loads[pool] as Load; // pools are numbered below their number
  }

  private loadMs(pool: number): number {
    const { used, expected } = this.load(pool);
    return used + expected;
  }

  private connections(pool: number): number {
    const { shared } = this.options;
    return Atomics.load(shared.words, shared.poolWord(pool, CONNECTIONS));
  }
}
