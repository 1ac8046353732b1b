/**
 * The soak test's handle on a part's server process, which it owns: figures, resources and commands.
 *
 * Stats lines are requested with SIGUSR2, one at a time; a missing one is an error.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ChildProcess } from '../../child-process.ts';
import { mappings, openDescriptors, treeResidentKib, treeThreads } from '../../process-figures.ts';
import { apiEntry } from '../../programs.ts';
import { ServerUnderTest } from '../../server-under-test.ts';
import type { Figures, Held } from './types.ts';

const CHILD = join(import.meta.dirname, 'server-child.ts');
/**
 * Garbage of the main heap can be collected before a sample, and its young generation has a fixed size: V8 enlarges it
 * once, by some 6 MiB here, at the first burst of load, which looks like a leak.
 */
const V8_OPTIONS = ['--expose-gc', '--min-semi-space-size=4', '--max-semi-space-size=4'];
const FIGURES_TIMEOUT_MS = 10_000;
/** Longer than its drain timeout of 10 s and the 5 s that its threads may take. */
const END_TIMEOUT_MS = 20_000;
const LOOK_EVERY_MS = 100;

interface Line {
  msg?: unknown;
  worker?: number;
  connections?: { accepted: number; active: number; queued: number; closed: { workerDied: number } };
  threads?: { died: Record<string, number> };
  spills?: { total: number; inUse: number };
  echoes?: number;
  bytesIn?: number;
}

function figuresOf({ connections, threads, spills, echoes = 0, bytesIn = 0 }: Line): Figures {
  if (connections === undefined || threads === undefined || spills === undefined) {
    throw new Error('incomplete stats line');
  }
  const { accepted, active, queued, closed } = connections;
  return {
    accepted,
    active,
    queued,
    workerDied: closed.workerDied,
    deaths: Object.values(threads.died).reduce((sum, count) => sum + count, 0),
    echoes,
    bytes: bytesIn,
    spillsInUse: spills.inUse,
    spillsTotal: spills.total,
  };
}

export class SoakServer {
  readonly process: ChildProcess;
  readonly port: number;
  /** Stats lines received. */
  statsLines = 0;
  private readonly waiting = new Map<string, PromiseWithResolvers<Line>>();
  private asked: Promise<Figures> | null = null;

  private constructor(server: ServerUnderTest) {
    this.process = server.process;
    this.port = server.port;
    server.onEntry = (entry) => this.take(entry);
  }

  /** Starts a server with these options and waits until it listens. */
  static async start(options: object): Promise<SoakServer> {
    const args = [...V8_OPTIONS, CHILD, apiEntry(), JSON.stringify(options)];
    return new SoakServer(await ServerUnderTest.start('soak server', { command: process.execPath, args }));
  }

  private take(line: Line): void {
    if (line.msg === 'stats') this.statsLines++;
    this.waiting.get(String(line.msg))?.resolve(line);
  }

  /** The next line with this message. */
  private async line(msg: string, timeoutMs: number): Promise<Line> {
    const next = Promise.withResolvers<Line>();
    this.waiting.set(msg, next);
    try {
      return await this.process.unlessItEnds(next.promise, `logging "${msg}"`, timeoutMs);
    } finally {
      this.waiting.delete(msg);
    }
  }

  /** Figures from a new stats line. */
  figures(): Promise<Figures> {
    this.asked ??= this.ask().finally(() => {
      this.asked = null;
    });
    return this.asked;
  }

  private async ask(): Promise<Figures> {
    const line = this.line('stats', FIGURES_TIMEOUT_MS);
    this.process.signal('SIGUSR2');
    return figuresOf(await line);
  }

  /** Its current resources, and the figures that they are based on. */
  async look(): Promise<{ held: Held; figures: Figures }> {
    const figures = await this.figures();
    const { pid } = this.process;
    const { active, queued, spillsInUse } = figures;
    const held = {
      descriptors: openDescriptors(pid),
      threads: treeThreads([pid]),
      residentKib: treeResidentKib([pid]),
      mappings: mappings(pid),
      active,
      queued,
      spillsInUse,
    };
    return { held, figures };
  }

  /** The first look that satisfies `condition`, or the one at the deadline. */
  async lookUntil(
    condition: (held: Held, figures: Figures) => boolean,
    timeoutMs: number,
  ): Promise<{ held: Held; figures: Figures; inTime: boolean }> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const { held, figures } = await this.look();
      const inTime = condition(held, figures);
      if (inTime || performance.now() > deadlineMs) return { held, figures, inTime };
      await pause(LOOK_EVERY_MS);
    }
  }

  /**
   * look() after collecting the garbage of its main thread. Otherwise that heap grows for minutes before V8 collects it
   * (by 20 to 30 MiB here), which only hours of load could tell from a leak.
   */
  async lookWithoutGarbage(): Promise<{ held: Held; figures: Figures }> {
    const line = this.line('collected', FIGURES_TIMEOUT_MS);
    this.process.write('collect\n');
    await line;
    return this.look();
  }

  /** Ends the thread of the worker that `number` selects. False when there was none. */
  async killWorker(number: number): Promise<boolean> {
    const line = this.line('kill', FIGURES_TIMEOUT_MS);
    this.process.write(`kill ${number}\n`);
    return (await line).worker !== 0;
  }

  /** Stops it with SIGTERM; returns how it ended. */
  async end(): Promise<string> {
    this.process.signal('SIGTERM');
    await this.process.finished(END_TIMEOUT_MS);
    return this.process.ended ?? 'not ended';
  }
}
