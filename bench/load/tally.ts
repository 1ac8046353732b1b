/**
 * Counters of one run: samples, response and connect times, errors, and the generator's CPU time and run delay.
 *
 * A sample counts towards the rate when it completes in the window; its response time is recorded when it started in
 * the window. So the worst case includes answers outstanding at the window's end and none from the warm-up. A request
 * that timed out or was never sent is censored: only a lower bound of its response time is known (times.ts). That counts
 * also if it began in the warm-up and timed out later: a client that waits all the time would else leave no trace in the
 * times. In open mode due times decide. It owns the window's clock readings; it must not touch a socket.
 */
import { threadCpuMs } from '../../src/sys/cpu-clock.ts';
import { ownRunDelayMs } from '../../src/sys/run-delay.ts';
import { fairnessOf, type Served } from '../fairness.ts';
import type { LoadOptions } from './load-options.ts';
import { ProcessCost } from './process-cost.ts';
import {
  ERROR_CLASSES,
  type ErrorClass,
  type ErrorCounts,
  errorTotal,
  isLate,
  SATURATED_SHARE,
  SATURATED_WINDOW_MS,
} from './result.ts';
import type { Distribution, Histograms, LoadResult } from './schema.ts';
import { Times } from './times.ts';

const ERROR_DETAILS_MAX = 5;

export class Tally {
  opened = 0;
  /** Samples completed in the window. */
  completed = 0;
  errorCount = 0;
  /** Samples completed in the whole run. */
  answered = 0;
  /** Open mode: requests due; of these, sent late or never; never sent. */
  due = 0;
  missedSends = 0;
  unsent = 0;
  /** Persistent connections: those that asked in the window. */
  served: readonly Served[] = [];
  /** After the warm-up proper; null: not within the bound; undefined: not asked for. */
  settledAfterMs: number | null | undefined;
  readonly serverCost: ProcessCost;
  private readonly response = new Times();
  private readonly raw = new Times();
  private readonly lateness = new Times();
  private readonly connects = new Times();
  private readonly errors = Object.fromEntries(ERROR_CLASSES.map((name) => [name, 0])) as ErrorCounts;
  private readonly errorDetails: string[] = [];
  private readonly options: LoadOptions;
  private open = false;
  /** Samples that began in the window and took at most `withinMs`. */
  private good = 0;
  private beganMs = Number.POSITIVE_INFINITY;
  private windowMs = 0;
  private cpuMs = 0;
  /** Null where the kernel does not count it. */
  private delayMs: number | null = 0;

  constructor(options: LoadOptions) {
    this.options = options;
    this.serverCost = new ProcessCost(options.watchPids, options.watchCgroup);
  }

  // CPU time and run delay are this thread's, which does all the work; V8's helper threads do not delay it. It never
  // polls, so in the rest of the window it slept because there was nothing to do.

  private addDelay(sign: 1 | -1): void {
    const delayMs = ownRunDelayMs();
    this.delayMs = this.delayMs === null || delayMs === null ? null : this.delayMs + sign * delayMs;
  }

  /** Opens the window. Consecutive windows are summed. */
  begin(): void {
    this.addDelay(-1);
    this.beganMs = performance.now();
    this.cpuMs -= threadCpuMs();
    this.open = true;
  }

  /** Closes the window. */
  end(): void {
    if (!this.open) return;
    this.cpuMs += threadCpuMs();
    this.windowMs += performance.now() - this.beganMs;
    this.addDelay(1);
    this.open = false;
  }

  /** Times are from performance.now(). Whether the sample began in the window. */
  sample(startedMs: number, endedMs: number): boolean {
    this.answered++;
    const beganInside = startedMs >= this.beganMs;
    // With --requests, exactly that many samples count, so none that started in the warm-up.
    if (this.open && (beganInside || this.options.requests === 0)) this.completed++;
    if (beganInside) {
      this.response.record(endedMs - startedMs);
      if (endedMs - startedMs <= (this.options.withinMs ?? 0)) this.good++;
    }
    return beganInside;
  }

  /** The same sample, timed from its actual send (open mode). */
  sampleRaw(startedMs: number, sentMs: number, endedMs: number): void {
    if (startedMs >= this.beganMs) this.raw.record(endedMs - sentMs);
  }

  /** The generator's own lateness with one request of the window (open mode). */
  sentLate(ms: number): void {
    this.lateness.record(ms);
  }

  /** A sample that timed out: an answer would have taken longer than until `nowMs`. Whether it began in the window. */
  unanswered(startedMs: number, sentMs: number, nowMs: number): boolean {
    const { mode } = this.options;
    const beganInside = startedMs >= this.beganMs;
    if (beganInside || (mode !== 'open' && nowMs >= this.beganMs)) this.response.censor(nowMs - startedMs);
    if (beganInside && mode === 'open') this.raw.censor(nowMs - sentMs);
    return beganInside;
  }

  /** A request of the window that is never sent (open mode); it may be due only after `nowMs`. */
  neverSent(intendedMs: number, nowMs: number): void {
    this.unsent++;
    this.missedSends++;
    this.response.censor(Math.max(0, nowMs - intendedMs));
  }

  notConnected(afterMs: number): void {
    this.connects.censor(afterMs);
  }

  connected(tookMs: number): void {
    this.connects.record(tookMs);
  }

  /** Discards the connect times of the warm-up. */
  forgetConnects(): void {
    this.connects.clear();
  }

  error(kind: ErrorClass, detail: string): void {
    this.errors[kind]++;
    this.errorCount++;
    if (this.errorDetails.length < ERROR_DETAILS_MAX) this.errorDetails.push(`${kind}: ${detail}`);
  }

  private openFigures(
    response: Distribution,
  ): Pick<LoadResult, 'responseRaw' | 'lateness' | 'late' | 'due' | 'missedSends' | 'unsent'> {
    if (this.options.mode !== 'open') return {};
    const { due, missedSends, unsent } = this;
    const lateness = this.lateness.distribution();
    const late = response.count > 0 && isLate(lateness, response);
    return { responseRaw: this.raw.distribution(), lateness, late, due, missedSends, unsent };
  }

  private generatorFigures(): Pick<LoadResult, 'generatorCpuShare' | 'generatorRunDelayShare' | 'saturated'> {
    const { windowMs, delayMs } = this;
    const share = (ms: number) => (windowMs > 0 ? ms / windowMs : 0);
    return {
      generatorCpuShare: share(this.cpuMs),
      ...(delayMs === null ? {} : { generatorRunDelayShare: share(delayMs) }),
      saturated: share(this.cpuMs + (delayMs ?? 0)) > SATURATED_SHARE && windowMs >= SATURATED_WINDOW_MS,
    };
  }

  private histograms(): Histograms {
    const { response, connects, raw, lateness } = this;
    const open = { responseRaw: raw.parts(), lateness: lateness.parts() };
    return {
      response: response.parts(),
      connect: connects.parts(),
      ...(this.options.mode === 'open' ? open : {}),
    };
  }

  result(partial: boolean): LoadResult {
    const { mode, clients, requests, messageBytes, withinMs, withHistogram } = this.options;
    const { completed, windowMs, errors, errorDetails, good } = this;
    const response = this.response.distribution();
    return {
      mode,
      clients,
      requests,
      messageBytes,
      windowMs,
      completed,
      perSecond: windowMs > 0 ? (completed * 1000) / windowMs : 0,
      ...(withinMs === null || windowMs === 0 ? {} : { goodPerSecond: (good * 1000) / windowMs }),
      response,
      ...this.openFigures(response),
      ...fairnessOf(this.served),
      connect: this.connects.distribution(),
      errors,
      errorTotal: errorTotal(errors),
      errorDetails,
      ...this.serverCost.figures(completed),
      ...(this.settledAfterMs === undefined ? {} : { settledAfterMs: this.settledAfterMs }),
      ...this.generatorFigures(),
      opened: this.opened,
      partial,
      ...(withHistogram ? { histograms: this.histograms() } : {}),
    };
  }
}
