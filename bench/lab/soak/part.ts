/**
 * One part: a server, its load, samples of its resources, deaths of its workers, and its end.
 *
 * Server, load and watchers are separate processes; all are gone when this returns or throws.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../free-port.ts';
import { seededRandom } from '../../random.ts';
import { pollers, Watchers } from '../watchers.ts';
import { SoakLoad } from './load.ts';
import { PROFILES } from './profiles.ts';
import { SoakServer } from './server.ts';
import type { Figures, Held, PartResult, Sample, SoakStrategy } from './types.ts';

export interface PartPlan {
  strategy: SoakStrategy;
  durationMs: number;
  seed: number;
  /** See SoakOptions. */
  watched: boolean;
}

const SAMPLES_MAX = 300;
const SAMPLE_EVERY_MIN_MS = 250;
/** About six deaths in a short part, no more than needed: a death keeps connections from ending for a moment. */
const DEATHS_MIN = 6;
const DEATH_EVERY_MAX_MS = 10_000;
/** Memory of ended threads comes back late. A part of the usual length has more rests than a slope needs. */
const REST_MS = 20_000;
const REST_EVERY_MS = 45_000;
/** Clients that ask /metrics, and their pause after a response. */
const POLLERS = 4;
const POLL_PAUSE_MS = 100;
/** How long the connections and the server may take to settle before a death, and a thread to end. */
const HOLD_TIMEOUT_MS = 5_000;
const DEATH_TIMEOUT_MS = 5_000;
/** For resources to return to their initial values: workers end after an idle second, one at a time. */
const REST_TIMEOUT_MS = 30_000;
/** Need not return to their initial values at the end: V8 keeps pages for a while. */
const MEMORY = new Set<keyof Held>(['residentKib', 'mappings']);
/** The server has started when its descriptors and threads were the same in this many looks in a row. */
const STEADY_LOOKS = 10;

export function sampleEveryMs(durationMs: number): number {
  return Math.max(SAMPLE_EVERY_MIN_MS, durationMs / SAMPLES_MAX);
}

/** A server's resources once it has started. */
async function atRest(server: SoakServer): Promise<Held> {
  let before = '';
  let same = 0;
  const { held } = await server.lookUntil(({ descriptors, threads }) => {
    const now = `${descriptors} ${threads}`;
    same = now === before ? same + 1 : 0;
    before = now;
    return same >= STEADY_LOOKS;
  }, REST_TIMEOUT_MS);
  return held;
}

/** Samples and deaths while the load runs. */
class Course {
  readonly samples: Sample[] = [];
  readonly rests: Sample[] = [];
  private isResting = false;
  deathsOrdered = 0;
  deathsPutOff = 0;
  private readonly server: SoakServer;
  private readonly load: SoakLoad;
  private readonly plan: PartPlan;
  private readonly beganMs = performance.now();

  constructor(server: SoakServer, load: SoakLoad, plan: PartPlan) {
    this.server = server;
    this.load = load;
    this.plan = plan;
  }

  private get atMs(): number {
    return performance.now() - this.beganMs;
  }

  private get isOver(): boolean {
    return this.atMs >= this.plan.durationMs || this.load.hasEnded;
  }

  /** Takes samples, kills workers and lets the load rest, concurrently until the time is up. */
  async run(): Promise<void> {
    await Promise.all([this.sample(), this.kill(), this.plan.watched ? this.rest() : null]);
  }

  private async sample(): Promise<void> {
    const everyMs = sampleEveryMs(this.plan.durationMs);
    for (let n = 1; !this.isOver; n++) {
      await pause(Math.max(0, n * everyMs - this.atMs));
      const { held, figures } = await this.server.lookWithoutGarbage();
      const { accepted, echoes, bytes } = figures;
      this.samples.push({ atMs: Math.round(this.atMs), ...held, accepted, echoes, bytes });
    }
  }

  private async kill(): Promise<void> {
    const random = seededRandom(this.plan.seed);
    const { durationMs } = this.plan;
    while (!this.isOver) {
      const untilNextMs = Math.min(DEATH_EVERY_MAX_MS, durationMs / (DEATHS_MIN + 1));
      await pause(Math.max(0, Math.min(durationMs - this.atMs, untilNextMs)));
      if (!this.isOver && !this.isResting) await this.killOne(Math.floor(random() * 1000));
    }
  }

  private async rest(): Promise<void> {
    const { durationMs } = this.plan;
    const everyMs = Math.min(REST_EVERY_MS, durationMs / 2);
    for (let n = 1; n * everyMs + REST_MS <= durationMs; n++) {
      await pause(Math.max(0, n * everyMs - this.atMs));
      if (this.isOver) return;
      this.isResting = true;
      await this.load.rest();
      const sinceMs = this.atMs;
      await pause(REST_MS);
      const last = this.samples.at(-1);
      if (last !== undefined && last.atMs > sinceMs) this.rests.push(last);
      this.load.resume();
      this.isResting = false;
    }
  }

  /** Ends one worker while no connection is ending, and waits until the server has noticed. */
  private async killOne(number: number): Promise<void> {
    const over = await this.load.hold(HOLD_TIMEOUT_MS);
    try {
      const { server } = this;
      const settled = ({ accepted, active }: Figures) => accepted - active === over;
      const { figures, inTime } = await server.lookUntil((_, now) => settled(now), HOLD_TIMEOUT_MS);
      if (over === null || !inTime || !(await server.killWorker(number))) {
        this.deathsPutOff++;
        return;
      }
      this.deathsOrdered++;
      await server.lookUntil((_, now) => now.deaths > figures.deaths, DEATH_TIMEOUT_MS);
    } finally {
      this.load.release();
    }
  }
}

async function runWatched(course: Course, adminPort: number): Promise<void> {
  await using polling = pollers(adminPort, POLLERS, POLL_PAUSE_MS);
  await using watchers = new Watchers(adminPort);
  await course.run();
  watchers.check(polling);
}

/** Runs one part. Throws when a process dies, or does not answer in time. */
export async function runPart(plan: PartPlan): Promise<PartResult> {
  const { strategy, durationMs, seed, watched } = plan;
  const { server: options, lanes } = PROFILES[strategy];
  const adminPort = freePort();
  const admin = `127.0.0.1:${adminPort}`;
  const server = await SoakServer.start(watched ? { ...options, admin } : options);
  let load: SoakLoad | null = null;
  try {
    const start = await atRest(server);
    load = new SoakLoad({ port: server.port, seed, lanes });
    const course = new Course(server, load, plan);
    if (watched) await runWatched(course, adminPort);
    else await course.run();
    const counts = await load.stop();
    const isBack = (held: Held) =>
      (Object.keys(start) as (keyof Held)[]).every((key) => MEMORY.has(key) || held[key] <= start[key]);
    const { held: end, figures } = await server.lookUntil(isBack, REST_TIMEOUT_MS);
    const { statsLines } = server;
    const ended = await server.end();
    const { samples, rests, deathsOrdered, deathsPutOff } = course;
    return {
      strategy,
      durationMs,
      samples,
      rests,
      start,
      end,
      counts,
      figures,
      deathsOrdered,
      deathsPutOff,
      statsLines,
      ended,
    };
  } finally {
    await Promise.all([load?.process.stop(true), server.process.stop(true)]);
  }
}
