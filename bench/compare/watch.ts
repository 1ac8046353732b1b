/**
 * Looks at a server while it is under load: its threads, and for a timeline its own figures.
 *
 * The number of threads comes from the kernel and costs the server nothing. Its own figures come by SIGUSR2, which
 * makes it log a line, so they are taken only in runs that are not measured. CPU time is read by the load generator.
 */
import { processTree, treeThreads } from '../process-figures.ts';
import type { TestServer } from './server.ts';
import type { TimelineSample } from './types.ts';

const LOOK_EVERY_MS = 20;
/** A burst is over soon. */
const BURST_FIGURES_EVERY_MS = 25;
const FIGURES_EVERY_MS = 100;
/** A thousand starts of a thread take half a minute; a timeline needs no more than so many points of it. */
const SAMPLES_MAX = 400;

export interface Watched {
  threadsMax: number;
  samples: TimelineSample[];
}

export class Watch {
  private readonly server: TestServer;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly beganMs = performance.now();
  private readonly samples: TimelineSample[] = [];
  private threads = 0;
  private threadsMax = 0;

  constructor(server: TestServer, timeline: 'none' | 'burst' | 'steady') {
    this.server = server;
    this.look();
    this.timers.push(setInterval(() => this.look(), LOOK_EVERY_MS));
    if (timeline === 'none') return;
    const everyMs = timeline === 'burst' ? BURST_FIGURES_EVERY_MS : FIGURES_EVERY_MS;
    if (server.isKechoPool) {
      server.onFigures = (figures) => this.keep({ ...figures });
      this.timers.push(setInterval(() => server.askFigures(), everyMs));
    } else {
      const unknown = { active: null, queued: null, busyWorkers: null, idleWorkers: null, nrRunning: null };
      this.timers.push(setInterval(() => this.keep(unknown), everyMs));
    }
  }

  private look(): void {
    this.threads = treeThreads(processTree(this.server.process.pid));
    this.threadsMax = Math.max(this.threadsMax, this.threads);
  }

  private keep(figures: Omit<TimelineSample, 'atMs' | 'threads'>): void {
    this.samples.push({
      atMs: Math.round(performance.now() - this.beganMs),
      threads: this.threads,
      ...figures,
    });
  }

  /** The last look, and what was seen. */
  end(): Watched {
    for (const timer of this.timers) clearInterval(timer);
    this.server.onFigures = () => {};
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
