/**
 * The progress of a comparison, with the estimated remaining time: on a terminal a line that changes with each run, otherwise
 * a line for each round.
 */
import { type Estimate, selfChecksMs } from './estimate.ts';
import type { Point } from './experiment-points.ts';
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
  readonly estimate: Estimate;
  private readonly stream: NodeJS.WriteStream;
  private readonly left = new Set<PlannedRun>();
  /** Their self-checks come after all runs. */
  private readonly points = new Set<Point>();
  private done = 0;
  private beganMs = 0;
  private lastRound = '';

  constructor(stream: NodeJS.WriteStream, estimate: Estimate) {
    this.stream = stream;
    this.estimate = estimate;
  }

  /** Runs to come: the plan, further rounds, rounds that are repeated. */
  add(runs: readonly PlannedRun[]): void {
    for (const run of runs) {
      this.left.add(run);
      this.points.add(run.point);
    }
  }

  begin(run: PlannedRun): void {
    this.beganMs = performance.now();
    const { experiment, point, contestant, round } = run;
    const { isTTY, columns } = this.stream;
    const kind = round === 0 ? 'timeline' : `round ${round}`;
    const load = `${experiment.name}, ${point.title}`;
    const isSameRound = this.lastRound === `${load}, ${kind}`;
    this.lastRound = `${load}, ${kind}`;
    if (!isTTY && isSameRound) return;
    const position = `run ${this.done + 1} of ${this.done + this.left.size}`;
    const leftText = minutes(this.estimate.totalMs([...this.left]) + selfChecksMs(this.points));
    const what = isTTY ? `${load}, ${contestant.label}, ${kind}` : this.lastRound;
    const line = `${position}: ${what}; about ${leftText} left`;
    this.stream.write(isTTY ? `\r\x1b[2K${line.slice(0, (columns || 80) - 1)}` : `${line}\n`);
  }

  end(run: PlannedRun): void {
    this.estimate.record(run, performance.now() - this.beganMs);
    this.finish(run);
  }

  skip(run: PlannedRun): void {
    this.estimate.skip(run);
    this.finish(run);
  }

  private finish(run: PlannedRun): void {
    this.left.delete(run);
    this.done++;
  }

  clear(): void {
    if (this.stream.isTTY) this.stream.write('\r\x1b[2K');
  }
}
