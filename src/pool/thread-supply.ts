/**
 * Creates the threads of kthread and workqueue: all that are wanted at once, until a creation fails.
 *
 * After a failure it tries one thread at a time, with exponential backoff up to CREATE_COOLDOWN; each thread that comes
 * up doubles how many may start at once. It retries even when no thread is wanted, so that the server notices when it
 * can serve again.
 *
 * Main thread only. It owns one timer. A failure is an error of new Worker() or an exit before the thread has loaded;
 * the strategy reports the latter.
 */
import { CREATE_COOLDOWN_MS } from '../memory/predicates.ts';
import type { Threads } from './threads.ts';

/** The first pause after a failure; doubles each time until a connection ends in order. */
const RETRY_MIN_MS = 10;

export interface ThreadSupplyOptions {
  threads: Threads;
  max: number;
  /** How many threads should be starting. */
  wanted: () => number;
  /** The clock that waiting is measured by. */
  nowMs: () => number;
  /** Called before a retry after a pause. */
  onRetry: () => void;
  onFailed: (error: unknown) => void;
}

export class ThreadSupply {
  private readonly options: ThreadSupplyOptions;
  /** How many threads may be starting at once. */
  private window = Number.POSITIVE_INFINITY;
  /** A creation has failed, and no thread has come up since. */
  private failing = false;
  /** When the state `isExhausted` was first noticed; null while a thread is up. */
  private exhaustedSinceMs: number | null = null;
  /** Pauses since a connection ended in order. */
  private pauses = 0;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;

  constructor(options: ThreadSupplyOptions) {
    this.options = options;
  }

  /** No thread is up, and creating one failed. */
  get isExhausted(): boolean {
    const { threads } = this.options;
    return this.failing && threads.size === threads.starting;
  }

  /** How long `isExhausted` has been true; 0 when it is not. */
  exhaustedForMs(nowMs: number): number {
    if (!this.isExhausted) return 0;
    this.exhaustedSinceMs ??= nowMs;
    return nowMs - this.exhaustedSinceMs;
  }

  /** Creates the wanted threads, except during a pause. */
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

  /** A thread could not be created, or exited before it had loaded. */
  failed(error: unknown): void {
    if (this.stopped) return;
    this.failing = true;
    this.window = 1;
    if (this.isExhausted) this.exhaustedSinceMs ??= this.options.nowMs();
    this.options.onFailed(error);
    this.pause();
  }

  /** Stops creating threads for the backoff delay. */
  pause(): void {
    if (this.timer !== null || this.stopped) return;
    const delayMs = Math.min(CREATE_COOLDOWN_MS, RETRY_MIN_MS * 2 ** Math.min(20, this.pauses++));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.options.onRetry();
      this.make();
    }, delayMs);
  }

  /** Call when a connection has ended in order: the next pause is short again. */
  resetBackoff(): void {
    this.pauses = 0;
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
