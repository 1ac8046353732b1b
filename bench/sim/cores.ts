/**
 * The processors of the simulation. A burn needs a core, waits for one first in, first out, and keeps it until it is
 * over ("assuming simple FIFO scheduling", as in the kernel's workqueue document). With a quantum, cores go round
 * robin, which approximates fair sharing. By default there are infinitely many cores, and no burn waits.
 */
import type { Timer, Timers } from './timers.ts';

interface Burn {
  restMs: number;
  /** When its current slice began; null while it waits for a core. */
  sliceSinceMs: number | null;
  /** Called when the burn is over; null when its thread has died. */
  done: (() => void) | null;
}

/** A burn in progress, as its thread holds it. */
export interface RunningBurn {
  /** CPU time that it has had so far. */
  cpuMs(nowMs: number): number;
  cancel(): void;
}

export interface CoresOptions {
  count: number;
  quantumMs: number;
}

export class Cores {
  private readonly options: CoresOptions;
  private readonly timers: Timers;
  private readonly queue: Burn[] = [];
  private free: number;

  constructor(options: CoresOptions, timers: Timers) {
    this.options = options;
    this.timers = timers;
    this.free = options.count;
  }

  /** Starts a burn of `ms`. */
  burn(startMs: number, ms: number, done: () => void): RunningBurn {
    if (this.options.count === Number.POSITIVE_INFINITY) {
      const timer: Timer = this.timers.add(startMs + ms, done);
      return { cpuMs: (nowMs) => nowMs - startMs, cancel: () => this.timers.cancel(timer) };
    }
    const burn: Burn = { restMs: ms, sliceSinceMs: null, done };
    this.queue.push(burn);
    this.dispatch(startMs);
    return {
      cpuMs: (nowMs) => ms - burn.restMs + (nowMs - (burn.sliceSinceMs ?? nowMs)),
      cancel() {
        burn.restMs = 0; // frees the core at the end of its slice
        burn.done = null;
      },
    };
  }

  private dispatch(nowMs: number): void {
    while (this.free > 0) {
      const burn = this.queue.shift();
      if (burn === undefined) return;
      if (burn.done === null) continue;
      this.free--;
      burn.sliceSinceMs = nowMs;
      const sliceMs = Math.min(burn.restMs, this.options.quantumMs);
      this.timers.add(nowMs + sliceMs, () => this.sliceOver(burn, sliceMs, nowMs + sliceMs));
    }
  }

  private sliceOver(burn: Burn, sliceMs: number, nowMs: number): void {
    this.free++;
    burn.restMs -= sliceMs;
    burn.sliceSinceMs = null;
    if (burn.restMs > 0) this.queue.push(burn);
    this.dispatch(nowMs);
    if (burn.restMs <= 0) burn.done?.();
  }
}
