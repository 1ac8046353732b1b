/**
 * The progress line of a comparison, with the estimated remaining time. Written only when standard error is a terminal.
 */
import type { PlannedRun } from './plan.ts';

export function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

export class Progress {
  private readonly stream: NodeJS.WriteStream;
  private readonly runCount: number;
  private expectedLeftMs: number;
  private expectedDoneMs = 0;
  private readonly beganMs = performance.now();

  constructor(stream: NodeJS.WriteStream, runCount: number, expectedMs: number) {
    this.stream = stream;
    this.runCount = runCount;
    this.expectedLeftMs = expectedMs;
  }

  begin({ experiment, point, contestant, round }: PlannedRun, order: number): void {
    if (!this.stream.isTTY) return;
    // Scales the estimate by actual over expected time so far.
    const pace = this.expectedDoneMs > 3000 ? (performance.now() - this.beganMs) / this.expectedDoneMs : 1;
    const what = `${experiment.name}, ${point.title}, ${contestant.label}, ${round === 0 ? 'timeline' : `round ${round}`}`;
    const line = `run ${order + 1} of ${this.runCount}: ${what}; about ${minutes(this.expectedLeftMs * pace)} left`;
    this.stream.write(`\r\x1b[2K${line.slice(0, (this.stream.columns || 80) - 1)}`);
  }

  end(expectedMs: number): void {
    this.expectedLeftMs -= expectedMs;
    this.expectedDoneMs += expectedMs;
  }

  done(): void {
    if (this.stream.isTTY) this.stream.write('\r\x1b[2K');
  }
}
