/**
 * The progress line of a comparison, with the estimated remaining time. Written only when standard error is a terminal.
 */
import type { Estimate } from './estimate.ts';
import type { PlannedRun } from './plan.ts';

export function minutes(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** "60 runs, 6 of them for timelines". */
export function runsText(runs: readonly PlannedRun[]): string {
  const timelines = runs.filter(({ round }) => round === 0).length;
  return `${runs.length} runs${timelines === 0 ? '' : `, ${timelines} of them for timelines`}`;
}

export class Progress {
  private readonly stream: NodeJS.WriteStream;
  private readonly estimate: Estimate;
  private beganMs = 0;

  constructor(stream: NodeJS.WriteStream, estimate: Estimate) {
    this.stream = stream;
    this.estimate = estimate;
  }

  /** The run at the position `order` begins. */
  begin(plan: readonly PlannedRun[], order: number): void {
    this.beganMs = performance.now();
    const run = plan[order];
    if (!this.stream.isTTY || run === undefined) return;
    const { experiment, point, contestant, round } = run;
    const kind = round === 0 ? 'timeline' : `round ${round}`;
    const left = minutes(this.estimate.totalMs(plan.slice(order)));
    const line = `run ${order + 1} of ${plan.length}: ${experiment.name}, ${point.title}, ${contestant.label}, ${kind}; about ${left} left`;
    this.stream.write(`\r\x1b[2K${line.slice(0, (this.stream.columns || 80) - 1)}`);
  }

  end(run: PlannedRun): void {
    this.estimate.record(run, performance.now() - this.beganMs);
  }

  skip(run: PlannedRun): void {
    this.estimate.skip(run);
  }

  done(): void {
    if (this.stream.isTTY) this.stream.write('\r\x1b[2K');
  }
}
