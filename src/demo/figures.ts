/**
 * The demo's figures of a strategy: response times over the last seconds, and the server's current load.
 *
 * Main thread only; memory is bounded by the clients' request rate.
 */
import type { ServerStatus } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';

export const WINDOW_MS = 5000;

export interface StrategyFigures {
  clients: number;
  echoesPerSecond: number;
  /** Response times in the window; null without any. */
  averageMs: number | null;
  /** Includes the age of the oldest request in progress. */
  worstMs: number | null;
  /** Connections, including those that wait. */
  open: number;
  /** Connections that wait for a thread. */
  waiting: number;
  /** Items begun and not ended. */
  inProgress: number;
  threads: number;
}

export class Window {
  private answers: { atMs: number; tookMs: number }[] = [];
  private beganMs = monotonicMs();

  answered(tookMs: number): void {
    this.answers.push({ atMs: monotonicMs(), tookMs });
  }

  clear(): void {
    this.answers = [];
    this.beganMs = monotonicMs();
  }

  figures(clients: number, oldestMs: number, status: ServerStatus): StrategyFigures {
    const nowMs = monotonicMs();
    this.answers = this.answers.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
    const times = this.answers.map(({ tookMs }) => tookMs);
    const seconds = Math.min(WINDOW_MS, Math.max(1000, nowMs - this.beganMs)) / 1000;
    const worstMs = Math.max(0, oldestMs, ...times);
    const { connections, items, threads } = status.stats;
    return {
      clients,
      echoesPerSecond: times.length / seconds,
      averageMs: times.length === 0 ? null : times.reduce((sum, ms) => sum + ms, 0) / times.length,
      worstMs: worstMs === 0 ? null : worstMs,
      open: connections.active,
      waiting: connections.queued,
      inProgress: Math.max(0, items.started - items.completed),
      threads: threads.alive,
    };
  }
}
