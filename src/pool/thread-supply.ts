/**
 * Makes the threads of kthread and workqueue: all that are wanted at once, while the system gives them.
 *
 * After a failure one thread is tried at a time, each try later than the last one, up to CREATE_COOLDOWN; each thread that
 * comes up doubles how many may start at once. The tries go on while no thread is wanted, so that the server notices
 * when it can serve again.
 *
 * Main thread only. It owns one timer. A thread fails by an error of new Worker() or by an exit before it has loaded;
 * the strategy reports the latter.
 */
import { CREATE_COOLDOWN_MS } from '../memory/predicates.ts';
import type { Threads } from './threads.ts';

/** The first pause after a failure; each one after it is twice as long, until a connection has ended in order. */
const RETRY_MIN_MS = 10;

export interface ThreadSupplyOptions {
  threads: Threads;
  max: number;
  /** Threads to make beyond those that are starting. */
  wanted: () => number;
  /** The time that waits are measured in. */
  nowMs: () => number;
  /** Before another try after a pause. */
  onRetry: () => void;
  onFailed: (error: unknown) => void;
}

export class ThreadSupply {
  private readonly options: ThreadSupplyOptions;
  /** How many threads may be starting at once. */
  private window = Number.POSITIVE_INFINITY;
  /** The last try has failed, and no thread has come up since. */
  private failing = false;
  /** Since when there has been no thread, as far as it is known; null while there is one. */
  private exhaustedSinceMs: number | null = null;
  /** Pauses since a connection ended in order. */
  private pauses = 0;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;

  constructor(options: ThreadSupplyOptions) {
    this.options = options;
  }

  /** No thread is up, and the system gives none. */
  get isExhausted(): boolean {
    const { threads } = this.options;
    return this.failing && threads.size === threads.starting;
  }

  /** How long that has been so; 0 when it is not. */
  exhaustedForMs(nowMs: number): number {
    if (!this.isExhausted) return 0;
    this.exhaustedSinceMs ??= nowMs;
    return nowMs - this.exhaustedSinceMs;
  }

  /** Makes the threads that are wanted now, unless a pause is on. */
  make(): void {
    const { threads, max, wanted } = this.options;
    while (this.timer === null && !this.stopped && threads.size < max && threads.starting < this.window) {
      if (Math.max(wanted(), this.failing ? 1 : 0) <= threads.starting) return;
      try {
        threads.make();
      } catch (error) {
        this.failed(error);
      }
    }
  }

  cameUp(): void {
    this.failing = false;
    this.exhaustedSinceMs = null;
    this.window *= 2;
    this.make();
  }

  /** A thread could not be made, or ended before it came up. */
  failed(error: unknown): void {
    if (this.stopped) return;
    this.failing = true;
    this.window = 1;
    if (this.isExhausted) this.exhaustedSinceMs ??= this.options.nowMs();
    this.options.onFailed(error);
    this.pause();
  }

  /** No thread is made for a while. */
  pause(): void {
    if (this.timer !== null || this.stopped) return;
    const delayMs = Math.min(CREATE_COOLDOWN_MS, RETRY_MIN_MS * 2 ** Math.min(20, this.pauses++));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.options.onRetry();
      this.make();
    }, delayMs);
  }

  /** A connection has ended in order: the next pause is a short one. */
  worked(): void {
    this.pauses = 0;
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
