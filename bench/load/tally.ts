/**
 * Counts one run: samples, response times, errors, and the CPU that both sides spent in the window.
 *
 * A sample counts towards the rate when it completes inside the window, and its response time is recorded
 * when it began inside: so an answer still due at the window's end is not lost from the worst case, and
 * none from the warm-up gets in. It owns the clock readings of the window; it must not touch a socket.
 */
import { readFileSync } from 'node:fs';
import { createHistogram, performance } from 'node:perf_hooks';
import type { LoadOptions } from './options.ts';
import {
  ERROR_CLASSES,
  type ErrorClass,
  type ErrorCounts,
  type LoadResult,
  SATURATED_SHARE,
} from './result.ts';

const ERROR_DETAILS_MAX = 5;
/** A run with this many errors has shown what there is to see and ends. */
export const ERRORS_MAX = 100;

// Linux reports process times in ticks of USER_HZ, which is 100 on every architecture Node supports.
const TICK_MS = 10;

/** User and system CPU time of a process so far, all its threads, ended ones included (proc_pid_stat(5)). */
export function processCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The command's name, in brackets, may itself hold blanks and brackets: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export class Tally {
  opened = 0;
  errorCount = 0;
  private readonly histogram = createHistogram({ lowest: 1, highest: 600_000_000_000, figures: 3 });
  private readonly errors = Object.fromEntries(ERROR_CLASSES.map((name) => [name, 0])) as ErrorCounts;
  private readonly errorDetails: string[] = [];
  private readonly options: LoadOptions;
  private open = false;
  private completed = 0;
  private worstMs = 0;
  private beganMs = Number.POSITIVE_INFINITY;
  private windowMs = 0;
  private ownCpuMs = 0;
  private serverCpuMs = 0;

  constructor(options: LoadOptions) {
    this.options = options;
  }

  private watchedCpuMs(): number {
    if (this.options.watchPid === 0) return 0;
    try {
      return processCpuMs(this.options.watchPid);
    } catch {
      return Number.NaN; // It has died; its connections tell that better.
    }
  }

  private static cpuMs(): number {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }

  /** Opens the window. */
  begin(): void {
    this.serverCpuMs = -this.watchedCpuMs();
    this.ownCpuMs = -Tally.cpuMs();
    this.beganMs = performance.now();
    this.open = true;
  }

  /** Closes the window. */
  end(): void {
    this.windowMs = performance.now() - this.beganMs;
    this.ownCpuMs += Tally.cpuMs();
    this.serverCpuMs += this.watchedCpuMs();
    this.open = false;
  }

  /** Samples completed in the window so far. */
  get count(): number {
    return this.completed;
  }

  /** One sample, by performance.now() at its start and end. */
  sample(startedMs: number, endedMs: number): void {
    if (this.open) this.completed++;
    if (startedMs < this.beganMs) return;
    const ms = endedMs - startedMs;
    if (ms > this.worstMs) this.worstMs = ms;
    this.histogram.record(Math.max(1, Math.round(ms * 1e6)));
  }

  error(kind: ErrorClass, detail: string): void {
    this.errors[kind]++;
    this.errorCount++;
    if (this.errorDetails.length < ERROR_DETAILS_MAX) this.errorDetails.push(`${kind}: ${detail}`);
  }

  result(): LoadResult {
    const { mode, connections, messageBytes, watchPid } = this.options;
    const { histogram, completed, windowMs } = this;
    const generatorCpuShare = completed > 0 ? this.ownCpuMs / windowMs : 0;
    const watched = watchPid !== 0 && Number.isFinite(this.serverCpuMs);
    const empty = histogram.count === 0;
    const percentile = (p: number) => (empty ? 0 : histogram.percentile(p));
    return {
      mode,
      connections,
      messageBytes,
      windowMs,
      completed,
      perSecond: windowMs > 0 ? (completed * 1000) / windowMs : 0,
      latencyNs: {
        p50: percentile(50),
        p99: percentile(99),
        p999: percentile(99.9),
        mean: empty ? 0 : histogram.mean,
        worst: Math.round(this.worstMs * 1e6),
      },
      serverCpuMs: watched ? this.serverCpuMs : null,
      serverCpuPerSampleUs: watched && completed > 0 ? (this.serverCpuMs * 1000) / completed : null,
      generatorCpuShare,
      saturated: generatorCpuShare > SATURATED_SHARE,
      opened: this.opened,
      errors: this.errors,
      errorDetails: this.errorDetails,
    };
  }
}
