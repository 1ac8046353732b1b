/**
 * Samples a server under load: its threads and, for a timeline, its stats.
 *
 * The thread count comes from /proc and costs the server nothing. SIGUSR2 makes kecho-pool log its stats, so these are
 * sampled only in runs that are not measured. The load generator reads the CPU time.
 */
import { processTree, treeThreads } from '../process-figures.ts';
import type { LogEntry, ServerUnderTest } from '../server-under-test.ts';
import type { TimelineSample } from './types.ts';

const THREADS_EVERY_MS = 20;
/** A burst may last some fifty milliseconds. */
const BURST_STATS_EVERY_MS = 5;
const STATS_EVERY_MS = 100;
/** Maximum points of a timeline: starting a thousand threads takes half a minute. */
const SAMPLES_MAX = 400;

export interface Seen {
  threadsMax: number | null;
  samples: TimelineSample[];
}

type Stats = Omit<TimelineSample, 'atMs' | 'threads'>;

const UNKNOWN: Stats = {
  active: null,
  queued: null,
  busyWorkers: null,
  idleWorkers: null,
  nrRunning: null,
};

/** The part of a stats line that a timeline uses; see src/server/stats.ts. */
interface StatsLine {
  connections?: { active?: number; queued?: number };
  workers?: Record<string, number>;
  cpuPools?: { nrRunning?: number }[];
}

function statsOf(entry: LogEntry): Stats {
  const { connections, workers, cpuPools } = entry as StatsLine;
  const count = (state: string) => workers?.[state] ?? 0;
  return {
    active: connections?.active ?? 0,
    queued: connections?.queued ?? 0,
    busyWorkers: count('onDuty') + count('blocked') + count('cpuIntensive') + count('finishing'),
    idleWorkers: count('idle'),
    nrRunning: (cpuPools ?? []).reduce((sum, pool) => sum + (pool.nrRunning ?? 0), 0),
  };
}

export class Sampler {
  private readonly server: ServerUnderTest;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly beganMs = performance.now();
  private readonly samples: TimelineSample[] = [];
  private threads = 0;
  /** Until now. */
  threadsMax = 0;

  constructor(server: ServerUnderTest, isKechoPool: boolean, timeline: 'none' | 'burst' | 'steady') {
    this.server = server;
    this.sampleThreads();
    this.timers.push(setInterval(() => this.sampleThreads(), THREADS_EVERY_MS));
    if (timeline === 'none') return;
    const everyMs = timeline === 'burst' ? BURST_STATS_EVERY_MS : STATS_EVERY_MS;
    if (isKechoPool) {
      server.onEntry = (entry) => {
        if (entry.msg === 'stats') this.record(statsOf(entry));
      };
      this.timers.push(setInterval(() => server.process.signal('SIGUSR2'), everyMs));
    } else {
      this.timers.push(setInterval(() => this.record(UNKNOWN), everyMs)); // SIGUSR2 might terminate another server
    }
  }

  private sampleThreads(): void {
    this.threads = treeThreads(processTree(this.server.process.pid));
    this.threadsMax = Math.max(this.threadsMax, this.threads);
  }

  private record(stats: Stats): void {
    this.samples.push({
      atMs: Math.round(performance.now() - this.beganMs),
      threads: this.threads,
      ...stats,
    });
  }

  /** Takes a last sample and returns the results. */
  end(): Seen {
    for (const timer of this.timers) clearInterval(timer);
    this.server.onEntry = () => {};
    this.sampleThreads();
    return {
      threadsMax: this.threadsMax,
      samples: thinned(underLoad(this.samples)),
    };
  }
}

/** The samples from just before the first connection to just after the last. */
export function underLoad(samples: readonly TimelineSample[]): TimelineSample[] {
  const busy = (sample: TimelineSample) => sample.active === null || sample.active > 0;
  const first = samples.findIndex(busy);
  if (first < 0) return [];
  const from = Math.max(0, first - 1);
  const startMs = samples[from]?.atMs ?? 0;
  return samples
    .slice(from, samples.findLastIndex(busy) + 2)
    .map((sample) => ({ ...sample, atMs: sample.atMs - startMs }));
}

/** Every n-th sample, at most SAMPLES_MAX. */
function thinned(samples: TimelineSample[]): TimelineSample[] {
  const step = Math.ceil(samples.length / SAMPLES_MAX);
  return step <= 1 ? samples : samples.filter((_, i) => i % step === 0);
}
