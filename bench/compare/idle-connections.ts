/**
 * The measuring program's handle on the idle connections, which the process idle-holder.ts holds.
 */
import { join } from 'node:path';
import { ChildProcess, type Placement } from '../child-process.ts';
import type { TargetAddress } from '../load/command/values.ts';
import { EXTENSION } from '../programs.ts';

const HOLDER = join(import.meta.dirname, `idle-holder${EXTENSION}`);

export class IdleConnections {
  held = 0;
  failed = 0;
  /** Wrong bytes received; final after release(). */
  wrong = 0;
  private readonly process: ChildProcess;
  private readonly opened = Promise.withResolvers<void>();

  private constructor({ address, port }: TargetAddress, count: number, placement: Placement) {
    const args = [HOLDER, String(port), String(count), address];
    const onLine = (line: string) => {
      Object.assign(this, JSON.parse(line)); // {"held": n, "failed": n}, and at the end {"wrong": n}
      this.opened.resolve();
    };
    this.process = new ChildProcess('idle connection holder', process.execPath, args, onLine, placement);
  }

  /** Opens `count` connections. Throws when some neither opened nor failed in time. */
  static async open(
    at: TargetAddress,
    count: number,
    timeoutMs: number,
    placement: Placement = {},
  ): Promise<IdleConnections> {
    const idle = new IdleConnections(at, count, placement);
    try {
      await idle.process.unlessItEnds(idle.opened.promise, 'connected', timeoutMs);
      return idle;
    } catch (error) {
      await idle.process.stop(true);
      throw error;
    }
  }

  /** Resets all connections. */
  release(): Promise<void> {
    return this.process.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
