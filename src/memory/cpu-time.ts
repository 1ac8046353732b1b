/**
 * The CPU time of CPU pools (PWQ_STAT_CPU_TIME): that of the workers' threads while they are on duty for the pool, with
 * what it took to become idle before and to wake.
 *
 * A worker reads its clock once a duty, at its end, never per item, and adds to its pool what it has used since the end of
 * its last one. Main adds the duties in progress, only for a status:
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   DUTY_CPU_MS = 0                          sum = CPU_TIME_US
 *   CPU_TIME_US += clock - start             start = DUTY_CPU_MS; reads the pool in STATE, and the clock
 *   goes idle; STATE = another pool's        DUTY_CPU_MS = start still? sum += clock - start
 *   DUTY_CPU_MS = that clock                 shows the highest sum so far
 *
 * The two go in opposite directions, so main never counts a duty twice; one that ends meanwhile is missing until main
 * looks again. Each duty takes CPU time, so an unchanged start is the same duty, and STATE names its pool.
 * The duty of a worker that dies is lost; if main had shown a part of it, the figure rests until the pool has used as
 * much again.
 */
import { CPU_TIME_US, DUTY_CPU_MS, poolOf, type SharedState, STATE, tidOf, WORKERS_HIGH } from './layout.ts';

/** Worker: its duty for a CPU pool begins. `cpuMs` is the CPU time of its thread at the end of its last duty. */
export function beginDuty(shared: SharedState, id: number, cpuMs: number): void {
  shared.doubles[shared.workerDouble(id, DUTY_CPU_MS)] = cpuMs;
}

/** Worker: its duty for `pool` has ended, at `cpuMs`. Its STATE still names the pool. */
export function endDuty(shared: SharedState, id: number, pool: number, cpuMs: number): void {
  const start = shared.workerDouble(id, DUTY_CPU_MS);
  const usedMs = cpuMs - (shared.doubles[start] as number);
  shared.doubles[start] = 0;
  Atomics.add(shared.longs, shared.poolLong(pool, CPU_TIME_US), BigInt(Math.round(usedMs * 1000)));
}

/** Main's view. */
export class PoolCpuTimes {
  private readonly shared: SharedState;
  private readonly cpuMsOf: (tid: number) => number | null;
  private readonly shownMs: number[];

  /** `cpuMsOf` returns the CPU time of a thread, null when it cannot be read. */
  constructor(shared: SharedState, cpuMsOf: (tid: number) => number | null) {
    this.shared = shared;
    this.cpuMsOf = cpuMsOf;
    this.shownMs = new Array<number>(shared.config.cpus).fill(0);
  }

  /** CPU time of each CPU pool in milliseconds. Never falls. */
  read(): readonly number[] {
    const { shared, shownMs } = this;
    const sums = shownMs.map((_, pool) => this.endedDutiesMs(pool));
    const high = Atomics.load(shared.words, WORKERS_HIGH);
    for (let id = 1; id <= high; id++) this.addDuty(id, sums);
    for (const [pool, sum] of sums.entries()) shownMs[pool] = Math.max(shownMs[pool] ?? 0, sum);
    return [...shownMs];
  }

  private endedDutiesMs(pool: number): number {
    const { shared } = this;
    return Number(Atomics.load(shared.longs, shared.poolLong(pool, CPU_TIME_US))) / 1000;
  }

  /** Adds the duty that a worker is on. */
  private addDuty(id: number, sums: number[]): void {
    const { shared } = this;
    const start = shared.workerDouble(id, DUTY_CPU_MS);
    const startMs = shared.doubles[start] as number;
    if (startMs === 0) return;
    const pool = poolOf(Atomics.load(shared.words, shared.workerWord(id, STATE)));
    const cpuMs = this.cpuMsOf(tidOf(shared, id));
    if (cpuMs === null || shared.doubles[start] !== startMs) return;
    sums[pool] = (sums[pool] ?? 0) + cpuMs - startMs;
  }
}
