/**
 * Looks at a server while it is under load: its threads, and for a timeline its own figures.
 *
 * The number of threads comes from the kernel and costs the server nothing. Its own figures come by SIGUSR2, which
 * makes it log a line, so they are taken only in runs that are not measured. CPU time is read by the load generator.
 */
import { processTree, treeThreads } from '../process-figures.ts';
import type { LogEntry, ServerUnderTest } from '../server-under-test.ts';
import type { TimelineSample } from './types.ts';

const LOOK_EVERY_MS = 20;
/** A burst is over soon. */
const BURST_FIGURES_EVERY_MS = 25;
const FIGURES_EVERY_MS = 100;
/** A thousand starts of a thread take half a minute; a timeline needs no more than so many points of it. */
const SAMPLES_MAX = 400;

export interface Seen {
  threadsMax: number;
  samples: TimelineSample[];
}

type Figures = Omit<TimelineSample, 'atMs' | 'threads'>;

const UNKNOWN: Figures = {
  active: null,
  queued: null,
  busyWorkers: null,
  idleWorkers: null,
  nrRunning: null,
};

/** What a timeline keeps of a stats line; see src/server/stats.ts. */
interface StatsLine {
  connections?: { active?: number; queued?: number };
  workers?: Record<string, number>;
  cpuPools?: { nrRunning?: number }[];
}

function figuresOf(entry: LogEntry): Figures {
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
  private threadsMax = 0;

  constructor(server: ServerUnderTest, isKechoPool: boolean, timeline: 'none' | 'burst' | 'steady') {
    this.server = server;
    this.look();
    this.timers.push(setInterval(() => this.look(), LOOK_EVERY_MS));
    if (timeline === 'none') return;
    const everyMs = timeline === 'burst' ? BURST_FIGURES_EVERY_MS : FIGURES_EVERY_MS;
    if (isKechoPool) {
      server.onEntry = (entry) => {
        if (entry.msg === 'stats') this.keep(figuresOf(entry));
      };
      this.timers.push(setInterval(() => server.process.signal('SIGUSR2'), everyMs));
    } else {
      this.timers.push(setInterval(() => this.keep(UNKNOWN), everyMs)); // SIGUSR2 might end it
    }
  }

  private look(): void {
    this.threads = treeThreads(processTree(this.server.process.pid));
    this.threadsMax = Math.max(this.threadsMax, this.threads);
  }

  private keep(figures: Figures): void {
    this.samples.push({
      atMs: Math.round(performance.now() - this.beganMs),
      threads: this.threads,
      ...figures,
    });
  }

  /** The last look, and what was seen. */
  end(): Seen {
    for (const timer of this.timers) clearInterval(timer);
    this.server.onEntry = () => {};
    this.look();
    return {
      threadsMax: this.threadsMax,
      samples: thinned(underLoad(this.samples)),
    };
  }
}

/** From just before the first connection to just after the last; the load generator takes a moment to start. */
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

/** Every so many-th sample, so that there are not too many. */
function thinned(samples: TimelineSample[]): TimelineSample[] {
  const step = Math.ceil(samples.length / SAMPLES_MAX);
  return step <= 1 ? samples : samples.filter((_, i) => i % step === 0);
}
