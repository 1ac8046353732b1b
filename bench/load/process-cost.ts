/**
 * CPU time and thread count of the server's processes, seen from outside. Read-only.
 *
 * The CPU time is that of the server's control group, which includes processes that came and went (a server that forks
 * for each connection); it lags by up to a scheduler tick for each processor. Without a group it comes from the CPU
 * clocks of the processes that exist, which count nanoseconds and include exited threads, and of the children that they
 * have waited for, in steps of 10 ms. Children whose parent ignores SIGCHLD are missing then.
 */
import { libc } from '../../src/sys/libc.ts';
import { cgroupCpuMs } from '../cgroup.ts';
import { processStat, processTree, treeThreads } from '../process-figures.ts';
import type { CpuSource } from './result.ts';

// The clock id of another process, as clock_getcpuclockid(3) returns it: ~pid << 3 | CPUCLOCK_SCHED.
const CPUCLOCK_SCHED = 2;

const timespec = new BigInt64Array(2);

/** User and system CPU time of a process, exited threads included; NaN when the process is gone. */
export function processCpuMs(pid: number): number {
  if (libc.clock_gettime((~pid << 3) | CPUCLOCK_SCHED, timespec) !== 0) return Number.NaN;
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

/**
 * Of the processes and their descendants except the generator; NaN when the first one is gone. The time of a later one has
 * moved to its parent then.
 */
function treeCpuMs(pids: readonly number[]): number {
  const [first = 0] = pids;
  const all = new Set(pids.flatMap(processTree));
  all.delete(process.pid);
  const times = [...all].map((pid) => processCpuMs(pid) + (processStat(pid)?.waitedCpuMs ?? 0));
  if (Number.isNaN(processCpuMs(first))) return Number.NaN;
  return times.reduce((sum, ms) => sum + (Number.isNaN(ms) ? 0 : ms), 0);
}

export class ProcessCost {
  readonly source: CpuSource;
  private readonly pids: readonly number[];
  private readonly cgroup: string;
  /** NaN until begin(): a load that never started has cost nothing that is known. */
  private cpuMs = Number.NaN;
  private watching = false;
  private mostThreads = 0;

  /** `cgroup` is a folder, or empty. */
  constructor(pids: readonly number[], cgroup: string) {
    this.pids = pids;
    this.cgroup = cgroup;
    this.source = cgroup === '' ? 'processes' : 'cgroup';
  }

  /** CPU time until now; NaN when no process is watched or the server has exited. */
  nowMs(): number {
    if (this.pids.length === 0) return Number.NaN;
    return this.cgroup === '' ? treeCpuMs(this.pids) : cgroupCpuMs(this.cgroup);
  }

  begin(): void {
    this.watching = true;
    this.cpuMs = -this.nowMs();
    this.sample();
  }

  /** Call about every 50 ms. */
  sample(): void {
    if (!this.watching || this.pids.length === 0) return;
    this.mostThreads = Math.max(this.mostThreads, treeThreads(this.pids));
  }

  end(): void {
    if (!this.watching) return;
    this.sample();
    this.cpuMs += this.nowMs();
    this.watching = false;
  }

  /** For the result; empty when no process was watched, one exited, or the load never started. */
  figures(completed: number): {
    serverCpuMs?: number;
    serverCpuPerSampleUs?: number;
    serverCpuFrom?: CpuSource;
    serverThreadsMax?: number;
  } {
    if (!Number.isFinite(this.cpuMs)) return {};
    return {
      serverCpuMs: this.cpuMs,
      serverCpuFrom: this.source,
      ...(completed > 0 ? { serverCpuPerSampleUs: (this.cpuMs * 1000) / completed } : {}),
      serverThreadsMax: this.mostThreads,
    };
  }
}
