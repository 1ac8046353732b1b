/** The soak test's handle on a part's load process (load-child.ts), which it owns. */
import { join } from 'node:path';
import { ChildProcess } from '../../child-process.ts';
import type { LoadCounts, LoadPlan } from './types.ts';

const CHILD = join(import.meta.dirname, 'load-child.ts');
/** A stalled conversation is given up after 30 s; see load-child.ts. */
const DONE_TIMEOUT_MS = 60_000;

/** A resting load lets its connections end, and a lane may have just begun one. */
const RESTING_TIMEOUT_MS = 60_000;

type Line = { msg?: unknown; over?: number } & LoadCounts;

export class SoakLoad {
  readonly process: ChildProcess;
  private readonly done = Promise.withResolvers<LoadCounts>();
  private held = Promise.withResolvers<number>();
  private resting = Promise.withResolvers<void>();

  constructor(plan: LoadPlan) {
    this.process = new ChildProcess('soak load', process.execPath, [CHILD, JSON.stringify(plan)], (line) =>
      this.take(line),
    );
  }

  private take(text: string): void {
    const { msg, ...rest } = JSON.parse(text) as Line;
    if (msg === 'held') this.held.resolve(rest.over);
    if (msg === 'resting') this.resting.resolve();
    if (msg === 'done') this.done.resolve(rest);
  }

  /**
   * Keeps connections from ending from now on. Resolves with the number that have ended; null after `timeoutMs`, or
   * when the load has ended.
   */
  async hold(timeoutMs: number): Promise<number | null> {
    const { promise, resolve } = Promise.withResolvers<number | null>();
    this.held = Promise.withResolvers();
    const late = setTimeout(() => resolve(null), timeoutMs);
    void this.held.promise.then(resolve);
    void this.done.promise.then(() => resolve(null));
    this.process.write('hold\n');
    const over = await promise;
    clearTimeout(late);
    return over;
  }

  release(): void {
    this.process.write('release\n');
  }

  /** Lets all connections end, and opens no new ones until `resume`. */
  async rest(): Promise<void> {
    this.resting = Promise.withResolvers();
    this.process.write('rest\n');
    await this.process.unlessItEnds(this.resting.promise, 'resting', RESTING_TIMEOUT_MS);
  }

  resume(): void {
    this.process.write('resume\n');
  }

  /** Lets all connections end, and returns the counts. */
  stop(): Promise<LoadCounts> {
    this.process.write('stop\n');
    return this.process.unlessItEnds(this.done.promise, 'done', DONE_TIMEOUT_MS);
  }

  /** Whether it has ended early: too many faults, or it has died. */
  get hasEnded(): boolean {
    return this.process.ended !== null;
  }
}
