/**
 * CPU time and thread count of the server's processes, seen from outside. Read-only.
 *
 * CPU time comes from the process's CPU clock, which counts nanoseconds and includes exited threads; utime and stime
 * in /proc have steps of 10 ms.
 */
import { libc } from '../../src/sys/libc.ts';
import { treeThreads } from '../process-figures.ts';

// The clock id of another process, as clock_getcpuclockid(3) returns it: ~pid << 3 | CPUCLOCK_SCHED.
const CPUCLOCK_SCHED = 2;

const timespec = new BigInt64Array(2);

/** User and system CPU time of a process, exited threads included; NaN when the process is gone. */
export function processCpuMs(pid: number): number {
  if (libc.clock_gettime((~pid << 3) | CPUCLOCK_SCHED, timespec) !== 0) return Number.NaN;
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6;
}

export class ProcessCost {
  private readonly pids: readonly number[];
  private cpuMs = 0;
  private watching = false;
  private mostThreads = 0;

  constructor(pids: readonly number[]) {
    this.pids = pids;
  }

  private nowMs(): number {
    return this.pids.reduce((sum, pid) => sum + processCpuMs(pid), 0);
  }

  begin(): void {
    this.watching = true;
    this.cpuMs -= this.nowMs();
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

  /** For the result; empty when no process was watched or one exited. */
  figures(completed: number): {
    serverCpuMs?: number;
    serverCpuPerSampleUs?: number;
    serverThreadsMax?: number;
  } {
    if (this.pids.length === 0 || !Number.isFinite(this.cpuMs)) return {};
    return {
      serverCpuMs: this.cpuMs,
      ...(completed > 0 ? { serverCpuPerSampleUs: (this.cpuMs * 1000) / completed } : {}),
      serverThreadsMax: this.mostThreads,
    };
  }
}
