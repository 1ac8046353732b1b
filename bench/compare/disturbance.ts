/**
 * How much of the processors went to others during a round: the hypervisor (steal time) and other processes of the
 * machine, from /proc.
 *
 * The servers and generators of a round begin and end within it, and the echo for the generator's warm-up is a child of
 * this process: any other process that exists before and after is another's. Of others that begin and end within a round
 * the CPU time is known once their parent has waited for them. Ancestors of this process may be the ones that wait for its
 * orphans; kernel threads work for the load.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { processStat, readProc } from '../process-figures.ts';

export interface MachineTimes {
  atMs: number;
  /** In clock ticks, of all processors: all time, and that which the hypervisor took. */
  total: number;
  steal: number;
  /** CPU time in ms of each process and its children that have ended, by PID and start time. */
  processes: ReadonlyMap<string, number>;
}

export interface Shares {
  stealShare: number;
  othersShare: number;
}

/** Shares of the processors from which on a round counts as disturbed. */
const STEAL_SHARE_MAX = 0.02;
const OTHERS_SHARE_MAX = 0.1;

const KERNEL_THREADS = 2;

function ancestors(): Set<number> {
  const found = new Set<number>();
  for (let pid = process.ppid; pid > 0 && !found.has(pid); pid = processStat(pid)?.parent ?? 0)
    found.add(pid);
  return found;
}

function otherProcesses(): Map<string, number> {
  const waiting = ancestors();
  const found = new Map<string, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid || pid === KERNEL_THREADS) continue;
    const stat = processStat(pid);
    if (stat === null || stat.parent === KERNEL_THREADS || stat.parent === process.pid) continue;
    found.set(`${pid} ${stat.startTime}`, stat.cpuMs + (waiting.has(pid) ? 0 : stat.waitedCpuMs));
  }
  return found;
}

export function machineTimes(): MachineTimes {
  const [line = ''] = readProc('/proc/stat').split('\n', 1);
  // user nice system idle iowait irq softirq steal; guest time is part of user.
  const times = line.split(/\s+/).slice(1, 9).map(Number);
  return {
    atMs: performance.now(),
    total: times.reduce((sum, time) => sum + time, 0),
    steal: times[7] ?? 0,
    processes: otherProcesses(),
  };
}

/** The shares between two moments; 0 where the kernel does not count. */
export function sharesBetween(before: MachineTimes, after: MachineTimes): Shares {
  let othersMs = 0;
  for (const [key, ms] of after.processes) othersMs += ms - (before.processes.get(key) ?? ms);
  const availableMs = (after.atMs - before.atMs) * availableParallelism();
  return {
    stealShare: Math.max(0, after.steal - before.steal) / Math.max(1, after.total - before.total),
    othersShare: Math.min(1, othersMs / Math.max(1, availableMs)),
  };
}

/** Of two machines. */
export function worst(one: Shares, other: Shares | null): Shares {
  if (other === null) return one;
  return {
    stealShare: Math.max(one.stealShare, other.stealShare),
    othersShare: Math.max(one.othersShare, other.othersShare),
  };
}

export function isDisturbed({ stealShare, othersShare }: Shares): boolean {
  return stealShare > STEAL_SHARE_MAX || othersShare > OTHERS_SHARE_MAX;
}

/** At most one round in this many is repeated at a point, so that a comparison ends on a machine that is never quiet. */
const ROUNDS_PER_REPEAT = 4;

/** Decides which rounds are repeated, at all points. */
export class Repeats<P> {
  private readonly counts = new Map<P, number>();

  /** Whether a disturbed round is repeated; `rounds` is the number planned at the point. */
  isNext(point: P, rounds: number): boolean {
    const count = (this.counts.get(point) ?? 0) + 1;
    if (count > rounds / ROUNDS_PER_REPEAT) return false;
    this.counts.set(point, count);
    return true;
  }
}
