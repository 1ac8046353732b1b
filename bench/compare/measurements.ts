/**
 * What a comparison has measured so far. Rounds that the machine has disturbed are measured again, within bounds.
 */
import type { Interruption } from '../child-process.ts';
import type { Common } from './common.ts';
import type { Contestant } from './contestants.ts';
import { isDisturbed, machineTimes, Repeats, type Shares, sharesBetween, worst } from './disturbance.ts';
import { UNANSWERED_RUNS_MAX } from './estimate.ts';
import type { Point } from './experiment-points.ts';
import { measure } from './measure.ts';
import { inRounds, type PlannedRun } from './plan.ts';
import type { Progress } from './progress.ts';
import type { DisturbedRound, Run, Timeline } from './types.ts';

/** Counts consecutive runs without an answer, by contestant and point; after a few the contestant is skipped there. */
class Unanswered {
  private readonly counts = new Map<string, number>();
  readonly notes: string[] = [];

  private static key({ experiment, point, contestant }: PlannedRun): string {
    return JSON.stringify([experiment.name, point.key, contestant.label]);
  }

  isSkipped(planned: PlannedRun): boolean {
    return (this.counts.get(Unanswered.key(planned)) ?? 0) >= UNANSWERED_RUNS_MAX;
  }

  record(planned: PlannedRun, { load }: Run): void {
    const key = Unanswered.key(planned);
    if (load !== null && load.completed > 0) {
      this.counts.delete(key);
      return;
    }
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    if (count !== UNANSWERED_RUNS_MAX) return;
    const { experiment, point, contestant } = planned;
    const where = `${experiment.name}, ${point.title}: ${contestant.label}`;
    this.notes.push(`${where} answered no request in ${count} runs and was not run again`);
  }
}

export class Measurements {
  readonly runs: Run[] = [];
  readonly timelines: Timeline[] = [];
  readonly disturbed: DisturbedRound[] = [];
  private readonly unanswered = new Unanswered();
  plannedRuns = 0;
  private order = 0;
  private readonly beganMs = performance.now();
  private readonly repeats = new Repeats<Point>();
  /** Rounds planned so far. */
  private readonly rounds = new Map<Point, number>();
  private readonly common: Common;
  private readonly interruption: Interruption;
  private readonly progress: Progress;

  constructor(common: Common, interruption: Interruption, progress: Progress) {
    this.common = common;
    this.interruption = interruption;
    this.progress = progress;
  }

  get notes(): readonly string[] {
    return this.unanswered.notes;
  }

  get elapsedMs(): number {
    return performance.now() - this.beganMs;
  }

  async add(plan: readonly PlannedRun<Contestant>[]): Promise<void> {
    this.plannedRuns += plan.filter(({ round }) => round > 0).length;
    for (const { point, round } of plan) this.rounds.set(point, round);
    this.progress.add(plan);
    for (const round of inRounds(plan)) {
      while (!this.interruption.isInterrupted && !(await this.addRound(round)));
    }
  }

  /** Whether the round counts: if not, it is to be repeated. */
  private async addRound(round: readonly PlannedRun<Contestant>[]): Promise<boolean> {
    const { host } = this.common;
    const before = machineTimes();
    await host.shares().catch(() => null); // its interval begins
    const found = await this.runsOf(round);
    const shares = worst(sharesBetween(before, machineTimes()), await host.shares().catch(() => null));
    const [first] = round;
    const counts = first === undefined || first.round === 0 || !this.isRepeated(first, shares);
    if (!counts) this.progress.add(round);
    if (counts) this.runs.push(...found.map(({ run }) => run));
    for (const { planned, run } of counts ? found : []) this.unanswered.record(planned, run);
    return counts;
  }

  private isRepeated({ experiment, point, round }: PlannedRun, shares: Shares): boolean {
    if (this.interruption.isInterrupted || !isDisturbed(shares)) return false;
    const repeated = this.repeats.isNext(point, this.rounds.get(point) ?? 0);
    this.disturbed.push({ experiment: experiment.name, point: point.key, round, ...shares, repeated });
    return repeated;
  }

  private async runsOf(round: readonly PlannedRun<Contestant>[]) {
    const found: { planned: PlannedRun<Contestant>; run: Run }[] = [];
    for (const planned of round) {
      if (this.interruption.isInterrupted) break;
      if (this.unanswered.isSkipped(planned)) {
        this.progress.skip(planned);
        continue;
      }
      this.progress.begin(planned);
      const { run, samples } = await measure(planned, this.order++, this.common);
      if (this.interruption.isInterrupted) break;
      this.progress.end(planned);
      if (planned.round > 0) found.push({ planned, run });
      else this.timelines.push({ experiment: run.experiment, point: run.point, label: run.label, samples });
    }
    return found;
  }
}
